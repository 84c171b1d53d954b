"""Registry of activations, connectivities, kernels and terms by the names that settings and files use for them.

A *kind* is a registered class. Files store an object as the name of its kind and the arguments of its class, so that
objects of registered kinds can be saved and loaded.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

Kind = TypeVar("Kind", bound=type)


@dataclasses.dataclass(frozen=True)
class Entry:
    """A registered kind.

    Attributes
    ----------
    name : str
    kind : type
    family : type
        The abstract class of the kind, such as `simatch.Activation`.
    native : float or None
        Number of the kind in native code; None if native code does not support it.
    """

    name: str
    kind: type
    family: type
    native: float | None


_ENTRIES: dict[type, Entry] = {}


def register(name: str, family: type, *, native: float | None = None) -> Callable[[Kind], Kind]:
    """Register a class under a name; used as a decorator.

    Networks whose activations, connectivities, kernels and terms are of registered classes can be saved
    (`simatch.save`). A file stores the arguments of the class of an object. Each argument must be an attribute of the
    same name, or the class must define a method `arguments` that returns them as a dict.

    Parameters
    ----------
    name : str
        Name in settings and files; unique in its family.
    family : type
        `simatch.Activation`, `simatch.Connectivity`, `simatch.Kernel` or `simatch.Term`.
    native : float, optional
        Number of the kind in native code, at least 0; only for activations of the library itself.

    Returns
    -------
    callable
        Decorator that registers a class and returns it unchanged.

    Raises
    ------
    ValueError
        By the decorator, if another class is registered under this name.

    Examples
    --------
    >>> import jax.numpy as jnp, simatch as sm
    >>> @sm.register("softsign", sm.Activation)
    ... class Softsign(sm.Activation):
    ...     lower, upper = -1.0, 1.0
    ...     def __call__(self, u):
    ...         return u / (1 + jnp.abs(u))
    ...     def cost(self, r):
    ...         return -jnp.abs(r) - jnp.log1p(-jnp.abs(r)) - r**2 / 2
    >>> sm.Population(4, "softsign").activation
    Softsign()
    """

    def add(kind: Kind) -> Kind:
        for entry in list(_ENTRIES.values()):
            if (entry.name, entry.family) == (name, family):
                if (entry.kind.__module__, entry.kind.__qualname__) != (kind.__module__, kind.__qualname__):
                    raise ValueError(f"The name {name!r} already stands for {entry.kind.__name__}; choose another one.")
                del _ENTRIES[entry.kind]  # the same class, defined again, for example in a notebook
        _ENTRIES[kind] = Entry(name, kind, family, native)
        return kind

    return add


def entry_of(value: Any) -> Entry | None:
    """Return the entry of the exact class of an object; None if it is not registered, even if a parent class is.

    Parameters
    ----------
    value : object
        Such as a term, a connectivity, a kernel or an activation.

    Returns
    -------
    Entry or None

    Examples
    --------
    >>> import simatch as sm
    >>> from simatch.network import entry_of
    >>> entry_of(sm.Leak("layer1", 0.1)).name
    'leak'
    """
    return _ENTRIES.get(type(value))


def named(name: str, family: type) -> Entry:
    """Return the entry of a name in a family.

    Parameters
    ----------
    name : str
        Name in settings and files, such as "relu".
    family : type
        `Activation`, `Connectivity`, `Kernel` or `Term`.

    Returns
    -------
    Entry

    Raises
    ------
    ValueError
        If the name is not registered; the message lists the names that are.

    Examples
    --------
    >>> import simatch as sm
    >>> from simatch.network import named
    >>> named("relu", sm.Activation).kind.__name__
    'ReLU'
    """
    for entry in _ENTRIES.values():
        if (entry.name, entry.family) == (name, family):
            return entry
    raise ValueError(f"There is no {family.__name__.lower()} {name!r}; use one of {', '.join(names(family))}.")


def names(family: type) -> tuple[str, ...]:
    """Return the registered names of a family, in the order of registration.

    Parameters
    ----------
    family : type
        `Activation`, `Connectivity`, `Kernel` or `Term`.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> import simatch as sm
    >>> from simatch.network import names
    >>> "relu" in names(sm.Activation)
    True
    """
    return tuple(entry.name for entry in _ENTRIES.values() if entry.family is family)

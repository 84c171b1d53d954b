"""The one registry of kinds: their names in settings and files, and how native code knows them.

A kind is a class that a name stands for: an activation, a connectivity or a term. Files describe an object by the
name of its kind and the arguments that make it anew, so that a kind that is registered can be saved and loaded.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

Kind = TypeVar("Kind", bound=type)


@dataclasses.dataclass(frozen=True)
class Entry:
    """What is known of a kind.

    Attributes
    ----------
    name : str
    kind : type
    family : type
        The abstract class that it belongs to, such as `simatch.Activation`.
    native : float or None
        Number by which native code knows it, if it does.
    """

    name: str
    kind: type
    family: type
    native: float | None


_ENTRIES: dict[type, Entry] = {}


def register(name: str, family: type, *, native: float | None = None) -> Callable[[Kind], Kind]:
    """Register a class under a name, as a decorator.

    Networks with parts of registered kinds can be saved; an object is written as the arguments of its class, each of
    which must be an attribute of the same name.

    Parameters
    ----------
    name : str
        Unique in its family.
    family : type
        `simatch.Activation`, `simatch.Connectivity` or `simatch.Term`.
    native : float, optional
        For kinds that the library's native code knows.

    Raises
    ------
    ValueError
        If the name is taken by another class.

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
                del _ENTRIES[entry.kind]  # the same class, defined again
        _ENTRIES[kind] = Entry(name, kind, family, native)
        return kind

    return add


def entry_of(value: Any) -> Entry | None:
    """Return the entry of an object's own class; a subclass that is not registered has none."""
    return _ENTRIES.get(type(value))


def named(name: str, family: type) -> Entry:
    """Return the entry of a name.

    Raises
    ------
    ValueError
        If there is no such name; the message lists those that there are.
    """
    for entry in _ENTRIES.values():
        if (entry.name, entry.family) == (name, family):
            return entry
    raise ValueError(f"There is no {family.__name__.lower()} {name!r}; use one of {', '.join(names(family))}.")


def names(family: type) -> tuple[str, ...]:
    """Return the names of a family, in the order in which they were registered."""
    return tuple(entry.name for entry in _ENTRIES.values() if entry.family is family)

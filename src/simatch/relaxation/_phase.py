"""Phases: which populations are clamped while a network relaxes, and under which conditions."""

import itertools
from collections.abc import Mapping, Sequence
from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._checks import number, whole
from ..network import Network, Term, present
from ._solver import Solver


@final
class Phase(eqx.Module):
    """Conditions under which a network relaxes: clamped populations, additional terms, start and end.

    All populations that are neither clamped nor absent relax.

    Parameters
    ----------
    clamp : sequence of str, or mapping of str to str, optional
        Populations whose activities are held at entries of the batch: their names, if each entry has the name of its
        population, or a mapping from the name of a population to that of an entry. A name that is not a population
        adds an entry that the terms of this phase read, such as the target of a `simatch.Nudge`. By default all
        populations without an activation are clamped, each to the entry of its own name.
    absent : sequence of str
        Populations that are removed from the network in this phase. Terms that read one of them drop out of the energy
        and contribute nothing to learning in this phase, decay included.
    terms : sequence of Term
        Terms that join those of the network in this phase, such as a nudge. Learning does not change their parameters.
    start : "rest" or "previous"
        Where relaxation starts in a rule with several phases: at potentials of 0, or where the previous phase ended.
        `simatch.relax` takes its own argument `start` instead.
    tolerance : float, optional
        Largest residual at which a sample counts as converged, above 0; by default the tolerance that `simatch.relax`,
        `simatch.train` and the other callers are given.
    steps : int, optional
        Number of solver steps after which each stage stops, at least 1. Samples that stop there have the status
        STOPPED, which is not a failure. Without a `tolerance` relaxation does not stop earlier, except at a residual
        of exactly 0.
    solver : Solver, optional
        Solver of this phase; by default the one that `simatch.relax`, `simatch.train` and the other callers are given.

    Raises
    ------
    ValueError
        If a setting is out of range, or a population is both clamped and absent.

    References
    ----------
    Section 8 of ``docs/mathematics.md``.

    Examples
    --------
    A free phase, and one that is nudged towards a label:

    >>> import simatch as sm
    >>> free = sm.Phase()
    >>> nudged = sm.Phase(
    ...     ["input", "label"], terms=[sm.Nudge("layer1", target="label", strength=0.1)], start="previous"
    ... )
    >>> nudged.entries(sm.layered(4, [sm.Layer(units=2)]))
    {'input': 'input', 'label': 'label'}
    """

    clamp: tuple[tuple[str, str], ...] | None = eqx.field(static=True)
    absent: tuple[str, ...] = eqx.field(static=True)
    terms: tuple[Term, ...]
    start: str = eqx.field(static=True)
    tolerance: Float[Array, ""] | None
    steps: int | None = eqx.field(static=True)
    solver: Solver | None

    def __init__(
        self,
        clamp: Sequence[str] | Mapping[str, str] | None = None,
        *,
        absent: Sequence[str] = (),
        terms: Sequence[Term] = (),
        start: str = "rest",
        tolerance: float | None = None,
        steps: int | None = None,
        solver: Solver | None = None,
    ):
        if isinstance(clamp, str) or isinstance(absent, str):
            raise ValueError('Populations are given as a sequence of names, such as ["input"], not as one string.')
        if start not in ("rest", "previous"):
            raise ValueError(f'A phase starts at "rest" or where the "previous" one ended, not at {start!r}.')
        if tolerance is not None:
            tolerance = number(tolerance, "The tolerance", above=0)
        if steps is not None:
            steps = whole(steps, "The number of steps")
        pairs = clamp.items() if isinstance(clamp, Mapping) else [(name, name) for name in clamp or ()]
        self.clamp = None if clamp is None else tuple(pairs)
        self.absent, self.terms, self.start = tuple(absent), tuple(terms), start
        self.tolerance = None if tolerance is None else jnp.asarray(tolerance, float)
        self.steps, self.solver = steps, solver
        both = [name for name, _ in self.clamp or () if name in self.absent]
        if both:
            raise ValueError(f"Population {both[0]!r} is both clamped and absent; choose one.")

    def entries(self, net: Network) -> dict[str, str]:
        """Return, for each clamped population, the name of its entry of the batch.

        Names in `clamp` that are not populations are included.

        Parameters
        ----------
        net : Network

        Returns
        -------
        dict of str to str
        """
        return entries_in(self, net)

    def relaxing(self, net: Network) -> tuple[str, ...]:
        """Return the names of the populations that relax, in the order of the network.

        Parameters
        ----------
        net : Network

        Returns
        -------
        tuple of str

        Raises
        ------
        ValueError
            If the phase does not fit the network.
        """
        return relaxing_in(self, net)

    def stages(self, net: Network) -> tuple[tuple[str, ...], ...]:
        """Return the groups of populations that relax together, in the order in which they relax.

        Parameters
        ----------
        net : Network

        Returns
        -------
        tuple of tuples of str

        Raises
        ------
        ValueError
            If the phase does not fit the network.
        """
        relaxing, terms = self.relaxing(net), (*net.terms, *self.terms)
        there = present(terms, {*entries_in(self, net), *relaxing})
        return net.stages(
            tuple(name for name in net.layers if name not in relaxing), list(itertools.compress(terms, there))
        )


def entries_in(phase: Phase, net: Network) -> dict[str, str]:
    """`Phase.entries` without what Equinox does for each call of a method, which takes longer than this."""
    if phase.clamp is not None:
        return dict(phase.clamp)
    absent = phase.absent
    return {name: name for name in net.inputs if name not in absent}


def relaxing_in(phase: Phase, net: Network) -> tuple[str, ...]:
    """`Phase.relaxing`, likewise."""
    layers, entries, absent = net.layers, entries_in(phase, net), phase.absent
    free = tuple(name for name in layers if name not in entries and name not in absent)
    if free and entries and phase.clamp is None and not absent and not phase.terms:
        return free  # the phase of all inputs clamped, which fits every network
    _check(phase, net, entries)
    return free


def _check(phase: Phase, net: Network, entries: dict[str, str]) -> None:
    read = {name for term in phase.terms for name in term.populations}
    for name in entries:
        if name not in net.populations and name not in read:
            raise ValueError(
                f"The phase clamps {name!r}, which is no population and is read by no term of the phase; there are "
                f"{', '.join(map(repr, net.populations))}."
            )
    for name in phase.absent:
        if name not in net.populations:
            raise ValueError(
                f"The phase names the absent population {name!r}; there are {', '.join(map(repr, net.populations))}."
            )
    for name in read:
        if name in phase.absent or (name not in net.populations and name not in entries):
            raise ValueError(
                f"A term of the phase reads {name!r}, which is not there; clamp it to an entry of the batch."
            )
    for name in net.inputs:
        if name not in entries and name not in phase.absent:
            raise ValueError(
                f"Population {name!r} has no activation, so that it cannot relax; clamp it or list it as absent."
            )
    if not entries:
        raise ValueError(
            "Nothing is clamped, so that there are no samples; clamp a population to an entry of the batch."
        )
    if all(name in entries or name in phase.absent for name in net.layers):
        raise ValueError("Nothing relaxes: every population is clamped or absent; leave at least one free.")


INPUTS_CLAMPED = Phase()
"""The default phase: all populations without activation are clamped, and all others relax."""
DEFAULT = (INPUTS_CLAMPED,)

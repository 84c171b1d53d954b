"""The relaxation of one stage as a solver sees it: forces on activities, without the terms that exert them."""

import dataclasses
import math
from collections.abc import Callable, Collection, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from ..network import Activation, Activities, Network, Term, described, felt_in, present, term_energies

Blocks = Float[Array, "blocks size size"]


class Problem(eqx.Module):
    """Find the activities of one stage's populations at which ``r = f(r + force(r))``.

    `force` is minus the derivative of the energy of all terms, divided by each population's weight:
    ``W r_below - L r + gamma W' r_above`` for the networks of the paper, so that ``r + force(r)`` is the input
    current of equation (10).

    Attributes
    ----------
    force : callable
        Function from the activities of the stage to the forces on them.
    drive : dict of str to array of shape (neurons, samples)
        Forces at rest, that is, at activities of 0.
    curvature : callable
        The linear map ``-d force`` at rest, applied to any number of samples; it is the same for all samples.
    stored : array of shape (blocks, size, size), or None
        `curvature` as one matrix for each block; None for several populations, or if some term does not offer its
        matrices.
    own : dict of str to array of shape (blocks, size, size), or None
        The same for each population alone while the others of the stage stay as they are.
    pull : callable
        Function from a population and the activities of the others of its stage to the force on it at its own
        activity 0. Activities of 0 may be left out.
    neighbours : dict of str to frozenset of str
        For each population of the stage, the others with which it shares a term.
    activations : dict of str to Activation
        Activation of each population of the stage.
    weights : dict of str to float
        Weight of each population in the cost; they define the metric in which `curvature` is symmetric.
    affine : bool
        Whether ``force(r)`` equals ``drive - curvature(r)``, that is, whether the energy of all terms is quadratic.
    blocks : int
        Number of consecutive, equally large groups of neurons that do not interact.
    sizes : dict of str to int
        Number of neurons of each population of the stage.
    potentials : bool
        Whether the solver must return potentials besides activities.
    """

    force: Callable[[Activities], Activities]
    drive: Activities
    curvature: Callable[[Activities], Activities]
    stored: Blocks | None
    own: dict[str, Blocks | None]
    pull: Callable[[str, Activities], Float[Array, "_ samples"]]
    neighbours: dict[str, frozenset[str]] = eqx.field(static=True)
    activations: dict[str, Activation]
    weights: dict[str, float]
    affine: bool = eqx.field(static=True)
    blocks: int = eqx.field(static=True)
    sizes: dict[str, int] = eqx.field(static=True)
    potentials: bool = eqx.field(static=True)

    def activities(self, potentials: Activities) -> Activities:
        """Activities ``f(u)`` at the potentials u.

        Parameters
        ----------
        potentials : dict of str to array of shape (neurons, samples)

        Returns
        -------
        dict of str to array of shape (neurons, samples)
        """
        return {name: self.activations[name](u) for name, u in potentials.items()}

    def inner(self, a: Activities, b: Activities) -> Float[Array, "blocks _"]:
        """Inner product within every block and sample, in the metric in which `curvature` is symmetric.

        Parameters
        ----------
        a, b : dict of str to array of shape (neurons, samples)

        Returns
        -------
        array of shape (blocks, samples)
        """
        total = jnp.zeros(())
        for name in a:
            product = (a[name] * b[name]).reshape(self.blocks, -1, a[name].shape[-1])
            total = total + self.weights[name] * jnp.sum(product, axis=1)
        return total

    def spread(self, per_block: Shaped[Array, "blocks _"]) -> dict[str, Shaped[Array, "_ _"]]:
        """Repeat one number for each block over the neurons of the block.

        Parameters
        ----------
        per_block : array of shape (blocks, samples)

        Returns
        -------
        dict of str to array of shape (neurons, samples)
        """
        # Broadcast, which XLA joins with what follows; `jnp.repeat` would be a gather.
        last = per_block.shape[-1]
        return {
            name: jnp.broadcast_to(per_block[:, None], (self.blocks, size // self.blocks, last)).reshape(size, last)
            for name, size in self.sizes.items()
        }

    @property
    def block_size(self) -> int:
        """Neurons in a block."""
        return sum(self.sizes.values()) // self.blocks

    def alone(self, name: str, pull: Float[Array, "_ samples"]) -> "Problem":
        """Return the problem of one population while the others of the stage stay as they are.

        The energy of all terms must be quadratic, and `own` must have the curvature of the population.

        Parameters
        ----------
        name : str
            The population.
        pull : array of shape (neurons, samples)
            Force on it at its own activity 0.

        Returns
        -------
        Problem
        """
        own, size = self.own[name], self.sizes[name]
        assert own is not None
        drive = {name: pull}

        def curvature(v: Activities) -> Activities:
            columns = v[name].reshape(len(own), -1, v[name].shape[-1])
            return {name: (own @ columns).reshape(v[name].shape)}

        return Problem(
            force=lambda r: {name: drive[name] - curvature(r)[name]},
            drive=drive,
            curvature=curvature,
            stored=own,
            own={name: own},
            pull=lambda name, others: drive[name],
            neighbours={name: frozenset()},
            activations={name: self.activations[name]},
            weights={name: self.weights[name]},
            affine=True,
            blocks=len(own),
            sizes={name: size},
            potentials=True,
        )

    def split(self) -> "Problem":
        """Split an affine force into the drive, which is computed once, and a linear map, which every step evaluates.

        The forces of clamped and settled populations, with the gathers of their receptive fields, are part of the
        drive.

        Returns
        -------
        Problem
            The same problem, for a loop over steps.
        """
        if not self.affine:
            return self
        _, linear = jax.linearize(self.force, jax.tree.map(jnp.zeros_like, self.drive))
        return dataclasses.replace(self, force=lambda r: jax.tree.map(jnp.add, self.drive, linear(r)))

    def matrices(self) -> Blocks:
        """Curvature as one matrix for each block, computed by probing if it is not stored."""
        if self.stored is not None:
            return self.stored
        # Sample k probes neuron k of all blocks at once, as blocks do not interact.
        probes, start = {}, 0
        for name, size in self.sizes.items():
            own = size // self.blocks
            columns = jnp.eye(self.block_size)[start : start + own]
            probes[name] = jnp.tile(columns, (self.blocks, 1))
            start += own
        response = self.curvature(probes)
        parts = [response[name].reshape(self.blocks, -1, self.block_size) for name in probes]
        return jnp.concatenate(parts, axis=1)


def stage_problem(
    net: Network,
    stage: Sequence[str],
    settled: Activities,
    *,
    extra: Sequence[Term] = (),
    potentials: bool = True,
) -> Problem:
    """Describe the relaxation of one stage.

    Parameters
    ----------
    net : Network
    stage : sequence of str
        Populations that relax together.
    settled : dict of str to array of shape (neurons, samples)
        Activities of the clamped populations and entries, and of all stages before this one.
    extra : sequence of Term
        Terms of the phase, besides those of the network.
    potentials : bool
        Whether the solver must return potentials besides activities.

    Returns
    -------
    Problem

    Raises
    ------
    ValueError
        If a term offers a curvature for another number of neurons than a population has.
    """
    weights = {name: net.energy_weight[name] for name in stage}
    sizes = {name: net.populations[name].grid.size for name in stage}
    terms = [*net.terms, *extra]
    terms = [t for t, there in zip(terms, present(terms, {*settled, *stage}), strict=True) if there]
    terms = [t for t in terms if felt_in(stage, t)]

    def force(fixed: Activities, of: Sequence[Term] = terms) -> Callable[[Activities], Activities]:
        def scaled_gradient(r: Activities) -> Activities:
            energies, pullback = jax.vjp(lambda r: term_energies(net, of, {**fixed, **r}), r)
            (descent,) = pullback(-jnp.ones_like(energies))
            return {name: descent[name] / weights[name] for name in r}

        return scaled_gradient

    def at_rest(fixed: Activities) -> dict[str, Float[Array, "_ samples"]]:
        some = next(iter(fixed.values()))
        return {name: jnp.zeros((size, some.shape[-1]), some.dtype) for name, size in sizes.items()}

    def curvature(v: Activities) -> Activities:
        probes = next(iter(v.values())).shape[-1]
        silent = {name: jnp.zeros((len(r), probes), r.dtype) for name, r in settled.items()}
        _, change = jax.jvp(force(silent), (at_rest(silent),), (v,))
        return jax.tree.map(jnp.negative, change)

    rest = at_rest(settled)
    affine = all(t.quadratic(stage) for t in terms)
    own = {name: _stored(net, name, terms) if affine else None for name in stage}
    stored = own[stage[0]] if len(stage) == 1 else None
    joining, apart = [], []
    for term in terms:
        (joining if len(set(term.populations) & set(stage)) > 1 else apart).append(term)

    def pull(name: str, others: Activities) -> Float[Array, "_ samples"]:
        shared = [t for t in joining if name in t.populations and not passive(t, others)]
        if not shared:
            return constant[name]
        missing = {other: rest[other] for other in stage if other not in others}

        def energies(r: Float[Array, "_ samples"]) -> Float[Array, " samples"]:
            return term_energies(net, shared, {**settled, **others, **missing, name: r})

        value, pullback = jax.vjp(energies, rest[name])
        (descent,) = pullback(-jnp.ones_like(value))
        return constant[name] + descent / weights[name]

    def passive(term: Term, moved: Collection[str] = ()) -> bool:
        # A homogeneous term exerts no force where all populations that it reads are at rest.
        return term.homogeneous and set(term.populations) <= set(stage) and not set(term.populations) & set(moved)

    def at_zero(of: Sequence[Term]) -> Activities:
        return force(settled, [t for t in of if not passive(t)])(rest)

    neighbours = {
        name: frozenset(p for t in joining if name in t.populations for p in t.populations if p in stage and p != name)
        for name in stage
    }
    drive = at_zero(terms)
    # The forces that do not depend on the other populations of the stage.
    constant = at_zero(apart) if joining else drive
    return Problem(
        force=force(settled),
        drive=drive,
        curvature=curvature,
        stored=stored,
        own=own,
        pull=pull,
        neighbours=neighbours,
        activations={name: net.activations[name] for name in stage},
        weights=weights,
        affine=affine,
        blocks=1 if stored is None else len(stored),
        sizes=sizes,
        potentials=potentials,
    )


def _stored(net: Network, name: str, terms: Sequence[Term]) -> Blocks | None:
    """Curvature of one population alone as one matrix for each block; None if a term offers none."""
    size, parts = net.populations[name].grid.size, []
    for term in terms:
        if name not in term.populations:
            continue
        offered = term.curvature(term.parameters, name)
        if offered is None:
            return None
        factor = net.term_weight(term) / net.energy_weight[name]
        for own in offered:
            if own.shape != (1, 1, 1) and len(own) * own.shape[1] != size:
                raise ValueError(
                    f"The curvature of {described(term)} is for {len(own) * own.shape[1]} neurons, but population "
                    f"{name!r} has {size}; return matrices for all of its neurons, or None."
                )
        parts += [own if factor == 1 else factor * own for own in offered]
    whole = [own for own in parts if own.shape != (1, 1, 1) or size == 1]
    multiples = [own for own in parts if not (own.shape != (1, 1, 1) or size == 1)]
    if not whole:
        return jnp.tile(sum(multiples, start=jnp.zeros((1, 1, 1))), (size, 1, 1))
    number = math.gcd(*(len(own) for own in whole))
    total = sum((_joined(own, number) for own in whole), start=jnp.zeros(()))
    return (
        total + sum(multiples, start=jnp.zeros(())) * jnp.eye(total.shape[1], dtype=total.dtype) if multiples else total
    )


def _joined(blocks: Blocks, number: int) -> Blocks:
    """Join consecutive blocks into fewer, larger ones."""
    some = len(blocks) // number
    if some == 1:
        return blocks
    size = blocks.shape[1]
    apart = jnp.eye(some, dtype=blocks.dtype)
    joined = jnp.einsum("nsij,st->nsitj", blocks.reshape(number, some, size, size), apart)
    return joined.reshape(number, some * size, some * size)

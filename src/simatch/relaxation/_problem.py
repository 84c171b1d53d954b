"""What a solver sees of one stage: forces on the activities, nothing about pathways."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..network import Activation, Activities, AntiHebbian, Network, Pathway, interactions


class Problem(eqx.Module):
    """Find the activities of one stage's populations at which ``r = f(r + force(r))``.

    `force` is minus half the derivative of the interactions, divided by each population's importance:
    ``W r_below - L r + gamma W' r_above`` for the networks of the paper, so that ``r + force(r)`` is the input
    current of equation (10).

    Attributes
    ----------
    force : callable
        Activities of the stage to the forces on them.
    drive : dict of str to array
        Forces at rest, where all activities of the stage are 0.
    curvature : callable
        The linear map ``-d force`` at rest, on any number of samples; it is the same for all of them.
    stored : array or None
        `curvature` as one matrix for each block, where weights are stored like this.
    activations : dict of str to Activation
        Activation of each population of the stage.
    importance : dict of str to float
        The metric in which `curvature` is symmetric.
    affine : bool
        Whether `force` is `drive` less `curvature`.
    blocks : int
        Number of consecutive, equally large groups of neurons that do not interact.
    potentials : bool
        Whether potentials are asked for, besides activities.
    """

    force: Callable[[Activities], Activities]
    drive: Activities
    curvature: Callable[[Activities], Activities]
    stored: Float[Array, "blocks size size"] | None
    activations: dict[str, Activation]
    importance: dict[str, float]
    affine: bool = eqx.field(static=True)
    blocks: int = eqx.field(static=True)
    sizes: dict[str, int] = eqx.field(static=True)
    potentials: bool = eqx.field(static=True)

    def activities(self, potentials: Activities) -> Activities:
        """Activities ``f(u)``."""
        return {name: self.activations[name](u) for name, u in potentials.items()}

    def inner(self, a: Activities, b: Activities) -> Float[Array, "blocks _"]:
        """Inner product within every block and sample, in the metric in which `curvature` is symmetric."""
        total = jnp.zeros(())
        for name in a:
            product = (a[name] * b[name]).reshape(self.blocks, -1, a[name].shape[-1])
            total = total + self.importance[name] * jnp.sum(product, axis=1)
        return total

    def spread(self, per_block: Float[Array, "blocks _"]) -> Activities:
        """Repeat one number a block for every neuron of the stage."""
        return {name: jnp.repeat(per_block, size // self.blocks, axis=0) for name, size in self.sizes.items()}

    @property
    def block_size(self) -> int:
        """Neurons in a block."""
        return sum(self.sizes.values()) // self.blocks

    def matrices(self) -> Float[Array, "blocks size size"]:
        """Write out the curvature of every block."""
        if self.stored is not None:
            return self.stored
        # One sample for each unit of a block, active in all blocks at once.
        probes, start = {}, 0
        for name, size in self.sizes.items():
            own = size // self.blocks
            columns = jnp.eye(self.block_size)[start : start + own]
            probes[name] = jnp.tile(columns, (self.blocks, 1))
            start += own
        response = self.curvature(probes)
        parts = [response[name].reshape(self.blocks, -1, self.block_size) for name in probes]
        return jnp.concatenate(parts, axis=1)


def stage_problem(net: Network, stage: tuple[str, ...], settled: Activities, *, potentials: bool = True) -> Problem:
    """Describe the relaxation of one stage, given the activities of the inputs and of all stages before it."""
    importance = {name: net.importance[name] for name in stage}
    sizes = {name: net.populations[name].grid.size for name in stage}

    def ends_here(p):
        return p.post in stage

    # Interactions are linear in the weights: with these minus half of them, and no pass over activities.
    halved = jax.tree.map(lambda w: -0.5 * w, net.weights)

    def force(fixed, of=ends_here):
        def total(r):
            return jnp.sum(interactions(net, {**fixed, **r}, halved, of))

        def scaled_gradient(r):
            return {name: g / importance[name] for name, g in jax.grad(total)(r).items()}

        return scaled_gradient

    def at_rest(fixed):
        samples = next(iter(fixed.values())).shape[-1]
        dtype = next(iter(fixed.values())).dtype
        return {name: jnp.zeros((size, samples), dtype) for name, size in sizes.items()}

    def curvature(v):
        probes = next(iter(v.values())).shape[-1]
        silent = {name: jnp.zeros((len(r), probes), r.dtype) for name, r in settled.items()}
        _, change = jax.jvp(force(silent), (at_rest(silent),), (v,))
        return jax.tree.map(jnp.negative, change)

    inside = [p for p in net.pathways if p.pre in stage and p.post in stage]
    stored, rest = _stored(inside), at_rest(settled)
    # A pathway that is the whole curvature says nothing to neurons at rest.
    drive = force(settled, ends_here if stored is None else lambda p: ends_here(p) and p.pre not in stage)(rest)
    affine = all(p.quadratic for p in net.pathways if ends_here(p))
    blocks = min((p.connectivity.blocks for p in inside), default=1) if len(stage) == 1 else 1
    return Problem(
        force=_affine(force(settled), rest, drive) if affine else force(settled),
        drive=drive,
        curvature=curvature,
        stored=stored,
        activations={name: net.activations[name] for name in stage},
        importance=importance,
        affine=affine,
        blocks=blocks,
        sizes=sizes,
        potentials=potentials,
    )


def _stored(inside: list[Pathway]) -> Float[Array, "blocks size size"] | None:
    """Curvature of a stage that only one lateral pathway of its own adds to: its weights."""
    if len(inside) == 1 and isinstance(inside[0], AntiHebbian):
        return inside[0].connectivity.matrices(inside[0].weights)
    return None


def _affine(
    force: Callable[[Activities], Activities], rest: Activities, drive: Activities
) -> Callable[[Activities], Activities]:
    """Split an affine force into the drive and a linear map.

    What is left to every step is only what changes with the activities of this stage: what comes from populations
    that are already settled, with its gathers, is part of the drive.
    """
    _, linear = jax.linearize(force, rest)
    return lambda r: jax.tree.map(jnp.add, drive, linear(r))

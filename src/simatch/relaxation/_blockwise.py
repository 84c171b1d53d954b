"""Small blocks of neurons, each settled for itself in native code: the default."""

import math
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .. import _native as native
from ..network import Activation, Activities, entry_of
from ._accelerated import Accelerated
from ._problem import Problem
from ._solver import Settled, Solver, Status

# The matrices of larger blocks leave the cache of a core, and their products are large enough for XLA to be fast.
LARGEST_BLOCK = 512


@final
class Blockwise(Solver):
    """Every block of interacting neurons (a site, without feedback and lateral synapses to others) for itself.

    Each block settles some samples at a time in the registers and caches of one core, with compiled code of its
    own; where samples are few, sixteen small blocks settle at a time instead, with the same results. Blocks of up to
    16 neurons take Newton steps. Larger ones of ReLU units are swept neuron by neuron; in others the quadratic and the
    separable part of the energy take turns (alternating directions), with a matrix that is inverted once for all
    samples. What is not done after some steps goes on with accelerated proximal gradient steps. A block that is done
    does no more work. The tolerance holds in every block, so that the residual of all is often much smaller.

    It needs a CPU, Numba, single precision, forces that are linear in the activities, and one of the activations of
    this library; a stage that lacks any of these, such as layers with feedback, is left to `Accelerated`.

    Parameters
    ----------
    max_steps : int
        Steps after which a sample counts as not converged.

    References
    ----------
    Boyd, Parikh, Chu, Peleato and Eckstein 2011 (alternating directions); section 6 of ``docs/mathematics.md``;
    ``docs/performance.md``.

    Examples
    --------
    >>> import jax, simatch as sm
    >>> net = sm.layered(sm.Grid(8, 8), [sm.Layer(units=4, stride=2, radius=2.0)])
    >>> out = sm.relax(net, jax.random.normal(jax.random.key(0), (5, 8, 8)), solver=sm.Blockwise())
    >>> bool(out.converged.all())
    True
    """

    max_steps: int = eqx.field(static=True, default=1000)

    def solve(
        self, problem: Problem, start: Activities | None, tolerance: Float[Array, ""], max_steps: int | None
    ) -> Settled:
        def anywhere(start, tolerance):
            return Accelerated().solve(problem, start, tolerance, max_steps)

        def here(start, tolerance):
            return _solve(problem, start, tolerance, max_steps or self.max_steps)

        if not suits(problem):
            return anywhere(start, tolerance)
        return jax.lax.platform_dependent(start, tolerance, cpu=here, default=anywhere)


def suits(problem: Problem) -> bool:
    """Whether native code can settle a problem."""
    return (
        len(problem.sizes) == 1
        and problem.affine
        and problem.block_size <= LARGEST_BLOCK
        and all(drive.dtype == jnp.float32 for drive in problem.drive.values())
        and all((entry := entry_of(f)) is not None and entry.native is not None for f in problem.activations.values())
        and native.available()
    )


def _numbers(f: Activation) -> tuple[float, float, float, float]:
    """Describe an activation to native code: its kind, threshold and bounds."""
    entry = entry_of(f)
    assert entry is not None
    assert entry.native is not None
    return entry.native, getattr(f, "threshold", 0.0), f.lower, f.upper


def settle_blocks(
    problem: Problem, start: Activities | None, tolerance: Float[Array, ""], max_steps: int
) -> tuple[
    Activities, Activities, Int[Array, "blocks samples"], Float[Array, "blocks samples"], Float[Array, "blocks samples"]
]:
    """Settle a problem that suits: potentials, activities, and steps, squared defect and size of every block."""
    ((name, drive),) = problem.drive.items()
    shape = (problem.blocks, problem.block_size, drive.shape[-1])
    matrices, activation = problem.matrices(), problem.activations[name]
    potentials, activities, steps, defect, size = native.settle(
        matrices,
        drive.reshape(shape),
        jnp.zeros((*shape[:2], 0), drive.dtype) if start is None else start[name].reshape(shape),
        jnp.stack([*map(jnp.float32, _numbers(activation)), tolerance.astype(jnp.float32)]),
        jnp.asarray([max_steps], jnp.int32),
        potentials=problem.potentials,
    )
    kept = {name: potentials.reshape(drive.shape)} if problem.potentials else {}
    return kept, {name: activities.reshape(drive.shape)}, steps, defect, size


def _solve(problem: Problem, start: Activities | None, tolerance: Float[Array, ""], max_steps: int) -> Settled:
    potentials, activities, steps, defect, size = settle_blocks(problem, start, tolerance, max_steps)
    defect, size = jnp.sum(defect, axis=0), jnp.sum(size, axis=0)
    residual = jnp.where(defect == 0, 0, jnp.sqrt(defect / jnp.where(size > 0, size, 1)))
    residual = jnp.where((size == 0) & (defect > 0), math.inf, residual)
    status = jnp.where(residual <= tolerance, Status.CONVERGED, Status.MAX_STEPS)
    bounded = jnp.isfinite(defect) & (size < 1e24)
    return Settled(
        potentials, activities, residual, jnp.max(steps, axis=0), jnp.where(bounded, status, Status.DIVERGED)
    )

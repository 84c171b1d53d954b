"""Blocks of neurons that do not interact, relaxed in native code."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .. import _native as native
from ..network import Activation, Activities, entry_of
from ._accelerated import Accelerated
from ._direct import solvable, solve_directly
from ._problem import Problem
from ._solver import Settled, Status

# Larger blocks were not measured: their matrices are far larger than the cache of a core, and XLA multiplies them fast.
LARGEST_BLOCK = 1024


def settle_alone(
    problem: Problem,
    start: Activities | None,
    tolerance: Float[Array, ""],
    max_steps: int,
    elsewhere: int | None,
    done: Bool[Array, " samples"] | None = None,
) -> Settled:
    """Relax one population: directly, in native code, or by `Accelerated` with at most `elsewhere` steps.

    Samples that are done stay where they start; their residual says nothing.
    """

    def anywhere(start, tolerance, done):
        return unless_done(problem, done, start, Accelerated().solve(problem, start, tolerance, elsewhere))

    def here(start, tolerance, done):
        return _solve(problem, start, tolerance, max_steps, done)

    if solvable(problem):
        return unless_done(problem, done, start, solve_directly(problem, tolerance))
    if not suits(problem):
        return anywhere(start, tolerance, done)
    return native.on_cpus(here, anywhere, start, tolerance, done)


def unless_done(
    problem: Problem, done: Bool[Array, " samples"] | None, start: Activities | None, settled: Settled
) -> Settled:
    """Return what was settled, but for samples that are done where they started."""
    if done is None or start is None:
        return settled
    keep = functools.partial(jax.tree.map, functools.partial(jnp.where, done))
    activities = keep(problem.activities(start), settled.activities)
    return settled._replace(
        potentials=keep(start, settled.potentials) if settled.potentials else {}, activities=activities
    )


def suits(problem: Problem) -> bool:
    """Whether native code can relax a problem."""
    return (
        len(problem.sizes) == 1
        and problem.affine
        and problem.block_size <= LARGEST_BLOCK
        and all(drive.dtype == jnp.float32 for drive in problem.drive.values())
        and all((entry := entry_of(f)) is not None and entry.native is not None for f in problem.activations.values())
        and native.available()
    )


def _numbers(f: Activation) -> tuple[Any, ...]:
    """Numbers that describe an activation to native code: kind, threshold, lower and upper bound."""
    entry = entry_of(f)
    assert entry is not None
    assert entry.native is not None
    return entry.native, getattr(f, "threshold", 0.0), f.lower, f.upper


def settle_blocks(
    problem: Problem,
    start: Activities | None,
    tolerance: Float[Array, ""],
    max_steps: int,
    done: Bool[Array, " samples"] | None = None,
) -> tuple[
    Activities, Activities, Int[Array, "blocks samples"], Float[Array, "blocks samples"], Float[Array, "blocks samples"]
]:
    """Relax a problem that `suits` accepts, in native code.

    Returns
    -------
    potentials, activities : dict of str to array of shape (neurons, samples)
        Without potentials, an empty dict, if the problem does not ask for them.
    steps, defect, size : arrays of shape (blocks, samples)
        Steps taken, and the squared norms of ``f(u) - r`` and of r.
    """
    ((name, drive),) = problem.drive.items()
    shape = (problem.blocks, problem.block_size, drive.shape[-1])
    matrices, activation = problem.matrices(), problem.activations[name]
    potentials, activities, steps, defect, size = native.settle(
        matrices,
        drive.reshape(shape),
        jnp.zeros((*shape[:2], 0), drive.dtype) if start is None else start[name].reshape(shape),
        jnp.stack([*map(jnp.float32, _numbers(activation)), tolerance.astype(jnp.float32)]),
        jnp.asarray([max_steps], jnp.int32),
        None if done is None else 1 - done.astype(jnp.float32),
        potentials=problem.potentials,
    )
    kept = {name: potentials.reshape(drive.shape)} if problem.potentials else {}
    return kept, {name: activities.reshape(drive.shape)}, steps, defect, size


def _solve(
    problem: Problem,
    start: Activities | None,
    tolerance: Float[Array, ""],
    max_steps: int,
    done: Bool[Array, " samples"] | None,
) -> Settled:
    potentials, activities, steps, defect, size = settle_blocks(problem, start, tolerance, max_steps, done)
    defect, size = jnp.sum(defect, axis=0), jnp.sum(size, axis=0)
    residual = jnp.where(defect == 0, 0, jnp.sqrt(defect / jnp.where(size > 0, size, 1)))
    residual = jnp.where(((size == 0) & (defect > 0)) | _hidden(problem, size), math.inf, residual)
    status = jnp.where(residual <= tolerance, Status.CONVERGED, Status.MAX_STEPS)
    bounded = jnp.isfinite(defect) & (size < 1e24)
    return Settled(
        potentials, activities, residual, jnp.max(steps, axis=0), jnp.where(bounded, status, Status.DIVERGED)
    )


def _hidden(problem: Problem, size: Float[Array, " samples"]) -> Bool[Array, " samples"]:
    """Whether activities are so small that their squares vanish, so that nothing can be said about convergence."""
    ((name, drive),) = problem.drive.items()
    tiny = jnp.finfo(drive.dtype).tiny

    def look(drive):
        # Activities of 0 are settled if the drive alone elicits none.
        largest = jnp.max(jnp.abs(problem.activations[name](drive)), axis=0)
        return (size <= tiny) & (largest > 0) & (largest < 1e3 * jnp.sqrt(tiny))

    # Another pass over the drive, only if some sample is silent.
    return jax.lax.cond(jnp.any(size <= tiny), look, lambda drive: jnp.zeros(drive.shape[-1], bool), drive)

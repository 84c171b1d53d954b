"""Solvers that were measured and are not in the library: see ``docs/performance.md`` for what came out.

All work on stages of one population.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import simatch as sm
from simatch.network import Activities
from simatch.relaxation import Problem
from simatch.relaxation._spectrum import largest_eigenvalue

UNROLLED = 8
Matrix = Float[Array, "..."]


def solve_unrolled(A: list[list[Matrix]], b: list[Matrix]) -> list[Matrix]:
    """Solve many small positive definite systems side by side; every entry is an array over all systems."""
    n = len(b)
    A, b = [row[:] for row in A], b[:]
    for i in range(n):
        for k in range(i + 1, n):
            factor = A[k][i] / A[i][i]
            for j in range(i + 1, n):
                A[k][j] = A[k][j] - factor * A[i][j]
            b[k] = b[k] - factor * b[i]
    for i in reversed(range(n)):
        b[i] = (b[i] - sum(A[i][j] * b[j] for j in range(i + 1, n))) / A[i][i]
    return b


class _OnePopulation(sm.relaxation.Iteration):
    max_steps: int = eqx.field(static=True, default=200)
    check_every: int = eqx.field(static=True, default=1)

    def prepare(self, problem: Problem) -> Matrix:
        return problem.matrices()

    @staticmethod
    def _blocks(problem: Problem, activities: Activities) -> tuple[str, Matrix]:
        ((name, a),) = activities.items()
        return name, a.reshape(problem.blocks, -1, a.shape[-1])


class Newton(_OnePopulation):
    """Newton's method on ``u = b - (L - I) f(u)``, one symmetric system for every block and sample.

    With D the slopes f'(u) and s their square roots, ``(I - D + s L s) y = -s G`` and ``du = -G - (L - I) s y`` for the
    defect G; no slope is divided by, so that saturated and silent units do no harm.
    """

    def begin(self, problem: Problem, prepared: Any, potentials: Activities) -> Activities:
        return potentials

    def step(self, problem: Problem, prepared: Matrix, state: Activities) -> Activities:
        name, u = self._blocks(problem, state)
        f = problem.activations[name]
        r, slope = jax.jvp(f, (u,), (jnp.ones_like(u),))
        flat = {name: r.reshape(state[name].shape)}
        _, force = self._blocks(problem, problem.force(flat))
        defect, s, n = u - r - force, jnp.sqrt(slope), u.shape[1]
        if n <= UNROLLED:
            A = [
                [s[:, i] * prepared[:, i, j, None] * s[:, j] + (1 - slope[:, i] if i == j else 0) for j in range(n)]
                for i in range(n)
            ]
            y = jnp.stack(solve_unrolled(A, [-s[:, i] * defect[:, i] for i in range(n)]), axis=1)
        else:
            column = jnp.moveaxis(s, 1, 2)
            A = column[..., :, None] * prepared[:, None] * column[..., None, :]
            A = A + jnp.eye(n) * (1 - jnp.moveaxis(slope, 1, 2))[..., None]
            y = jnp.moveaxis(jnp.linalg.solve(A, -jnp.moveaxis(s * defect, 1, 2)[..., None])[..., 0], 2, 1)
        change = -defect - prepared @ (s * y) + s * y
        return {name: (u + change).reshape(state[name].shape)}

    def potentials(self, state: Activities) -> Activities:
        return state


class Coordinate(_OnePopulation):
    """Coordinate descent: one unit of every block after the other goes to its optimum; a step is one sweep."""

    def begin(self, problem: Problem, prepared: Any, potentials: Activities) -> Any:
        rest = jax.tree.map(jnp.zeros_like, potentials)
        return potentials, problem.force(rest)

    def step(self, problem: Problem, prepared: Matrix, state: Any) -> Any:
        potentials, drive = state
        (name, u), (_, b) = self._blocks(problem, potentials), self._blocks(problem, drive)
        f = problem.activations[name]

        def visit(i, pair):
            u, r = pair
            row = prepared[:, i]
            length = 1 / row[:, i, None]
            z = b[:, i] - jnp.einsum("bj,bjs->bs", row, r) + r[:, i] / length
            new = f.prox(length * z, length)
            return u.at[:, i].set(new), r.at[:, i].set(f(new))

        u, _ = jax.lax.fori_loop(0, u.shape[1], visit, (u, f(u)))
        return {name: u.reshape(potentials[name].shape)}, drive

    def potentials(self, state: Any) -> Activities:
        return state[0]


class Anderson(sm.relaxation.Iteration):
    """Anderson's mixing of the last proximal gradient steps, in every block and sample.

    Parameters
    ----------
    memory : int
        Differences of steps that are mixed.
    """

    memory: int = eqx.field(static=True, default=3)
    max_steps: int = eqx.field(static=True, default=200)
    check_every: int = eqx.field(static=True, default=1)

    def prepare(self, problem: Problem) -> Activities:
        return problem.spread(1 / jnp.maximum(largest_eigenvalue(problem), 1e-3))

    def begin(self, problem: Problem, prepared: Any, potentials: Activities) -> Any:
        history = jax.tree.map(lambda u: jnp.zeros((self.memory, *u.shape), u.dtype), potentials)
        return potentials, potentials, jax.tree.map(jnp.zeros_like, potentials), history, history

    def step(self, problem: Problem, prepared: Activities, state: Any) -> Any:
        u, last_image, last_defect, images, defects = state
        r = problem.activities(u)
        force = problem.force(r)
        image = {
            name: problem.activations[name].refine(
                r[name] + prepared[name] * force[name], prepared[name], u[name], r[name]
            )
            for name in u
        }
        defect = jax.tree.map(jnp.subtract, image, u)
        push = lambda old, a, b: jnp.concatenate([(a - b)[None], old[:-1]])  # noqa: E731
        images = jax.tree.map(push, images, image, last_image)
        defects = jax.tree.map(push, defects, defect, last_defect)
        part = [jax.tree.map(lambda d, i=i: d[i], defects) for i in range(self.memory)]
        gram = [[problem.inner(a, b) for b in part] for a in part]
        ridge = 1e-5 * sum(gram[i][i] for i in range(self.memory)) + 1e-30
        gram = [[g + ridge * (i == j) for j, g in enumerate(row)] for i, row in enumerate(gram)]
        weights = solve_unrolled(gram, [problem.inner(a, defect) for a in part])
        mixed = image
        for i, weight in enumerate(weights):
            own = jax.tree.map(lambda d, i=i: d[i], images)
            mixed = jax.tree.map(lambda a, d, w: a - w * d, mixed, own, problem.spread(weight))
        return mixed, image, defect, images, defects

    def potentials(self, state: Any) -> Activities:
        return state[0]

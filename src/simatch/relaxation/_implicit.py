"""How a fixed point moves with the weights and with what is clamped, without going back through the solver's steps."""

import jax
import jax.numpy as jnp

from ..network import Activities
from ._problem import Problem


def moved(problem: Problem, r: Activities, change: Activities) -> tuple[Activities, Activities]:
    """Return how potentials and activities of a fixed point move when the forces there change.

    At the fixed point ``u = r + force(r)``, ``r = f(u)``. With D the slopes of f and A minus the derivative of the
    force, ``du = (I - A) dr + change`` and ``dr = D du``. Substituting ``dr = D^(1/2) z`` gives
    ``(I - D + D^(1/2) A D^(1/2)) z = D^(1/2) change``, symmetric in the metric of the problem and positive definite
    at a minimum of the energy, which conjugate gradients solve.

    Parameters
    ----------
    problem : Problem
    r : dict of str to array of shape (neurons, samples)
        Activities at the fixed point.
    change : dict of str to array of shape (neurons, samples)
        Of the forces, the activities held fixed.

    References
    ----------
    Blondel and others 2022, on the implicit differentiation of fixed points.
    """
    force, bend = jax.linearize(problem.force, r)
    slope = {
        name: jax.jvp(problem.activations[name], (r[name] + force[name],), (jnp.ones_like(r[name]),))[1] for name in r
    }
    root = {name: jnp.sqrt(jnp.maximum(d, 0)) for name, d in slope.items()}
    # In the metric of the problem: with square roots of the weights the plain inner product serves.
    metric = {name: weight**0.5 for name, weight in problem.weights.items()}

    def operator(z: Activities) -> Activities:
        dr = {name: root[name] * z[name] / metric[name] for name in z}
        back = bend(dr)
        return {name: (1 - slope[name]) * z[name] - root[name] * metric[name] * back[name] for name in z}

    def solve(operator, b: Activities) -> Activities:
        some = next(iter(b.values()))
        accurate = 10 * float(jnp.finfo(some.dtype).eps)
        return jax.scipy.sparse.linalg.cg(operator, b, tol=accurate, maxiter=4 * sum(problem.sizes.values()) + 100)[0]

    b = {name: root[name] * metric[name] * change[name] for name in r}
    z = jax.lax.custom_linear_solve(operator, b, solve, symmetric=True)
    dr = {name: root[name] * z[name] / metric[name] for name in r}
    back = bend(dr)
    return {name: dr[name] + back[name] + change[name] for name in r}, dr

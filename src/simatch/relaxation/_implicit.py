"""Implicit derivatives of a fixed point in weights and clamped activities, without the steps of the solver."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..network import Activities
from ._problem import Problem

Joined = Float[Array, "neurons samples"]


def moved(problem: Problem, r: Activities, change: Activities) -> tuple[Activities, Activities]:
    """Return the change of potentials and activities at a fixed point for a given change of the forces.

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
        Change of the forces at fixed activities.

    Returns
    -------
    potentials, activities : dict of str to array of shape (neurons, samples)
        Their changes.

    References
    ----------
    Equation (19) of ``docs/mathematics.md``; Blondel and others 2022, on the implicit differentiation of fixed points.
    """
    force, bend = jax.linearize(problem.force, r)
    names, ends = list(r), np.cumsum([len(own) for own in r.values()])[:-1]

    # All populations are joined in one array: JAX transposes a linear solve only if its solution depends on every
    # array of its right side.
    def joined(parts: Activities) -> Joined:
        return jnp.concatenate([parts[name] for name in names])

    def split(whole: Joined) -> Activities:
        return dict(zip(names, jnp.split(whole, ends), strict=True))

    slope = joined({n: jax.jvp(problem.activations[n], (r[n] + force[n],), (jnp.ones_like(r[n]),))[1] for n in names})
    root = jnp.sqrt(jnp.maximum(slope, 0))
    # Scaled by the square roots of the weights, the metric of the problem becomes the plain inner product.
    metric = joined({n: jnp.full_like(r[n], problem.weights[n] ** 0.5) for n in names})

    def operator(z: Joined) -> Joined:
        return (1 - slope) * z - root * metric * joined(bend(split(root * z / metric)))

    def solve(operator, b: Joined) -> Joined:
        accurate = 10 * float(jnp.finfo(b.dtype).eps)
        return jax.scipy.sparse.linalg.cg(operator, b, tol=accurate, maxiter=4 * len(b) + 100)[0]

    b = root * metric * joined(change)
    dr = split(root * jax.lax.custom_linear_solve(operator, b, solve, symmetric=True) / metric)
    back = bend(dr)
    return {n: dr[n] + back[n] + change[n] for n in names}, dr

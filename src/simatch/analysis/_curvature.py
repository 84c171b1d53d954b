"""Curvature of the energy of a network in its activities."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..network import Network
from ..relaxation import Problem, stage_problem

# Neurons of a block whose matrix is written out: 400 MB in single precision.
MOST = 10_000


def curvature_eigenvalues(net: Network, layers: Sequence[str] | None = None) -> Float[np.ndarray, "blocks size"]:
    """Eigenvalues of the curvature of the energy in the activities at rest, for every block of interacting neurons.

    Near a fixed point activities settle, mode by mode, like ``exp(-h t / tau)`` with these eigenvalues h, as long as
    units respond linearly. For one layer of `simatch.layered` they are the eigenvalues of L; feedback brings in the
    pathways between layers. The cost F of activities is not part of it: slopes of f below 1 make modes faster.

    Parameters
    ----------
    net : Network
    layers : sequence of str, optional
        Populations that relax together while all others stay as they are; by default all that can relax.

    Returns
    -------
    array of shape (blocks, size)
        In ascending order. There are several blocks if lateral synapses stay within sites and `layers` is one
        population.

    Raises
    ------
    ValueError
        If a population does not exist or cannot relax, or a block has more than 10,000 neurons.

    References
    ----------
    Section 6 of ``docs/mathematics.md``.

    Examples
    --------
    Before learning, lateral weights are the identity:

    >>> import simatch as sm
    >>> from simatch import analysis
    >>> net = sm.layered(sm.Grid(4, 4), [sm.Layer(units=2, stride=2, radius=2.0)])
    >>> analysis.curvature_eigenvalues(net).round(6).tolist()
    [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
    """
    layers = net.layers if layers is None else tuple(layers)
    for name in layers:
        if name not in net.layers:
            raise ValueError(
                f"There is no population {name!r} that relaxes; there are {', '.join(map(repr, net.layers))}."
            )
    others = {
        name: jnp.zeros((population.grid.size, 1), float)
        for name, population in net.populations.items()
        if name not in layers
    }
    problem = stage_problem(net, layers, others)
    if problem.block_size > MOST:
        raise ValueError(
            f"The curvature of {', '.join(map(repr, layers))} would be a matrix of {problem.block_size} neurons, more "
            f"than {MOST}; look at a single layer, or at a smaller network."
        )
    # The curvature is symmetric in the metric of the populations' weights.
    root = np.sqrt(_weights(problem))
    matrices = np.asarray(problem.matrices()) * root[:, :, None] / root[:, None, :]
    return np.linalg.eigvalsh((matrices + matrices.swapaxes(1, 2)) / 2)


def _weights(problem: Problem) -> Float[np.ndarray, "blocks size"]:
    """Weight of the population of every neuron of every block."""
    return np.concatenate(
        [
            np.full((problem.blocks, size // problem.blocks), problem.weights[name], np.float32)
            for name, size in problem.sizes.items()
        ],
        axis=1,
    )

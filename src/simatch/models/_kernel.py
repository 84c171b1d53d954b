"""Kernel similarity matching: activities whose dot products match a kernel of the inputs."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from .._checks import number, whole
from ..learning import GradientRule, Rule, ScaledRule
from ..network import AntiHebbian, CosinePowerKernel, Dense, Grid, Kernel, Landmarks, Leak, Network, Population
from ..relaxation import Direct, Phase
from ._samples import samples_of

INPUT, UNITS = "input", "units"
# Strengths below this count as this in the preconditioner.
_WEAKEST = 1e-3


def kernel_matching(
    inputs: int,
    units: int,
    kernel: Kernel,
    *,
    leak: float = 1e-3,
    lateral: float = 1.0,
    samples: Any = None,
    size: float = 1.0,
    seed: int = 0,
) -> Network:
    """Build linear units with landmarks, whose dot products learn to match a kernel of the inputs.

    Settled activities are ``y = (L + leak)^-1 (q o f(x, w))``, one factorisation a batch. Train by `kernel_rule`, at
    rates such as ``{"descending": 0.01, "ascending": 0.1}``.

    Parameters
    ----------
    inputs, units : int
        Numbers of features and of units, at least 1.
    kernel : Kernel
        f; for `simatch.CosinePowerKernel` divide the data by the root of their mean squared length.
    leak : float
        lam, above 0: bounds the activities while L has small eigenvalues.
    lateral : float
        Initial L is this times the identity, above 0.
    samples : array of shape (samples, inputs), optional
        Initial landmarks are some of them, chosen at random, times `size`; by default they are drawn from N(0, 1/4).
    size : float
        Above 0.
    seed : int
        Seed of the initial landmarks, at least 0.

    Returns
    -------
    Network
        Its units are the population "units".

    Raises
    ------
    ValueError
        If a setting is out of range or `samples` do not fit.

    References
    ----------
    Luther and Seung, NeurIPS 2022, arXiv 2204.07475; ``docs/models/kernel.md``.

    Examples
    --------
    >>> import simatch as sm
    >>> from simatch.models import kernel_matching
    >>> net = kernel_matching(2, 16, sm.RadialKernel(0.3))
    >>> [type(term).__name__ for term in net.terms]
    ['Landmarks', 'AntiHebbian', 'Leak']
    """
    below, above = Grid(1, 1, whole(inputs, "The number of inputs")), Grid(1, 1, whole(units, "The number of units"))
    lateral = number(lateral, "The initial lateral weight", above=0)
    leak = number(leak, "The leak", above=0)
    parameters = None
    if samples is not None:
        rows = samples_of(samples, below.size)
        order = np.random.default_rng(whole(seed, "The seed", least=0)).permutation(len(rows))
        landmarks = number(size, "The size of landmarks", above=0) * rows[np.resize(order, above.size)]
        parameters = {"landmarks": jnp.asarray(landmarks, float), "strengths": jnp.ones(above.size)}
    return Network(
        {INPUT: Population(below), UNITS: Population(above, "linear")},
        [
            Landmarks(INPUT, UNITS, Dense(below, above), kernel, parameters=parameters),
            AntiHebbian(UNITS, Dense(above, above), parameters=lateral * jnp.eye(above.size)),
            Leak(UNITS, leak),
        ],
        seed=seed,
    )


def kernel_rule(net: Network) -> Rule:
    """Return the rule by which a network of `kernel_matching` learns, equation (C3).

    The change of landmarks is divided by the square of their strength. Strengths do not learn with
    `simatch.CosinePowerKernel`, where the lengths of landmarks take their place.

    Parameters
    ----------
    net : Network

    Returns
    -------
    Rule

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> from simatch.models import kernel_matching, kernel_rule
    >>> x = np.random.default_rng(0).normal(size=(640, 2))
    >>> net = kernel_matching(2, 16, sm.RadialKernel(1.0))
    >>> rates = {"descending": 0.01, "ascending": 0.1}
    >>> net, reports = sm.train(net, x, rule=kernel_rule(net), rate=rates, batch_size=64, progress=False)
    """
    term = net.terms[0]
    assert isinstance(term, Landmarks)
    fixed = isinstance(term.kernel, CosinePowerKernel)
    phase = Phase(solver=Direct())
    return ScaledRule(GradientRule(phase), {0: _landmarks_alone if fixed else _by_strength})


def _by_strength(parameters: PyTree) -> PyTree:
    """Factors ``1 / q^2`` on the changes of landmarks."""
    strengths = jnp.maximum(jnp.abs(parameters["strengths"]), _WEAKEST)
    return {"landmarks": 1 / strengths[:, None] ** 2, "strengths": 1.0}


def _landmarks_alone(parameters: PyTree) -> PyTree:
    return {"landmarks": 1.0, "strengths": 0.0}

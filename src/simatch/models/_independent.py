"""Nonnegative independent components: sources that are mixed linearly and cannot be negative."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from .._checks import whole
from ..learning import AveragingRule, CentredRule, RecruitingRule, RegressionRule, Rule
from ..network import AntiHebbian, Dense, Grid, Hebbian, Interneurons, Network, Population, WhitenedHebbian
from ._samples import samples_of

INPUT, CENTRED, UNITS = "input", "centred", "units"


def nonnegative_components(inputs: int, units: int, *, samples: Any = None, seed: int = 0) -> Network:
    """Build units that cannot be negative and learn to be the sources of a mixture, directly.

    One compartment carries the input x, the other, as reference, the input less its mean. Batches have both, in the
    entries "input" and "centred". Train by `nonnegative_rule`.

    Parameters
    ----------
    inputs, units : int
        Numbers of features and of sources, at least 1; as many of both, or fewer sources.
    samples : array of shape (samples, inputs), optional
        From which initial weights are found that let all units respond: a random rotation of the whitened samples, to
        whose mean every unit responds. By default weights are random, and half of the units may be silent.
    seed : int
        Seed of the initial weights, at least 0.

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
    Plumbley 2003; Lipshutz, Pehlevan, Chklovskii 2022, arXiv 2010.12632; ``docs/models/independent.md``.

    Examples
    --------
    >>> from simatch.models import nonnegative_components
    >>> net = nonnegative_components(3, 3)
    >>> [type(term).__name__ for term in net.terms]
    ['WhitenedHebbian', 'AntiHebbian']
    """
    below, above, start = _begin(inputs, units, samples, seed)
    return Network(
        {INPUT: Population(below), CENTRED: Population(below), UNITS: Population(above, "relu")},
        [
            WhitenedHebbian(INPUT, UNITS, Dense(below, above), reference=CENTRED, parameters=start),
            AntiHebbian(UNITS, Dense(above, above)),
        ],
        seed=seed,
    )


def nonnegative_interneurons(inputs: int, units: int, *, samples: Any = None, seed: int = 0) -> Network:
    """Build units that cannot be negative and learn to be the sources of a mixture, with interneurons.

    Batches have the input alone. Train by `nonnegative_rule`; the inputs should be whitened, without removing their
    mean, or learning is slow.

    Parameters
    ----------
    inputs, units, samples, seed
        As in `nonnegative_components`.

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
    Lipshutz, Pehlevan, Chklovskii 2022, arXiv 2010.12632; ``docs/models/independent.md``.

    Examples
    --------
    >>> from simatch.models import nonnegative_interneurons
    >>> [type(term).__name__ for term in nonnegative_interneurons(3, 3).terms]
    ['Hebbian', 'Interneurons']
    """
    below, above, start = _begin(inputs, units, samples, seed)
    return Network(
        {INPUT: Population(below), UNITS: Population(above, "relu")},
        [Hebbian(INPUT, UNITS, Dense(below, above), parameters=start), Interneurons(UNITS, above, above.size)],
        seed=seed,
    )


def nonnegative_rule(net: Network, *, memory: float | None = None) -> Rule:
    """Return the rule by which `nonnegative_components` or `nonnegative_interneurons` learn.

    Units that have been silent for 20 batches learn as if they responded to all samples alike (`RecruitingRule`).

    Parameters
    ----------
    net : Network
    memory : float, optional
        Largest number of batches, at least 1, over which running means extend, for data that change in time.

    Returns
    -------
    Rule

    Raises
    ------
    ValueError
        If `memory` is below 1 or not finite.

    References
    ----------
    ``docs/models/independent.md``.

    Examples
    --------
    >>> import numpy as np, simatch as sm
    >>> from simatch.models import nonnegative_components, nonnegative_rule
    >>> rng = np.random.default_rng(0)
    >>> s = rng.uniform(0, np.sqrt(48 / 5), (20_000, 2)) * rng.integers(0, 2, (20_000, 2))  # variance 1
    >>> x = s @ [[1.0, 0.3], [0.4, 1.0]]
    >>> net = nonnegative_components(2, 2, samples=x[:500])
    >>> batch = {"input": x, "centred": x - x.mean(axis=0)}
    >>> net, reports = sm.train(net, batch, rule=nonnegative_rule(net), epochs=2, progress=False)
    >>> y = sm.encode(net, batch)
    >>> bool(np.mean((np.sort(y, axis=1) - np.sort(s, axis=1)) ** 2) < 0.01)
    True
    """
    inner: Rule
    if CENTRED in net.populations:
        inner = RegressionRule(AveragingRule(), memory=memory)
    else:
        inner = CentredRule(AveragingRule(), memory=memory)
    return RecruitingRule(inner, UNITS)


def _begin(inputs: int, units: int, samples: Any, seed: int):
    """Return the grids and the initial weights."""
    inputs, units = whole(inputs, "The number of inputs"), whole(units, "The number of units")
    if units > inputs:
        raise ValueError(f"There are {inputs} inputs, so at most {inputs} sources, got {units}.")
    below, above = Grid(1, 1, inputs), Grid(1, 1, units)
    if samples is None:
        return below, above, None
    rows = samples_of(samples, inputs).astype(float)
    values, vectors = np.linalg.eigh(np.cov(rows.T, bias=True).reshape(inputs, inputs))
    roots = np.sqrt(np.maximum(values[::-1][:units], np.finfo(float).eps * max(values[-1], np.finfo(float).tiny)))
    whitening = vectors[:, ::-1][:, :units].T / roots[:, None]
    rotation = np.linalg.qr(np.random.default_rng(whole(seed, "The seed", least=0)).normal(size=(units, units)))[0]
    weights = rotation @ whitening
    weights = weights * np.where(weights @ rows.mean(axis=0) < 0, -1, 1)[:, None]
    return below, above, jnp.asarray(weights, float)

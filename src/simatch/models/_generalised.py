"""Generalised eigenproblems: canonical correlations, slow features, contrastive components."""

from collections.abc import Mapping, Sequence

from .._checks import number, whole
from ..network import AntiHebbian, Dense, Grid, Interneurons, Leak, Network, Population, Term, WhitenedHebbian

UNITS = "units"


def generalised(
    drives: Mapping[str, int],
    units: int,
    *,
    references: Mapping[str, str] | None = None,
    lateral: Sequence[Term] | None = None,
    seed: int = 0,
) -> Network:
    """Build linear units with two compartments, which learn the leading solutions of ``A v = lambda B v``.

    One compartment carries the drive xi, the other the reference. A has the second moments of all drives together, and
    B those of the references, in one block for each. Then ``y = M^-1 W xi``, and at the fixed point of learning the
    eigenvalues of M are the lambda (equations D1 and D2). What drives and references are makes the task:

    ======================  ==================================  ==========================  ===================
    task                    drives                              references                  eigenvalues of M
    ======================  ==================================  ==========================  ===================
    canonical correlations  both views                          the views themselves        1 + correlation
    slow features           ``x_t + x_(t-1)``                   ``x_t``                     4 - slowness
    contrastive components  x if it is foreground, otherwise 0  x if background, otherwise  ratio of the variances
                                                                0
    ======================  ==================================  ==========================  ===================

    Parameters
    ----------
    drives : mapping of str to int
        For each drive, the name of its entry of a batch and its number of features.
    units : int
        Number of solutions, at least 1.
    references : mapping of str to str, optional
        For drives by name, the name of the entry that is their reference; the others are their own.
    lateral : sequence of Term, optional
        Terms of the population "units" in place of lateral synapses M, such as those of `generalised_adaptive`.
    seed : int
        Seed of the initial weights, at least 0.

    Returns
    -------
    Network
        Its units are the population "units". Train it by ``RegressionRule(AveragingRule())``, or, if the references are
        white, by `AveragingRule`, which is local.

    Raises
    ------
    ValueError
        If a number is out of range, or a reference is given for a drive that is not there.

    See Also
    --------
    alternation : The solutions of data in memory.
    multiview_network : Several inputs into units that cannot be negative.

    References
    ----------
    Lipshutz, Bahroun, Golkar, Sengupta, Chklovskii, *Neural Computation* 35 (2023), arXiv 2302.10051;
    ``docs/models/generalised.md``.

    Examples
    --------
    The slowest of three features:

    >>> import numpy as np, simatch as sm
    >>> from simatch.models import generalised
    >>> t = np.arange(2000)[:, None]
    >>> x = np.sqrt(2) * np.sin(t * [0.05, 0.5, 0.9]) @ [[1, 2, 0], [1, -1, 1], [0, 1, 1]]
    >>> net = generalised({"sum": 3}, 1, references={"sum": "input"})
    >>> batch = {"sum": x[1:] + x[:-1], "input": x[1:]}
    >>> rule = sm.RegressionRule(sm.AveragingRule())
    >>> net, reports = sm.train(net, batch, rule=rule, epochs=400, batch_size=1999, progress=False)
    >>> bool(abs(4 - net.lateral[0].to_dense()[0, 0] - 0.05**2) < 1e-3)  # mean square of y_t - y_(t-1)
    True
    """
    grid = Grid(1, 1, whole(units, "The number of units"))
    references = dict(references or {})
    for name in references:
        if name not in drives:
            raise ValueError(f"A reference is given for {name!r}, but the drives are {', '.join(map(repr, drives))}.")
    if not drives:
        raise ValueError("A network needs at least one drive, got none.")
    populations, terms = {}, []
    for name, features in drives.items():
        own = Grid(1, 1, whole(features, f"The number of features of {name!r}"))
        reference = references.get(name, name)
        populations |= {name: Population(own), reference: Population(own)}
        terms.append(WhitenedHebbian(name, UNITS, Dense(own, grid), reference=reference))
    terms += [AntiHebbian(UNITS, Dense(grid, grid))] if lateral is None else lateral
    return Network({**populations, UNITS: Population(grid, "linear")}, terms, seed=seed)


def generalised_adaptive(
    drives: Mapping[str, int],
    units: int,
    *,
    threshold: float,
    references: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Network:
    """Build `generalised` with interneurons: whitened outputs, as many as there are eigenvalues above a threshold.

    In place of lateral synapses there are interneurons ``n = P'y`` and a leak alpha, the threshold:
    ``y = (P P' + alpha)^-1 W xi``. At the fixed point of learning ``P P' + alpha`` has the eigenvalues lambda that are
    above alpha, the outputs have second moments of 1 in these directions, and are 0 in the others.

    Parameters
    ----------
    drives, units, references, seed
        As in `generalised`; `units` is the largest number of solutions.
    threshold : float
        alpha, above 0; for canonical correlations above c, ``1 + c``.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        If a setting is out of range.

    References
    ----------
    Lipshutz, Bahroun, Golkar, Sengupta, Chklovskii 2023, arXiv 2302.10051; Lipshutz et al. 2021, arXiv 2010.00525.

    Examples
    --------
    >>> from simatch.models import generalised_adaptive
    >>> net = generalised_adaptive({"a": 4, "b": 5}, 3, threshold=1.5)  # correlations above 0.5
    >>> [type(term).__name__ for term in net.terms]
    ['WhitenedHebbian', 'WhitenedHebbian', 'Interneurons', 'Leak']
    """
    units = whole(units, "The number of units")
    alpha = number(threshold, "The threshold", above=0)
    lateral = [Interneurons(UNITS, units, units), Leak(UNITS, alpha)]
    return generalised(drives, units, references=references, lateral=lateral, seed=seed)

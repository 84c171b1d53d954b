"""Features of units, and similarities in a layer: functions from networks and arrays to arrays."""

from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from .._arrays import plain, real
from .._checks import whole
from ..network import Network, Pathway

Images = Float[np.ndarray, "neurons height width channels"]


def receptive_fields(pathway: Pathway) -> Images:
    """Weights of every neuron, laid out on the grid of the presynaptic population.

    Parameters
    ----------
    pathway : Pathway
        Any pathway of a network, for example ``net.feedforward[0]``.

    Returns
    -------
    array of shape (neurons, height, width, channels)
        0 where no synapse exists.

    Examples
    --------
    >>> import simatch as sm
    >>> from simatch import analysis
    >>> net = sm.layered(sm.Grid(8, 8), [sm.Layer(units=4, stride=2, radius=2.0)])
    >>> analysis.receptive_fields(net.feedforward[0]).shape
    (64, 8, 8, 1)
    """
    grid = pathway.connectivity.pre
    return pathway.to_dense().reshape(-1, *grid.shape)


def effective_features(net: Network, layer: str | None = None, *, source: str | None = None) -> Images:
    """Weights of every neuron of a layer on an input, as if the layers in between were linear without lateral synapses.

    For the first layer these are its receptive fields. For a higher layer they are products of weights, summed over
    all paths of Hebbian pathways from the input. These paths must not form a loop.

    Parameters
    ----------
    net : Network
    layer : str, optional
        Name of a population that can relax; by default the last one.
    source : str, optional
        Name of the input population on whose grid the features are laid out; by default the only input.

    Returns
    -------
    array of shape (neurons, height, width, channels)

    Raises
    ------
    ValueError
        If there is no such layer or input, if `source` is not given but there are several inputs, or if no path leads
        from the input to the layer.

    Examples
    --------
    >>> import simatch as sm
    >>> from simatch import analysis
    >>> net = sm.layered(sm.Grid(8, 8), [sm.Layer(units=4, stride=2, radius=2.0), sm.Layer(units=10)])
    >>> analysis.effective_features(net).shape
    (10, 8, 8, 1)
    """
    layer = net.layers[-1] if layer is None else layer
    if layer not in net.layers:
        raise ValueError(f"There is no layer {layer!r}; there are {', '.join(map(repr, net.layers))}.")
    if source is None and len(net.inputs) > 1:
        raise ValueError(f"The network has several inputs; name one of {', '.join(map(repr, net.inputs))}.")
    source = next(iter(net.inputs)) if source is None else source
    if source not in net.inputs:
        raise ValueError(f"There is no input {source!r}; there are {', '.join(map(repr, net.inputs))}.")

    def features(name: str) -> np.ndarray | None:
        if name == source:
            return np.eye(net.populations[name].grid.size, dtype=np.float32)
        total = None
        for pathway in net.feedforward:
            below = features(pathway.pre) if pathway.post == name else None
            if below is not None:
                # The first matrix of a path need not be multiplied with an identity.
                path = pathway.to_dense() if pathway.pre == source else pathway.to_dense() @ below
                total = path if total is None else total + path
        return total

    total = features(layer)
    if total is None:
        raise ValueError(f"No pathway leads from {source!r} to {layer!r}.")
    return total.reshape(-1, *net.populations[source].grid.shape)


def reverse_correlation(
    activities: Shaped[np.ndarray, "samples *neurons"], inputs: Shaped[np.ndarray, "_ *input"]
) -> Float[np.ndarray, "neurons *input"]:
    """Mean of the inputs, each weighted by the activity that it elicits: ``sum_t r_ti x_t / sum_t |r_ti|``.

    It shows which inputs drive a neuron of any layer; in higher layers weights alone do not show this.

    Parameters
    ----------
    activities : array of shape (samples, ...)
        Activities of one layer; axes after the first are flattened into neurons.
    inputs : array of shape (samples, ...)
        Inputs that elicit them.

    Returns
    -------
    array of shape (neurons, ...)
        0 for a neuron that never responds.

    Raises
    ------
    ValueError
        If `activities` and `inputs` do not have the same number of samples, are empty, or hold NaN or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from simatch import analysis
    >>> analysis.reverse_correlation(np.array([[1.0], [3.0]]), np.array([[0.0], [1.0]]))
    array([[0.75]])
    """
    r, x = real(activities, "Activities", "samples", "..."), real(inputs, "Inputs", "samples", "...")
    if len(r) != len(x):
        raise ValueError(f"There are {len(r)} samples of activity but {len(x)} of input; give as many of each.")
    r, flat = r.reshape(len(r), -1), x.reshape(len(x), -1)
    # Shares of at most 1, so that no product leaves the range of numbers.
    total = np.abs(r).sum(axis=0)
    shares = np.divide(r, total, out=np.zeros_like(r), where=total > 0)
    return (shares.T @ flat).reshape(-1, *x.shape[1:])


def similarity(
    activities: Shaped[np.ndarray, "samples *neurons"], kind: Literal["cosine", "inner"] = "cosine"
) -> Float[np.ndarray, "samples samples"]:
    """Similarity of every pair of samples, in one layer or in the input.

    Parameters
    ----------
    activities : array of shape (samples, ...)
        Inputs, or activities of a layer.
    kind : {"cosine", "inner"}
        The cosine of the angle between two samples, or their inner product, as in the cost of similarity matching.

    Returns
    -------
    array of shape (samples, samples)
        The cosine is 0 for a sample without activity.

    Raises
    ------
    ValueError
        If `kind` is neither "cosine" nor "inner", or if `activities` are empty or hold NaN or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from simatch import analysis
    >>> analysis.similarity(np.array([[2.0, 0.0], [0.0, 1.0]]))
    array([[1., 0.],
           [0., 1.]])
    """
    if kind not in ("cosine", "inner"):
        raise ValueError(f"There is no similarity {kind!r}; use 'cosine' or 'inner'.")
    r = real(activities, "Activities", "samples", "...")
    r = r.reshape(len(r), -1)
    if kind == "cosine":
        # In units of the largest number of each sample, so that squares neither overflow nor vanish.
        largest = np.abs(r).max(axis=1, keepdims=True)
        r = r / np.where(largest > 0, largest, 1)
        norm = np.linalg.norm(r, axis=1, keepdims=True)
        r /= np.where(norm > 0, norm, 1)
    return r @ r.T


def class_samples(
    labels: Shaped[np.ndarray, " samples"], per_class: int = 20, *, seed: int = 0
) -> Int[np.ndarray, " chosen"]:
    """Choose up to `per_class` samples of each class at random.

    Parameters
    ----------
    labels : array of shape (samples,)
        Class of each sample.
    per_class : int
        Largest number of samples of a class, at least 1.
    seed : int
        Seed of the choice, at least 0.

    Returns
    -------
    int array of shape (chosen,)
        Indices of the chosen samples, sorted by class.

    Raises
    ------
    ValueError
        If `labels` do not have one axis, are empty or hold NaN or infinity, or if a setting is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from simatch import analysis
    >>> labels = np.array([1, 0, 1, 0, 0])
    >>> labels[analysis.class_samples(labels, 2)]
    array([0, 0, 1, 1])
    """
    labels, per_class = _labels(labels), whole(per_class, "per_class")
    rng = np.random.default_rng(whole(seed, "The seed", least=0))
    return np.concatenate(
        [np.sort(rng.permutation(np.flatnonzero(labels == c))[:per_class]) for c in np.unique(labels)]
    )


def similarity_contrast(
    similarities: Shaped[np.ndarray, "samples samples"], labels: Shaped[np.ndarray, " samples"]
) -> float:
    """Mean similarity of samples of the same class minus that of samples of different classes.

    Parameters
    ----------
    similarities : array of shape (samples, samples)
        As `similarity` returns it; the diagonal is not used.
    labels : array of shape (samples,)
        Class of each sample.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If all samples are of one class, or no class has two samples; if `similarities` do not have one row and one
        column for each label, or hold NaN or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from simatch import analysis
    >>> analysis.similarity_contrast(np.kron(np.eye(2), np.ones((2, 2))), np.array([0, 0, 1, 1]))
    1.0
    """
    own, labels = real(similarities, "Similarities", "samples", "samples"), _labels(labels)
    if own.shape != (len(labels), len(labels)):
        raise ValueError(
            f"There are {len(labels)} labels but similarities of shape {own.shape}; give one row and one column for "
            "each label."
        )
    same: Bool[np.ndarray, "samples samples"] = np.equal.outer(labels, labels)
    pairs = same & ~np.eye(len(labels), dtype=bool)
    if same.all() or not pairs.any():
        raise ValueError("A contrast needs two classes, and two samples of at least one of them.")
    return float(own[pairs].mean(dtype=float) - own[~same].mean(dtype=float))


def _labels(labels: Any) -> Shaped[np.ndarray, " samples"]:
    found = plain(labels, "Labels")
    if found.ndim != 1 or not found.size:
        raise ValueError(f"Labels must have shape (samples,) and not be empty, got {found.shape}.")
    if found.dtype.kind == "c" or (found.dtype.kind == "f" and not np.isfinite(found).all()):
        raise ValueError("Labels must not be NaN, infinite or complex; remove the samples, or number their classes.")
    return found

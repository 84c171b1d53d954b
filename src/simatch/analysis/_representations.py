"""What units respond to, and how a layer represents similarity: plain functions from arrays to arrays."""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from ..network import Network, Pathway

Images = Float[np.ndarray, "neurons height width channels"]


def receptive_fields(pathway: Pathway) -> Images:
    """Weights of every neuron, laid out on the grid that they come from.

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
    """What each neuron of a layer weighs in an input, if every layer between were linear and without lateral synapses.

    For the first layer these are its receptive fields. For a layer above they are sums, over all paths of
    Hebbian pathways from the input, of products of weights.

    Parameters
    ----------
    net : Network
    layer : str, optional
        By default the last one.
    source : str, optional
        Input population on whose grid the features are laid out; by default the only input.

    Returns
    -------
    array of shape (neurons, height, width, channels)

    Raises
    ------
    ValueError
        If there is no such layer or input, or no path leads from one to the other.

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

    It says what drives a neuron at any height of a network, where its weights no longer tell.

    Parameters
    ----------
    activities : array of shape (samples, ...)
        One layer; axes after the first are flattened into neurons.
    inputs : array of shape (samples, ...)

    Returns
    -------
    array of shape (neurons, ...)
        0 for a neuron that never responds.

    Raises
    ------
    ValueError
        If the two do not have the same number of samples.

    Examples
    --------
    >>> import numpy as np
    >>> from simatch import analysis
    >>> analysis.reverse_correlation(np.array([[1.0], [3.0]]), np.array([[0.0], [1.0]]))
    array([[0.75]])
    """
    if len(activities) != len(inputs):
        raise ValueError(f"There are {len(activities)} samples of activity but {len(inputs)} of input.")
    r = np.asarray(activities, np.result_type(activities, np.float32)).reshape(len(activities), -1)
    total = np.abs(r).sum(axis=0)[:, None]
    flat = np.asarray(inputs, r.dtype).reshape(len(inputs), -1)
    mean = np.divide(r.T @ flat, total, out=np.zeros((r.shape[1], flat.shape[1]), r.dtype), where=total > 0)
    return mean.reshape(-1, *np.shape(inputs)[1:])


def similarity(
    activities: Shaped[np.ndarray, "samples *neurons"], kind: Literal["cosine", "inner"] = "cosine"
) -> Float[np.ndarray, "samples samples"]:
    """Similarity of every pair of samples in one layer.

    Parameters
    ----------
    activities : array of shape (samples, ...)
        Inputs, or activities of a layer.
    kind : {"cosine", "inner"}
        The cosine of the angle between two samples, or their inner product, which similarity matching matches.

    Returns
    -------
    array of shape (samples, samples)
        A cosine is 0 where a sample has no activity.

    Raises
    ------
    ValueError
        If `kind` is none of the two.

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
    r = np.asarray(activities, np.result_type(activities, np.float32)).reshape(len(activities), -1)
    if kind == "cosine":
        norm = np.linalg.norm(r, axis=1, keepdims=True)
        r = np.divide(r, norm, out=np.zeros_like(r), where=norm > 0)
    return r @ r.T


def class_samples(
    labels: Shaped[np.ndarray, " samples"], per_class: int = 20, *, seed: int = 0
) -> Int[np.ndarray, " chosen"]:
    """Numbers of samples to compare: up to `per_class` of each class, sorted by class.

    Examples
    --------
    >>> import numpy as np
    >>> from simatch import analysis
    >>> labels = np.array([1, 0, 1, 0, 0])
    >>> labels[analysis.class_samples(labels, 2)]
    array([0, 0, 1, 1])
    """
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [np.sort(rng.permutation(np.flatnonzero(labels == c))[:per_class]) for c in np.unique(labels)]
    )


def similarity_contrast(
    similarities: Float[np.ndarray, "samples samples"], labels: Shaped[np.ndarray, " samples"]
) -> float:
    """Mean similarity of two samples of one class less that of two of different classes.

    Raises
    ------
    ValueError
        If all samples are of one class, or no class has two.

    Examples
    --------
    >>> import numpy as np
    >>> from simatch import analysis
    >>> analysis.similarity_contrast(np.kron(np.eye(2), np.ones((2, 2))), np.array([0, 0, 1, 1]))
    1.0
    """
    same: Bool[np.ndarray, "samples samples"] = np.equal.outer(labels, labels)
    pairs = same & ~np.eye(len(labels), dtype=bool)
    if same.all() or not pairs.any():
        raise ValueError("A contrast needs two classes, and two samples of at least one of them.")
    return float(similarities[pairs].mean() - similarities[~same].mean())

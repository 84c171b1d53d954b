"""Fitted estimators as folders: parameters, fitted values and the network. Loading executes no code of a file."""

import dataclasses
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..learning import Certificate
from ..models import Layer
from ..storage import draft, manifest_of, read_arrays, write_arrays
from ..storage import load as load_network
from ..storage import save as save_network
from ._base import SimilarityMatcher
from ._canonical import OnlineCCA
from ._contrastive import ContrastiveSimilarityMatching, EquilibriumPropagation
from ._deep import DeepSimilarityMatching
from ._foreground import ContrastivePCA
from ._kernel import KernelSimilarityMatching
from ._multiview import SupervisedSimilarityMatching
from ._nonnegative import NonnegativeICA
from ._predictive import PredictiveCodingClassifier, PredictiveCodingRegressor
from ._principal import LinearCertificate
from ._similarity_matching import SimilarityMatching
from ._slow import OnlineSFA
from ._streaming import RunningMean, StreamingEstimator
from ._supervised import SupervisedEstimator

_KINDS = (
    SimilarityMatching,
    DeepSimilarityMatching,
    ContrastiveSimilarityMatching,
    EquilibriumPropagation,
    SupervisedSimilarityMatching,
    PredictiveCodingClassifier,
    PredictiveCodingRegressor,
    OnlineCCA,
    OnlineSFA,
    ContrastivePCA,
    KernelSimilarityMatching,
    NonnegativeICA,
)
Estimator = SimilarityMatcher | SupervisedEstimator | StreamingEstimator
CLASSES: dict[str, type[Estimator]] = {kind.__name__: kind for kind in _KINDS}
"""Classes of the estimators that `save` and `load` know, by name."""
# Objects of these classes are described by their fields.
_RECORDS = {kind.__name__: kind for kind in (Certificate, LinearCertificate, Layer, RunningMean)}
_NETWORK, _VALUES, _STATE = "network.safetensors", "estimator.safetensors", "state"
# What only a process has: callbacks, and rows of the user's data.
_LEFT_OUT = {"network_", "_latest", "_last", "_skl_callbacks"}


def save(estimator: Estimator, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a fitted estimator to a folder: its parameters, its fitted values and its network.

    The folder is complete or unchanged. `simatch encode FOLDER DATA` applies it to new data.

    Parameters
    ----------
    estimator : estimator
        Fitted. Parameters must be numbers, names, sequences of these or `simatch.Layer` objects.
    folder : path
        A folder that does not exist or is empty.
    overwrite : bool
        Whether an estimator or other results in the folder may be replaced.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If a parameter cannot be written, such as a function or a solver, or if the folder is not empty.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from sklearn.datasets import load_digits
    >>> from simatch.estimators import SimilarityMatching, load, save
    >>> X = load_digits().data - load_digits().data.mean(axis=0)
    >>> fitted = SimilarityMatching(4, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as place:
    ...     save(fitted, pathlib.Path(place, "digits"))
    ...     again = load(pathlib.Path(place, "digits"))
    >>> bool((again.transform(X) == fitted.transform(X)).all())
    True
    """
    check_is_fitted(estimator)
    kind = type(estimator).__name__
    if type(estimator) is not CLASSES.get(kind):
        raise ValueError(f"A {kind} cannot be written to a folder, only {', '.join(CLASSES)}; pickle it.")
    _content(estimator)  # raises an error about what cannot be written
    # No two runs of writing are the same run, so none is taken for another that was interrupted.
    with draft(Path(folder), kind, {"written": uuid.uuid4().hex}, overwrite=overwrite) as own:
        write(estimator, own.folder)
        own.publish(kind)


def write(estimator: Estimator, folder: Path) -> None:
    """Write the files of a fitted estimator into the folder of a run's results, as `save` does.

    Parameters
    ----------
    estimator : estimator of this room
        Fitted.
    folder : Path
        An existing folder.

    Raises
    ------
    ValueError
        If the estimator cannot be saved; see `save`.
    """
    arrays, values = _content(estimator)
    save_network(estimator.network_, folder / _NETWORK)
    write_arrays(folder / _VALUES, arrays, {"values": values})


def _content(estimator: Estimator) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays of an estimator, and its other values as JSON."""
    arrays: dict[str, np.ndarray] = {}
    values = {name: _described(value, name, arrays) for name, value in vars(estimator).items() if name not in _LEFT_OUT}
    if isinstance(estimator, StreamingEstimator) and estimator._last is not None:
        state = jax.tree.leaves(jax.device_get(estimator._last.state))
        values[_STATE] = _described(state, _STATE, arrays)
    return arrays, values


def load(folder: str | os.PathLike[str]) -> Any:
    """Read an estimator that `save` wrote.

    Parameters
    ----------
    folder : path

    Returns
    -------
    estimator
        Of the class that was saved.

    Raises
    ------
    FileNotFoundError
        If there is no estimator in the folder.
    ValueError
        If a file is missing, damaged or changed, or if the folder holds something else.

    Examples
    --------
    See `save`.
    """
    folder = Path(folder)
    kind = manifest_of(folder).get("kind")
    if kind not in CLASSES:
        raise ValueError(f"{str(folder)!r} holds a {kind!r}, not an estimator.")
    network = load_network(folder / _NETWORK)
    path = folder / _VALUES
    arrays, description = read_arrays(path)
    try:
        values = {name: _made(value, arrays) for name, value in description["values"].items()}
        estimator = CLASSES[kind]()
        estimator.set_params(**{name: values.pop(name) for name in estimator.get_params() if name in values})
        state = values.pop(_STATE, None)
        vars(estimator).update(values, network_=network)
        if isinstance(estimator, StreamingEstimator) and state is not None:
            estimator._go_on_from(state)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"The file {str(path)!r} is damaged ({type(error).__name__}: {error}).") from None
    return estimator


def _described(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """Describe a value as JSON. Arrays of numbers are added to `arrays`."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, jax.Array | np.ndarray):
        if np.asarray(value).dtype.kind in "OU":
            return {"texts": [str(text) for text in np.asarray(value)]}
        arrays[name] = np.asarray(value)
        return {"array": name}
    if type(value) in _RECORDS.values():
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {"record": type(value).__name__, "fields": _described(fields, name, arrays)}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"mapping": {key: _described(own, f"{name}.{key}", arrays) for key, own in value.items()}}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_described(own, f"{name}.{i}", arrays) for i, own in enumerate(value)]}
    raise ValueError(
        f"{name}={value!r} cannot be written to a file; set it to a number, a name or None before saving, or pickle "
        "the estimator."
    )


def _made(description: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Make a value from its description."""
    if not isinstance(description, dict):
        return description
    ((kind, own),) = [(kind, own) for kind, own in description.items() if kind != "fields"]
    if kind == "array":
        return arrays[own]
    if kind == "texts":
        return np.array(own, object)
    if kind == "record":
        return _RECORDS[own](**_made(description["fields"], arrays))
    if kind == "mapping":
        return {name: _made(value, arrays) for name, value in own.items()}
    return {"list": list, "tuple": tuple}[kind](_made(value, arrays) for value in own)

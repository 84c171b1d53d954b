"""Models: a trained network with the preprocessing and the readout that belong to it."""

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
from jaxtyping import Float, Num, Shaped

from ..data import Preprocessing
from ..learning import encode
from ..network import Network
from ..readout import LinearReadout
from ..storage import as_json, load, manifest_of, read_arrays, save, write_arrays, write_atomically

# Samples that relax together: one size needs only one compiled program.
TOGETHER = 200
KIND = "network"
"""Kind of a run folder that holds a `Model`."""
_NETWORK, _PREPROCESSING, _READOUT = "network.safetensors", "preprocessing.json", "readout.safetensors"
# New images that are so many times as large as those learned from were probably scaled in another way.
_LARGER = 10.0


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A trained network, the preprocessing of its inputs, and the linear readout of its activities.

    The folder of every finished `simatch train` is one (`Model.load`).

    Attributes
    ----------
    network : Network
    preprocessing : Preprocessing
        Fitted on the images that the network learned from.
    tolerance : float
        Largest residual of converged neural dynamics, above 0.
    largest : float
        Largest magnitude of a pixel that the network learned from, before preprocessing.
    readout : LinearReadout or None
        Fitted on the activities of all layers; None without labels.
    classes : tuple of str
        Names of the classes of the readout.

    Examples
    --------
    >>> import numpy as np
    >>> from simatch.data import load_dataset
    >>> from simatch.runs import Model, merged, run
    >>> settings = merged("digits", options={"epochs": 0.5, "compare": False}, layers={"units": [2], "stride": [4]})
    >>> digits = load_dataset("digits")
    >>> model = run(settings, digits).model
    >>> model.encode(digits.x_train[:5]).shape, model.predict(digits.x_train[:5]).shape
    ((5, 8), (5,))
    """

    network: Network
    preprocessing: Preprocessing
    tolerance: float
    largest: float
    readout: LinearReadout | None = None
    classes: tuple[str, ...] = ()

    def encode(
        self, x: Num[np.ndarray, "samples height width channels"], layers: Sequence[str] | None = None
    ) -> Float[np.ndarray, "samples features"]:
        """Return the activities of new images.

        Parameters
        ----------
        x : array of shape (samples, height, width, channels)
            Images as they were before preprocessing, scaled like those that the network learned from.
        layers : sequence of str, optional
            Layers whose activities are concatenated; by default the last.

        Returns
        -------
        array of shape (samples, features)

        Raises
        ------
        ValueError
            If the images have another shape, are not finite, or if there is no such layer.

        Warns
        -----
        UserWarning
            If the images are ten times as large as those that the network learned from.
        ConvergenceWarning
            If some images did not settle.
        """
        found = float(np.max(np.abs(x), initial=0))
        if found > _LARGER * self.largest:
            warnings.warn(
                f"The largest pixel is {found:.3g}, but {self.largest:.3g} in the images that the network learned "
                "from; scale the images in the same way.",
                stacklevel=2,
            )
        return encode(
            self.network,
            self.preprocessing.transform(x),
            layers=layers,
            batch_size=TOGETHER,
            tolerance=self.tolerance,
        )

    def predict(self, x: Num[np.ndarray, "samples height width channels"]) -> Shaped[np.ndarray, " samples"]:
        """Return the class of new images by the linear readout of all layers.

        Parameters
        ----------
        x : array of shape (samples, height, width, channels)
            As in `encode`.

        Returns
        -------
        array of str of shape (samples,)

        Raises
        ------
        ValueError
            If the network was trained without labels, or as in `encode`.
        """
        if self.readout is None:
            raise ValueError("This network was trained on images without labels, so it has no readout; use encode.")
        return np.asarray(self.classes)[self.readout.predict(self.encode(x, self.network.layers))]

    def save(self, folder: Path) -> None:
        """Write the files of the model into the folder of a run's results.

        Parameters
        ----------
        folder : Path
            An existing folder.
        """
        save(self.network, folder / _NETWORK)
        values = {"tolerance": self.tolerance, "largest": self.largest, "preprocessing": self.preprocessing.to_dict()}
        write_atomically(folder / _PREPROCESSING, as_json(values) + "\n")
        if self.readout is not None:
            arrays = {name: np.asarray(getattr(self.readout, f"{name}_")) for name in ("coef", "intercept", "classes")}
            write_arrays(folder / _READOUT, arrays, {"classes": self.classes})

    @classmethod
    def load(cls, folder: Path) -> "Model":
        """Read the model from the folder of a finished run.

        Parameters
        ----------
        folder : Path
            The run folder.

        Returns
        -------
        Model

        Raises
        ------
        FileNotFoundError
            If there is no finished run in the folder.
        ValueError
            If a file is damaged or does not belong to the run, or if the run is of another kind.
        """
        manifest = manifest_of(folder)
        if manifest.get("kind") != KIND:
            raise ValueError(f"{str(folder)!r} holds a {manifest.get('kind')!r}, not a trained network.")
        path = folder / _PREPROCESSING
        try:
            stored = _Stored.model_validate_json(path.read_bytes())
            preprocessing = Preprocessing.from_dict(stored.preprocessing)
        except (ValueError, RecursionError) as error:  # of pydantic, too
            raise ValueError(f"The file {str(path)!r} is damaged ({_reason(error)}).") from None
        network = load(folder / _NETWORK)
        inputs = [network.populations[name].grid.shape for name in network.inputs]
        if inputs != [preprocessing.shape_]:
            raise ValueError(
                f"The file {str(path)!r} is for images of shape {preprocessing.shape_}, but the network in "
                f"{str(folder / _NETWORK)!r} has inputs of shape {', '.join(map(str, inputs))}."
            )
        own = cls(network, preprocessing, stored.tolerance, stored.largest)
        if _READOUT not in manifest["files"]:
            return own
        return dataclasses.replace(own, **_readout(folder / _READOUT, network))


class _Stored(pydantic.BaseModel):
    """Content of the file of the preprocessing."""

    model_config = pydantic.ConfigDict(extra="forbid", allow_inf_nan=False)

    tolerance: pydantic.PositiveFloat
    largest: pydantic.NonNegativeFloat
    preprocessing: dict[str, Any]


def _readout(path: Path, network: Network) -> dict[str, Any]:
    """Return the readout in a file and the names of its classes, checked against the network that it reads."""
    arrays, described = read_arrays(path)
    try:
        coef, intercept, codes = (arrays[name] for name in ("coef", "intercept", "classes"))
        names = described["classes"]
        features = sum(network.populations[name].grid.size for name in network.layers)
        rows = 1 if len(codes) == 2 else len(codes)
        if (coef.shape, intercept.shape, codes.ndim) != ((rows, features), (rows,), 1) or len(codes) < 2:
            raise ValueError(f"its weights have shape {coef.shape}, but the network has {features} activities")
        if not (np.isfinite(coef).all() and np.isfinite(intercept).all()):
            raise ValueError("it holds NaN or infinity")
        if codes.dtype.kind not in "iu" or not 0 <= codes.min() <= codes.max() < len(names):
            raise ValueError(f"it numbers classes from {codes.min()} to {codes.max()}, of {len(names)}")
        if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise ValueError("its classes have no names")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"The file {str(path)!r} is damaged ({_reason(error)}).") from None
    readout = LinearReadout()
    vars(readout).update(coef_=coef, intercept_=intercept, classes_=codes, n_features_in_=features)
    return {"readout": readout, "classes": tuple(names)}


def _reason(error: Exception) -> str:
    if isinstance(error, pydantic.ValidationError):
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}"
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]

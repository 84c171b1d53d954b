"""Models: a trained network with the preprocessing and the readout that belong to it."""

import dataclasses
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Num, Shaped

from ..data import Preprocessing
from ..learning import encode
from ..network import Network
from ..readout import LinearReadout
from ..storage import as_json, load, manifest_of, read_arrays, save, write_arrays, write_atomically

# Samples that relax together: one size needs only one compiled program.
TOGETHER = 200
KIND = "network"
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
        Largest residual of converged neural dynamics.
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
        """Write the files of the model into the folder of a run's results."""
        save(self.network, folder / _NETWORK)
        values = {"tolerance": self.tolerance, "largest": self.largest, "preprocessing": self.preprocessing.to_dict()}
        write_atomically(folder / _PREPROCESSING, as_json(values) + "\n")
        if self.readout is not None:
            arrays = {name: np.asarray(getattr(self.readout, f"{name}_")) for name in ("coef", "intercept", "classes")}
            write_arrays(folder / _READOUT, arrays, {"classes": self.classes})

    @classmethod
    def load(cls, folder: Path) -> "Model":
        """Read the model from the folder of a finished run.

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
            values = json.loads(path.read_text(encoding="utf-8"))
            own = cls(
                load(folder / _NETWORK),
                Preprocessing.from_dict(values["preprocessing"]),
                float(values["tolerance"]),
                float(values["largest"]),
            )
        except (KeyError, TypeError, RecursionError, json.JSONDecodeError) as error:
            raise ValueError(f"The file {str(path)!r} is damaged ({type(error).__name__}: {error}).") from None
        if _READOUT not in manifest["files"]:
            return own
        arrays, described = read_arrays(folder / _READOUT)
        readout = LinearReadout()
        fitted = {f"{name}_": arrays[name] for name in ("coef", "intercept", "classes")}
        vars(readout).update(fitted, n_features_in_=arrays["coef"].shape[1])
        return dataclasses.replace(own, readout=readout, classes=tuple(described["classes"]))

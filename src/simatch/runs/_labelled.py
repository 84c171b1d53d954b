"""A run of a model that learns from labels: it classifies by itself, and needs no readout."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pydantic
import tomli_w

from ..data import Dataset
from ..estimators import (
    ContrastiveSimilarityMatching,
    EquilibriumPropagation,
    PredictiveCodingClassifier,
    SupervisedSimilarityMatching,
)
from ..models import Layer
from ..network import Network
from ._comparison import Labelled, Readout
from ._run import HELD_OUT
from ._settings import ReachSettings, SettingsError, merged_layers, of_model, read_settings, spelled

# From the names of models to functions from hidden layers and other settings to classifiers.
MODELS: dict[str, Callable[..., Any]] = {
    "contrastive": ContrastiveSimilarityMatching,
    "equilibrium": EquilibriumPropagation,
    "multiview": lambda hidden, **own: SupervisedSimilarityMatching(*hidden, **own),
    "predictive": PredictiveCodingClassifier,
}
# What can be set of the reach of synapses, by model, and its value where synapses are all to all.
REACH: dict[str, dict[str, float | None]] = {
    "contrastive": {"stride": None, "radius": None, "lateral_radius": 0.0},
    "equilibrium": {"stride": None, "radius": None},
    "multiview": {},
    "predictive": {},
}


class LabelledSettings(pydantic.BaseModel):
    """All settings of a run with labels; together with the data they determine its result."""

    model_config = pydantic.ConfigDict(extra="forbid")

    data: str
    model: Literal["contrastive", "equilibrium", "multiview", "predictive"]
    layers: Annotated[list[ReachSettings], pydantic.Field(min_length=1)]
    epochs: pydantic.PositiveInt | Literal["auto"] = "auto"
    batch_size: pydantic.PositiveInt = 20
    rate: Annotated[pydantic.PositiveFloat, pydantic.AllowInfNan(False)] | None = None
    tolerance: Annotated[pydantic.PositiveFloat, pydantic.AllowInfNan(False)] = 1e-2
    compare: bool = True
    seed: pydantic.NonNegativeInt = 0

    def classifier(self, shape: tuple[int, ...], checkpoints: Path | None = None) -> Any:
        """Return the classifier before learning, for images of a shape, (height, width, channels).

        Parameters
        ----------
        shape : tuple of int
            Height, width and channels of the images.
        checkpoints : Path, optional
            Folder in which the run is kept while it learns.

        Returns
        -------
        estimator
            A classifier of `simatch.estimators`; which one is determined by `model`.
        """
        own: dict[str, Any] = {} if self.rate is None else {"learning_rate": self.rate}
        hidden: list[Any] = [layer.units for layer in self.layers]
        if REACH[self.model]:
            hidden = [Layer(**layer.model_dump()) for layer in self.layers]
            own["image_shape"] = shape
        return MODELS[self.model](
            tuple(hidden),
            max_iter=self.epochs,
            batch_size=self.batch_size,
            tolerance=self.tolerance,
            random_state=self.seed,
            checkpoints=checkpoints,
            **own,
        )

    def toml(self) -> str:
        """Return the settings as a TOML file that `labelled_settings` reads back."""
        return tomli_w.dumps({name: spelled(value) for name, value in self.model_dump().items() if value is not None})


def model_named(model: str | None, file: Path | None) -> str | None:
    """Return the model of an option or, without one, of a settings file; None for the networks that need no labels.

    Parameters
    ----------
    model : str or None
        Value of the option.
    file : Path or None
        Settings file.

    Returns
    -------
    str or None

    Examples
    --------
    >>> from simatch.runs import model_named
    >>> model_named("contrastive", None), model_named("similarity", None)
    ('contrastive', None)
    """
    if model is None and file is not None:
        found = read_settings(file).get("model")
        model = None if found is None else str(found)
    return None if model in (None, "similarity") else model


def labelled_settings(
    data: str | None,
    file: Path | None,
    options: Mapping[str, Any],
    layers: Mapping[str, Sequence[Any]] | None = None,
) -> LabelledSettings:
    """Merge a settings file and options, which override it.

    Parameters
    ----------
    data : str or None
        Name of the data set; None for that of the file.
    file : Path or None
        Settings file.
    options : mapping of str to values
        Settings by name; None stands for an option that was not given.
    layers : mapping of str to sequence of values, optional
        Options of layers, as in `merged`.

    Returns
    -------
    LabelledSettings

    Raises
    ------
    SettingsError
        If a setting is missing, unknown or out of range; the message is one sentence that names it.

    Examples
    --------
    >>> from simatch.runs import labelled_settings
    >>> labelled_settings("digits", None, {"model": "contrastive", "seed": 3}).seed
    3
    """
    values = {**({} if file is None else read_settings(file)), **{k: v for k, v in options.items() if v is not None}}
    if data is not None:
        values["data"] = data
    values["layers"] = merged_layers([{"units": 100}], values.get("layers"), layers or {}, file)
    try:
        own = LabelledSettings.model_validate(values)
    except pydantic.ValidationError as error:
        known = ReachSettings if "layers" in error.errors(include_url=False)[0]["loc"] else LabelledSettings
        raise of_model(values["model"], error, file, known.model_fields) from None
    _check_reach(own)
    return own


def _check_reach(settings: LabelledSettings) -> None:
    """Raise SettingsError if layers have settings that the model does not."""
    if settings.model == "multiview" and len(settings.layers) > 1:
        raise SettingsError(f"The model 'multiview' has one hidden layer, not {len(settings.layers)}; give units once.")
    for layer in settings.layers:
        for name, usual in REACH["contrastive"].items():
            value = getattr(layer, name)
            if name not in REACH[settings.model] and value != usual:
                raise SettingsError(
                    f"The setting {name.replace('_', '-')} has no meaning for the model {settings.model!r}, but is "
                    f"{value}; leave it out."
                )


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledRun:
    """Result of a run with labels.

    Attributes
    ----------
    settings : LabelledSettings
    classifier : estimator
        Fitted; it predicts the names of classes.
    dataset : Dataset
        The data after the split.
    held_out : bool
        Whether the test part was held out from the training part, because the data set has none.
    test_error_percent, train_error_percent : float
        Training errors are of at most 10,000 samples.
    readouts : list of Readout
        For comparison, a linear readout of the raw input.
    seconds : dict of str to float
        Wall time of each part of the run.
    """

    settings: LabelledSettings
    classifier: Any
    dataset: Dataset
    held_out: bool
    test_error_percent: float
    train_error_percent: float
    readouts: list[Readout]
    seconds: dict[str, float]

    @property
    def network(self) -> Network:
        """The trained network."""
        return self.classifier.network_


def run_labelled(
    settings: LabelledSettings,
    dataset: Dataset,
    *,
    say: Callable[[str], None] = lambda _: None,
    work: Path | None = None,
) -> LabelledRun:
    """Train a classifier on the training part of a data set, and test it.

    Parameters
    ----------
    settings : LabelledSettings
    dataset : Dataset
        If it has no test part with labels, a random quarter is held out.
    say : callable
        Called with a sentence on what happens next.
    work : Path, optional
        A folder in which the run is kept while it learns, and from which the same run goes on after an interruption.

    Returns
    -------
    LabelledRun

    Raises
    ------
    ValueError
        If the data have no labels, or a setting does not fit.
    DivergenceError
        If activities grow without bound.
    """
    if dataset.y_train is None:
        raise ValueError(f"The model {settings.model!r} learns from labels, but {dataset.name!r} has none.")
    held_out = dataset.x_test is None or dataset.y_test is None
    if held_out:
        dataset = dataset.held_out(HELD_OUT, seed=settings.seed)
    assert dataset.x_test is not None
    assert dataset.y_train is not None
    assert dataset.y_test is not None
    names = np.asarray(dataset.classes)
    x, x_test = (part.reshape(len(part), -1) for part in (dataset.x_train, dataset.x_test))
    y, y_test = names[dataset.y_train], names[dataset.y_test]
    say(f"Learning from {len(x):,} samples with labels.")
    began = time.perf_counter()
    checkpoints = None if work is None else work / "checkpoints"
    classifier = settings.classifier(dataset.shape, checkpoints).fit(x, y).set_params(checkpoints=None)
    seconds = {"learning": time.perf_counter() - began}
    some = slice(10_000)
    test, train = (100 * float(np.mean(classifier.predict(a) != b)) for a, b in ((x_test, y_test), (x[some], y[some])))
    readouts = []
    if settings.compare:
        say("Reading out the raw input, for comparison.")
        began = time.perf_counter()
        labelled = Labelled(dataset.y_train, dataset.y_test)
        readouts = [labelled.readout("raw input", dataset.x_train, dataset.x_test)]
        seconds["readout"] = time.perf_counter() - began
    return LabelledRun(settings, classifier, dataset, held_out, test, train, readouts, seconds)

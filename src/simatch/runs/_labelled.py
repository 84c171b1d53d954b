"""A run of a model that learns from labels: it classifies by itself, and needs no readout."""

import dataclasses
import time
from collections.abc import Callable, Mapping
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
from ..network import Network
from ._comparison import Labelled, Readout
from ._run import HELD_OUT
from ._settings import SettingsError, read_settings, sentence

# From the names of models to functions from units and other settings to classifiers.
MODELS: dict[str, Callable[..., Any]] = {
    "contrastive": ContrastiveSimilarityMatching,
    "equilibrium": EquilibriumPropagation,
    "multiview": lambda units, **own: SupervisedSimilarityMatching(units[0], **own),
    "predictive": PredictiveCodingClassifier,
}


class LabelledSettings(pydantic.BaseModel):
    """All settings of a run with labels; together with the data they determine its result."""

    model_config = pydantic.ConfigDict(extra="forbid")

    data: str
    model: Literal["contrastive", "equilibrium", "multiview", "predictive"]
    units: Annotated[list[pydantic.PositiveInt], pydantic.Field(min_length=1)] = [100]
    epochs: pydantic.PositiveInt | Literal["auto"] = "auto"
    batch_size: pydantic.PositiveInt = 20
    rate: Annotated[pydantic.PositiveFloat, pydantic.AllowInfNan(False)] | None = None
    tolerance: Annotated[pydantic.PositiveFloat, pydantic.AllowInfNan(False)] = 1e-2
    compare: bool = True
    seed: pydantic.NonNegativeInt = 0

    def classifier(self) -> Any:
        """Return the classifier before learning."""
        own: dict[str, Any] = {} if self.rate is None else {"learning_rate": self.rate}
        return MODELS[self.model](
            tuple(self.units),
            max_iter=self.epochs,
            batch_size=self.batch_size,
            tolerance=self.tolerance,
            random_state=self.seed,
            **own,
        )

    def toml(self) -> str:
        """Return the settings as a TOML file that `labelled_settings` reads back."""
        return tomli_w.dumps({name: value for name, value in self.model_dump().items() if value is not None})


def model_named(model: str | None, file: Path | None) -> str | None:
    """Return the model of an option or, without one, of a settings file; None for the networks that need no labels."""
    if model is None and file is not None:
        found = read_settings(file).get("model")
        model = None if found is None else str(found)
    return None if model in (None, "similarity") else model


def labelled_settings(data: str | None, file: Path | None, options: Mapping[str, Any]) -> LabelledSettings:
    """Merge a settings file and options, which override it.

    Raises
    ------
    SettingsError
        If a setting is missing, unknown or out of range; the message is one sentence that names it.
    """
    values = {**({} if file is None else read_settings(file)), **{k: v for k, v in options.items() if v is not None}}
    if data is not None:
        values["data"] = data
    try:
        return LabelledSettings.model_validate(values)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            raise SettingsError(
                f"The setting {name.replace('_', '-')} has no meaning for the model {values['model']!r}; known ones "
                f"are {', '.join(LabelledSettings.model_fields)}."
            ) from None
        if first["type"] == "missing":
            raise SettingsError(f"No {name} was given; name it.") from None
        raise SettingsError(sentence(error, file)) from None


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
    settings: LabelledSettings, dataset: Dataset, *, say: Callable[[str], None] = lambda _: None
) -> LabelledRun:
    """Train a classifier on the training part of a data set, and test it.

    Parameters
    ----------
    settings : LabelledSettings
    dataset : Dataset
        If it has no test part with labels, a random quarter is held out.
    say : callable
        Called with a sentence on what happens next.

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
    classifier = settings.classifier().fit(x, y)
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

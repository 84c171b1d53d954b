"""A run of a model whose features are components, landmarks or sources: it needs no labels and has one layer."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pydantic
import tomli_w
from jaxtyping import Float

from ..data import Dataset
from ..estimators import KernelSimilarityMatching, NonnegativeICA, OnlineSFA
from ._comparison import Labelled, Readout
from ._run import HELD_OUT
from ._settings import SettingsError, of_model, read_settings

COMPONENT_MODELS: dict[str, tuple[type[Any], str, str]] = {
    "kernel": (KernelSimilarityMatching, "strengths_", "strength"),
    "sfa": (OnlineSFA, "slowness_", "slowness"),
    "nica": (NonnegativeICA, "mixing_", "size of its mixture"),
}
"""Models by name: the estimator, its fitted value that a page shows for each unit, and what this value is called."""


class ComponentSettings(pydantic.BaseModel):
    """All settings of a run without labels of one of these models; with the data they determine its result."""

    model_config = pydantic.ConfigDict(extra="forbid")

    data: str
    model: Literal["kernel", "sfa", "nica"]
    units: pydantic.PositiveInt = 10
    epochs: pydantic.PositiveInt | Literal["auto"] = "auto"
    batch_size: pydantic.PositiveInt | None = None
    rate: Annotated[pydantic.PositiveFloat, pydantic.AllowInfNan(False)] | Literal["auto"] = "auto"
    compare: bool = True
    seed: pydantic.NonNegativeInt = 0

    def estimator(self) -> Any:
        """Return the estimator before learning."""
        own: dict[str, Any] = {} if self.batch_size is None else {"batch_size": self.batch_size}
        if self.model == "sfa" and (self.epochs, self.rate) != ("auto", "auto"):
            own["solver"] = "online"
        return COMPONENT_MODELS[self.model][0](
            self.units, max_iter=self.epochs, learning_rate=self.rate, random_state=self.seed, **own
        )

    def toml(self) -> str:
        """Return the settings as a TOML file that `component_settings` reads back."""
        return tomli_w.dumps({name: value for name, value in self.model_dump().items() if value is not None})


def component_settings(
    data: str | None, file: Path | None, options: Mapping[str, Any], layers: Mapping[str, Any]
) -> ComponentSettings:
    """Merge a settings file and options, which override it.

    Parameters
    ----------
    data : str or None
        Name of the data set; None for that of the file.
    file : Path or None
        Settings file.
    options : mapping of str to values
        Settings by name; None stands for an option that was not given.
    layers : mapping of str to sequence of values
        Options of layers, of which these models have one; only units have a meaning.

    Returns
    -------
    ComponentSettings

    Raises
    ------
    SettingsError
        If a setting is missing, unknown or out of range; the message is one sentence that names it.

    Examples
    --------
    >>> from simatch.runs import component_settings
    >>> component_settings("digits", None, {"model": "kernel"}, {"units": [20]}).units
    20
    """
    values = {**({} if file is None else read_settings(file)), **{k: v for k, v in options.items() if v is not None}}
    values |= {} if data is None else {"data": data}
    for name, own in layers.items():
        if len(own) > 1:
            raise SettingsError(f"The model {values['model']!r} has one layer, not {len(own)}; give {name} once.")
        values[name] = own[0]
    try:
        return ComponentSettings.model_validate(values)
    except pydantic.ValidationError as error:
        raise of_model(values["model"], error, file, ComponentSettings.model_fields) from None


@dataclasses.dataclass(frozen=True, eq=False)
class ComponentRun:
    """Result of a run.

    Attributes
    ----------
    settings : ComponentSettings
    estimator : estimator
        Fitted on the training part.
    dataset : Dataset
        The data after the split, if there is one.
    held_out : bool
        Whether the test part was held out from the training part, because the data set has none.
    vectors : array of shape (units, features)
        Landmarks or weights of every unit.
    values : array of shape (units,)
        What the model tells of every unit.
    readouts : list of Readout
        Linear readouts of the features and, for comparison, of the raw input; none without labels or a test part.
    seconds : dict of str to float
        Wall time of each part of the run.
    """

    settings: ComponentSettings
    estimator: Any
    dataset: Dataset
    held_out: bool
    vectors: Float[np.ndarray, "units features"]
    values: Float[np.ndarray, " units"]
    readouts: list[Readout]
    seconds: dict[str, float]


def run_components(
    settings: ComponentSettings, dataset: Dataset, *, say: Callable[[str], None] = lambda _: None
) -> ComponentRun:
    """Fit a model on the training part of a data set and, if there are labels, read its features out linearly.

    Parameters
    ----------
    settings : ComponentSettings
    dataset : Dataset
        With labels but no test part, a random quarter is held out; not for slow features, whose rows follow each other.
    say : callable
        Called with a sentence on what happens next.

    Returns
    -------
    ComponentRun

    Raises
    ------
    ValueError
        If a setting does not fit the data.
    """
    held_out = dataset.y_train is not None and dataset.x_test is None and settings.model != "sfa"
    if held_out:
        dataset = dataset.held_out(HELD_OUT, seed=settings.seed)
    x = dataset.x_train.reshape(len(dataset.x_train), -1)
    say(f"Learning from {len(x):,} rows without labels.")
    began = time.perf_counter()
    estimator = settings.estimator().fit(x)
    seconds, readouts = {"learning": time.perf_counter() - began}, []
    if dataset.y_train is not None and dataset.x_test is not None and dataset.y_test is not None:
        say("Reading out features.")
        began = time.perf_counter()
        x_test = dataset.x_test.reshape(len(dataset.x_test), -1)
        labelled = Labelled(dataset.y_train, dataset.y_test)
        readouts = [labelled.readout("features", estimator.transform(x), estimator.transform(x_test))]
        if settings.compare:
            readouts.append(labelled.readout("raw input", x, x_test))
        seconds["readout"] = time.perf_counter() - began
    values = getattr(estimator, COMPONENT_MODELS[settings.model][1])
    if values.ndim > 1:  # a column for every unit
        values = np.linalg.norm(values, axis=0)
    vectors = estimator.landmarks_ if settings.model == "kernel" else estimator.components_
    return ComponentRun(settings, estimator, dataset, held_out, vectors, values, readouts, seconds)

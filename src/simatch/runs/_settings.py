"""Settings of a training run: defaults, overridden by a TOML file, overridden by options; validated."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import tomli_w

from ..data import Preprocessing, default_preprocessing
from ..learning import AveragingRule, GradientRule, Rule
from ..models import Layer, layered
from ..network import Grid, Network, activation
from ..storage import read_toml

Settings = dict[str, Any]


class SettingsError(ValueError):
    """A setting is missing, unknown or out of range; the message says which."""


def _none(value: Any) -> Any:
    return None if isinstance(value, str) and value.lower() == "none" else value


def _known_activation(name: str) -> str:
    activation(name)
    return name


# Finite numbers: pydantic's own take infinity.
_Above0 = Annotated[pydantic.PositiveFloat, pydantic.AllowInfNan(False)]
_AtLeast0 = Annotated[pydantic.NonNegativeFloat, pydantic.AllowInfNan(False)]


class ReachSettings(pydantic.BaseModel):
    """Units of one layer and the reach of their synapses; see `simatch.Layer`."""

    model_config = pydantic.ConfigDict(extra="forbid")

    units: pydantic.PositiveInt
    stride: Annotated[pydantic.PositiveInt | None, pydantic.BeforeValidator(_none)] = None
    radius: Annotated[_AtLeast0 | None, pydantic.BeforeValidator(_none)] = None
    lateral_radius: Annotated[_AtLeast0 | None, pydantic.BeforeValidator(_none)] = 0.0


class LayerSettings(ReachSettings):
    """One layer; see `simatch.Layer`."""

    activation: Annotated[str, pydantic.AfterValidator(_known_activation)] = "tanh"
    scale: _Above0 | Literal["auto"] = 1.0
    lateral_scale: _Above0 = 1.0


class PreprocessingSettings(pydantic.BaseModel):
    """See `simatch.data.Preprocessing`."""

    model_config = pydantic.ConfigDict(extra="forbid")

    deskew: bool = False
    spread: _AtLeast0 = 0.0
    mean_image: bool = False
    blur: _AtLeast0 = 0.0
    own_mean: bool = False
    own_scale: bool = False
    scale: _AtLeast0 = 0.0


class RunSettings(pydantic.BaseModel):
    """All settings of a training run; together with the data they determine its result."""

    model_config = pydantic.ConfigDict(extra="forbid")

    data: str
    seed: pydantic.NonNegativeInt = 0
    feedback: _AtLeast0 = 0.0
    epochs: _Above0 = 2.0
    batch_size: pydantic.PositiveInt = 100
    rate: _Above0 | Literal["auto"] = "auto"
    ratio: _Above0 = 1.0
    rule: Literal["averaging", "gradient"] = "averaging"
    compare: bool = True
    tol: Annotated[_Above0 | None, pydantic.BeforeValidator(_none)] = None
    tolerance: _Above0 = 1e-3
    preprocessing: PreprocessingSettings
    layers: Annotated[list[LayerSettings], pydantic.Field(min_length=1)]

    def network(self, input: Grid) -> Network:
        """Build the untrained network; a scale of "auto" is 1 before calibration.

        Parameters
        ----------
        input : Grid

        Returns
        -------
        Network
        """
        layers = [
            Layer(**{**layer.model_dump(), "scale": 1.0 if layer.scale == "auto" else layer.scale})
            for layer in self.layers
        ]
        return layered(input, layers, feedback=self.feedback, seed=self.seed)

    def preprocessor(self) -> Preprocessing:
        """Return the preprocessing, which is not fitted yet."""
        return Preprocessing(**self.preprocessing.model_dump())

    def learning_rule(self) -> Rule:
        """Return the rule of learning."""
        return {"averaging": AveragingRule, "gradient": GradientRule}[self.rule]()

    def toml(self) -> str:
        """Return the settings as a TOML file that `merged` reads back."""
        return tomli_w.dumps(spelled(self.model_dump()))


def merged(
    data: str | None,
    *,
    file: Path | None = None,
    options: Mapping[str, Any] | None = None,
    layers: Mapping[str, Sequence[Any]] | None = None,
) -> RunSettings:
    """Merge the defaults of a data set, a TOML file and options. Options override the file, and the file the defaults.

    Parameters
    ----------
    data : str, optional
        Name of a data set, or path of a file; by default that in the TOML file.
    file : Path, optional
        TOML file.
    options : mapping, optional
        Settings of the run by name; values of None are ignored.
    layers : mapping of str to sequence, optional
        Settings of layers by name: one value for each layer, or one for all layers. The number of layers is that of the
        longest sequence if it is above 1 or if `units` are given without a file, otherwise that of the file or of the
        defaults.

    Returns
    -------
    RunSettings

    Raises
    ------
    SettingsError
        If a setting is missing, unknown or out of range; the message is one sentence that names it.

    Examples
    --------
    >>> from simatch.runs import merged
    >>> [layer.stride for layer in merged("mnist", layers={"units": [4, 8], "stride": [2]}).layers]
    [2, 2]
    """
    given = {} if file is None else read_settings(file)
    data = data or given.get("data")
    if not isinstance(data, str):
        raise SettingsError(
            f'No data set was named{_in(file)}; give one, or a settings file with a line `data = "..."`.'
        )
    values = {**defaults(data), **{k: v for k, v in given.items() if k != "layers"}, "data": data}
    values |= {name: value for name, value in (options or {}).items() if value is not None}
    values["layers"] = merged_layers(values["layers"], given.get("layers"), layers or {}, file)
    try:
        return RunSettings.model_validate(values)
    except pydantic.ValidationError as error:
        raise SettingsError(sentence(error, file)) from None


def defaults(data: str) -> Settings:
    """Return the default settings of a data set, or the general ones for a user's file."""
    own = copy.deepcopy(_DEFAULTS.get(data, _DEFAULTS[""]))
    return {"preprocessing": default_preprocessing(data).get_params(), **own}


_PAPER: Settings = {"units": 4, "stride": 2, "radius": 4.0}
_DEFAULTS: dict[str, Settings] = {
    "digits": {
        "epochs": 4.0,
        "batch_size": 25,
        "feedback": 0.1,
        # Without this, the second layer receives mainly what all digits have in common.
        "preprocessing": {"mean_image": True, "own_mean": True, "scale": 0.5},
        "layers": [
            # Rectified units that compete become detectors of parts, which a linear readout needs; bounded ones (tanh)
            # span little more than principal components.
            {"units": 24, "stride": 2, "radius": 2.5, "activation": "relu"},
            {"units": 16, "stride": 2, "radius": 2.0, "activation": "relu", "scale": 0.1},
        ],
    },
    "mnist": {"layers": [_PAPER]},
    "cifar10": {"layers": [{**_PAPER, "units": 16, "scale": "auto"}]},
    "patches": {"layers": [{"units": 64, "scale": "auto"}]},
    "lfw": {
        "layers": [
            {"units": 4, "stride": 2, "radius": 8.0, "scale": "auto"},
            {"units": 8, "stride": 2, "radius": 6.0, "scale": "auto"},
            {"units": 16, "stride": 2, "radius": 6.0, "scale": "auto"},
        ],
    },
    "": {"layers": [{"units": 32, "scale": "auto"}]},
}


def merged_layers(
    base: list[Settings], file: Any, options: Mapping[str, Sequence[Any]], path: Path | None = None
) -> list[Any]:
    """Merge the settings of layers: those of a file override `base`, and options override both."""
    counts = {name: len(values) for name, values in options.items() if values}
    if file is not None:
        if not isinstance(file, list) or not all(isinstance(layer, dict) for layer in file):
            raise SettingsError(f"`layers`{_in(path)} must be a list of tables: [[layers]].")
        base = [{**base[min(i, len(base) - 1)], **layer} for i, layer in enumerate(file)]
    # A single value stands for all layers, unless it is that of `units` and no file describes the layers.
    described = file is None and "units" in counts
    number = max(counts.values()) if counts and (described or max(counts.values()) > 1) else len(base)
    for name, count in counts.items():
        if count not in (1, number):
            option = name.replace("_", "-")
            raise SettingsError(
                f"--{option} was given {count} times, but the network has {number} layer{'s' * (number > 1)}: "
                "give it once for each, or once for all."
            )
    layers = [dict(base[min(i, len(base) - 1)]) for i in range(number)]
    for name, values in options.items():
        for i, layer in enumerate(layers):
            if values:
                layer[name] = values[i if len(values) > 1 else 0]
    for layer in layers:
        all_to_all = "radius" in counts and _none(layer["radius"]) is None
        if all_to_all and "stride" not in counts:
            layer["stride"] = None  # with a default stride, many sites would have the same inputs
    return layers


def read_settings(file: Path) -> Settings:
    """Read a settings file; what is wrong with it is a `SettingsError`."""
    try:
        return read_toml(file)
    except FileNotFoundError:
        raise SettingsError(f"There is no settings file {str(file)!r}.") from None
    except (OSError, ValueError) as error:
        raise SettingsError(str(error)) from None


def of_model(model: str, error: pydantic.ValidationError, file: Path | None, known: Iterable[str]) -> SettingsError:
    """Describe the first error in the settings of a model, which knows only some of all settings."""
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][-1])
    if first["type"] == "extra_forbidden":
        return SettingsError(
            f"The setting {name.replace('_', '-')} has no meaning for the model {model!r}; known ones are "
            f"{', '.join(known)}."
        )
    if first["type"] == "missing":
        return SettingsError(f"No {name} was given; name it.")
    return SettingsError(sentence(error, file))


def sentence(error: pydantic.ValidationError, file: Path | None) -> str:
    """Describe the first error in one sentence."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "extra_forbidden":
        *_, name = first["loc"]
        known = LayerSettings.model_fields if "layers" in first["loc"] else RunSettings.model_fields
        where = f"{str(file)!r} has" if file else "There is"
        return f"{where} an unknown setting {_short(name)}; known ones are {', '.join(known)}."
    message = first["msg"].removeprefix("Value error, ").removesuffix(".")
    where = [str(part) for part in first["loc"] if not str(part).startswith(("literal", "constrained"))]
    if len(where) > 1 and where[0] == "layers":
        name = f"{where[2].replace('_', '-') if len(where) > 2 else 'settings'} of layer {int(where[1]) + 1}"
    else:
        name = where[0].replace("_", "-")
    return f"The {name[:100]}{_in(file)} cannot be {_short(first['input'])}: {message[0].lower()}{message[1:500]}."


def _in(file: Path | None) -> str:
    return f" in the settings file {str(file)!r}" if file else ""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def spelled(value: Any) -> Any:
    """Replace None by the word "none", because TOML has no null."""
    if isinstance(value, dict):
        return {name: spelled(v) for name, v in value.items()}
    if isinstance(value, list):
        return [spelled(v) for v in value]
    return "none" if value is None else value

"""Complete training runs: settings, training, and readout. They print nothing and write no files."""

from .._extras import Feature

with Feature("simatch.runs", extra="app"):
    from ._comparison import Readout as Readout
    from ._components import COMPONENT_MODELS as COMPONENT_MODELS
    from ._components import ComponentRun as ComponentRun
    from ._components import ComponentSettings as ComponentSettings
    from ._components import component_settings as component_settings
    from ._components import run_components as run_components
    from ._demo import demo as demo
    from ._labelled import LabelledRun as LabelledRun
    from ._labelled import LabelledSettings as LabelledSettings
    from ._labelled import labelled_settings as labelled_settings
    from ._labelled import model_named as model_named
    from ._labelled import run_labelled as run_labelled
    from ._model import KIND as KIND
    from ._model import Model as Model
    from ._run import LayerState as LayerState
    from ._run import Run as Run
    from ._run import grid_of as grid_of
    from ._run import run as run
    from ._run import spread as spread
    from ._settings import RunSettings as RunSettings
    from ._settings import SettingsError as SettingsError
    from ._settings import merged as merged

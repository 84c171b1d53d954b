"""Complete training runs: settings, training, and readout. They print nothing and write no files."""

from .._extras import Feature

with Feature("simatch.runs", extra="app"):
    from ._demo import Demo as Demo
    from ._demo import demo as demo
    from ._demo import mean_errors as mean_errors
    from ._run import LayerState as LayerState
    from ._run import Run as Run
    from ._run import grid_of as grid_of
    from ._run import readout_error as readout_error
    from ._run import run as run
    from ._settings import RunSettings as RunSettings
    from ._settings import SettingsError as SettingsError
    from ._settings import merged as merged

"""Whole runs, from data to numbers and features; they know no screen and write no file."""

from .digits import Demo as Demo
from .digits import demo as demo
from .digits import mean_errors as mean_errors
from .training import LayerState as LayerState
from .training import Run as Run
from .training import grid_of as grid_of
from .training import readout_error as readout_error
from .training import run as run

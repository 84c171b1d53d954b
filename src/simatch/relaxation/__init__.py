"""Settling a network: one solver a file, one `relax`, one result."""

from ._relax import ConvergenceWarning as ConvergenceWarning
from ._relax import Relaxation as Relaxation
from ._relax import Status as Status
from ._relax import relax as relax
from ._relax import settle as settle
from ._solver import Solver as Solver
from .accelerated import Accelerated as Accelerated
from .direct import Direct as Direct
from .euler import Euler as Euler

"""Settling a network: one solver a file, one `relax`, one result."""

from ._iteration import Iteration as Iteration
from ._relax import ConvergenceWarning as ConvergenceWarning
from ._relax import Relaxation as Relaxation
from ._relax import relax as relax
from ._relax import settle as settle
from ._solver import Solver as Solver
from ._solver import Status as Status
from .accelerated import Accelerated as Accelerated
from .blockwise import Blockwise as Blockwise
from .euler import Euler as Euler

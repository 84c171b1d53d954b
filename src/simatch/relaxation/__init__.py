"""Relaxation of activities to their fixed point: phases, solvers, and the result."""

from ._accelerated import Accelerated as Accelerated
from ._adaptive import Adaptive as Adaptive
from ._blockwise import Blockwise as Blockwise
from ._euler import Euler as Euler
from ._inputs import Inputs as Inputs
from ._inputs import aligned as aligned
from ._inputs import check_inputs as check_inputs
from ._inputs import checked as checked
from ._inputs import count_samples as count_samples
from ._inputs import is_input as is_input
from ._inputs import is_sparse as is_sparse
from ._inputs import rows_of as rows_of
from ._inputs import stacked as stacked
from ._iteration import Iteration as Iteration
from ._phase import INPUTS_CLAMPED as INPUTS_CLAMPED
from ._phase import Phase as Phase
from ._problem import Problem as Problem
from ._problem import stage_problem as stage_problem
from ._relax import ConvergenceWarning as ConvergenceWarning
from ._relax import Relaxation as Relaxation
from ._relax import relax as relax
from ._relax import settle as settle
from ._relax import settle_phases as settle_phases
from ._solver import Settled as Settled
from ._solver import Solver as Solver
from ._solver import Status as Status

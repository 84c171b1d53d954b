"""Neural networks that learn by local rules: structured and deep similarity matching."""

from typing import TYPE_CHECKING, Any

from .activation import Activation as Activation
from .activation import activation as activation
from .calibration import calibrate as calibrate
from .connectivity import Connectivity as Connectivity
from .connectivity import Dense as Dense
from .connectivity import Local as Local
from .connectivity import Sparse as Sparse
from .costs import Credit as Credit
from .costs import credit as credit
from .costs import objective as objective
from .costs import similarity_cost as similarity_cost
from .encoding import encode as encode
from .files import load as load
from .files import save as save
from .grid import Grid as Grid
from .layered import Layer as Layer
from .layered import layered as layered
from .network import Network as Network
from .network import Population as Population
from .pathway import AntiHebbian as AntiHebbian
from .pathway import Hebbian as Hebbian
from .pathway import Pathway as Pathway
from .plasticity import learn as learn
from .relaxation import Accelerated as Accelerated
from .relaxation import Blockwise as Blockwise
from .relaxation import ConvergenceWarning as ConvergenceWarning
from .relaxation import Euler as Euler
from .relaxation import Relaxation as Relaxation
from .relaxation import Solver as Solver
from .relaxation import Status as Status
from .relaxation import relax as relax
from .training import DivergenceError as DivergenceError
from .training import Report as Report
from .training import epochs_of as epochs_of
from .training import hyperbolic as hyperbolic
from .training import published_schedule as published_schedule
from .training import train as train
from .training import training as training

if TYPE_CHECKING:
    from .estimators import DeepSimilarityMatching as DeepSimilarityMatching
    from .estimators import SimilarityMatching as SimilarityMatching


def __getattr__(name: str) -> Any:
    """Import the estimators when they are first asked for: scikit-learn doubles the time that an import takes."""
    if name in ("DeepSimilarityMatching", "SimilarityMatching"):
        from . import estimators

        return getattr(estimators, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Neural networks that learn by local rules: structured and deep similarity matching."""

import importlib
from typing import TYPE_CHECKING, Any

from .learning import AveragingRule as AveragingRule
from .learning import CentredRule as CentredRule
from .learning import Certificate as Certificate
from .learning import Change as Change
from .learning import ContrastRule as ContrastRule
from .learning import Credit as Credit
from .learning import DivergenceError as DivergenceError
from .learning import GradientRule as GradientRule
from .learning import Health as Health
from .learning import HealthWarning as HealthWarning
from .learning import KeptStates as KeptStates
from .learning import LearningState as LearningState
from .learning import Plasticity as Plasticity
from .learning import RandomSign as RandomSign
from .learning import RecruitingRule as RecruitingRule
from .learning import RegressionRule as RegressionRule
from .learning import Report as Report
from .learning import Rule as Rule
from .learning import RuleByTerm as RuleByTerm
from .learning import ScaledRule as ScaledRule
from .learning import StartedAt as StartedAt
from .learning import calibrate as calibrate
from .learning import certificate as certificate
from .learning import credit as credit
from .learning import encode as encode
from .learning import epochs_of as epochs_of
from .learning import hyperbolic as hyperbolic
from .learning import imprinted as imprinted
from .learning import learn as learn
from .learning import objective as objective
from .learning import published_schedule as published_schedule
from .learning import similarity_cost as similarity_cost
from .learning import sized as sized
from .learning import train as train
from .learning import training as training
from .models import Layer as Layer
from .models import layered as layered
from .network import Activation as Activation
from .network import AntiHebbian as AntiHebbian
from .network import Bias as Bias
from .network import Connectivity as Connectivity
from .network import Copy as Copy
from .network import CosinePowerKernel as CosinePowerKernel
from .network import Dense as Dense
from .network import Grid as Grid
from .network import Hebbian as Hebbian
from .network import Interneurons as Interneurons
from .network import Kernel as Kernel
from .network import Landmarks as Landmarks
from .network import Leak as Leak
from .network import Local as Local
from .network import Network as Network
from .network import Nudge as Nudge
from .network import Pathway as Pathway
from .network import PolynomialKernel as PolynomialKernel
from .network import Population as Population
from .network import Prediction as Prediction
from .network import RadialKernel as RadialKernel
from .network import Sparse as Sparse
from .network import Term as Term
from .network import WhitenedHebbian as WhitenedHebbian
from .network import activation as activation
from .network import lesion as lesion
from .network import register as register
from .network import with_feedback as with_feedback
from .relaxation import Accelerated as Accelerated
from .relaxation import Adaptive as Adaptive
from .relaxation import Blockwise as Blockwise
from .relaxation import ConvergenceWarning as ConvergenceWarning
from .relaxation import Coupled as Coupled
from .relaxation import Descent as Descent
from .relaxation import Direct as Direct
from .relaxation import Euler as Euler
from .relaxation import Iteration as Iteration
from .relaxation import Phase as Phase
from .relaxation import Problem as Problem
from .relaxation import Relaxation as Relaxation
from .relaxation import Settled as Settled
from .relaxation import Solver as Solver
from .relaxation import Status as Status
from .relaxation import Trajectory as Trajectory
from .relaxation import relax as relax
from .relaxation import simulate as simulate
from .relaxation import trajectory as trajectory
from .storage import Checkpoints as Checkpoints
from .storage import load as load
from .storage import save as save

if TYPE_CHECKING:
    from . import analysis as analysis
    from . import plot as plot
    from .estimators import ContrastivePCA as ContrastivePCA
    from .estimators import ContrastiveSimilarityMatching as ContrastiveSimilarityMatching
    from .estimators import DeepSimilarityMatching as DeepSimilarityMatching
    from .estimators import EquilibriumPropagation as EquilibriumPropagation
    from .estimators import KernelSimilarityMatching as KernelSimilarityMatching
    from .estimators import NonnegativeICA as NonnegativeICA
    from .estimators import OnlineCCA as OnlineCCA
    from .estimators import OnlineSFA as OnlineSFA
    from .estimators import PredictiveCodingClassifier as PredictiveCodingClassifier
    from .estimators import PredictiveCodingRegressor as PredictiveCodingRegressor
    from .estimators import SimilarityMatching as SimilarityMatching
    from .estimators import SupervisedSimilarityMatching as SupervisedSimilarityMatching

_ESTIMATORS = (
    "ContrastivePCA",
    "ContrastiveSimilarityMatching",
    "DeepSimilarityMatching",
    "EquilibriumPropagation",
    "KernelSimilarityMatching",
    "NonnegativeICA",
    "OnlineCCA",
    "OnlineSFA",
    "PredictiveCodingClassifier",
    "PredictiveCodingRegressor",
    "SimilarityMatching",
    "SupervisedSimilarityMatching",
)

_ROOMS = ("analysis", "plot")


def __getattr__(name: str) -> Any:
    """Import the estimators and `plot` at their first use: scikit-learn and Matplotlib double the time of an import."""
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _ESTIMATORS:
        from . import estimators

        return getattr(estimators, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The scikit-learn interface."""

from .._extras import Feature

with Feature("simatch.estimators", extra="sklearn"):
    from ._canonical import OnlineCCA as OnlineCCA
    from ._contrastive import ContrastiveSimilarityMatching as ContrastiveSimilarityMatching
    from ._contrastive import EquilibriumPropagation as EquilibriumPropagation
    from ._deep import DeepSimilarityMatching as DeepSimilarityMatching
    from ._folder import CLASSES as CLASSES
    from ._folder import load as load
    from ._folder import save as save
    from ._folder import write as write
    from ._foreground import ContrastivePCA as ContrastivePCA
    from ._kernel import KernelSimilarityMatching as KernelSimilarityMatching
    from ._multiview import SupervisedSimilarityMatching as SupervisedSimilarityMatching
    from ._nonnegative import NonnegativeICA as NonnegativeICA
    from ._predictive import PredictiveCodingClassifier as PredictiveCodingClassifier
    from ._predictive import PredictiveCodingRegressor as PredictiveCodingRegressor
    from ._similarity_matching import SimilarityMatching as SimilarityMatching
    from ._slow import OnlineSFA as OnlineSFA

"""The scikit-learn interface."""

from .._extras import Feature

with Feature("simatch.estimators", extra="sklearn"):
    from ._deep import DeepSimilarityMatching as DeepSimilarityMatching
    from ._folder import CLASSES as CLASSES
    from ._folder import load as load
    from ._folder import save as save
    from ._similarity_matching import SimilarityMatching as SimilarityMatching

"""The scikit-learn interface."""

from .._extras import Feature

with Feature("simatch.estimators", extra="sklearn"):
    from ._estimators import DeepSimilarityMatching as DeepSimilarityMatching
    from ._estimators import SimilarityMatching as SimilarityMatching

"""The scikit-learn interface."""

from .._extras import Feature

with Feature("simatch.estimators", extra="sklearn"):
    from ._deep import DeepSimilarityMatching as DeepSimilarityMatching
    from ._similarity_matching import SimilarityMatching as SimilarityMatching

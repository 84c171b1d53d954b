"""The scikit-learn interface."""

from ._estimators import DeepSimilarityMatching as DeepSimilarityMatching
from ._estimators import SimilarityMatching as SimilarityMatching

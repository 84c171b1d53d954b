"""Analysis of trained networks: representations, stimuli, tuning."""

from ._curvature import curvature_eigenvalues as curvature_eigenvalues
from ._representations import class_samples as class_samples
from ._representations import effective_features as effective_features
from ._representations import receptive_fields as receptive_fields
from ._representations import reverse_correlation as reverse_correlation
from ._representations import similarity as similarity
from ._representations import similarity_contrast as similarity_contrast
from ._stimuli import edges as edges
from ._stimuli import gratings as gratings
from ._stimuli import occluded as occluded
from ._stimuli import phase_scrambled as phase_scrambled
from ._tuning import centres as centres
from ._tuning import extent as extent
from ._tuning import orientation_selectivity as orientation_selectivity
from ._tuning import sparseness as sparseness

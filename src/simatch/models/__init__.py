"""Constructors of particular networks, one file for each model."""

from ._alternation import Alternation as Alternation
from ._alternation import alternation as alternation
from ._alternation import independent_directions as independent_directions
from ._contrastive import contrastive as contrastive
from ._contrastive import equilibrium as equilibrium
from ._generalised import generalised as generalised
from ._generalised import generalised_adaptive as generalised_adaptive
from ._independent import nonnegative_components as nonnegative_components
from ._independent import nonnegative_interneurons as nonnegative_interneurons
from ._independent import nonnegative_rule as nonnegative_rule
from ._kernel import kernel_matching as kernel_matching
from ._kernel import kernel_rule as kernel_rule
from ._layered import Layer as Layer
from ._layered import layered as layered
from ._multiview import multiview as multiview
from ._multiview import multiview_network as multiview_network
from ._predictive import predictive as predictive
from ._predictive import predictive_graph as predictive_graph
from ._predictive import predictive_nudged as predictive_nudged
from ._predictive import predictive_scheduled as predictive_scheduled
from ._predictive import predictive_settled as predictive_settled
from ._supervised import Supervised as Supervised

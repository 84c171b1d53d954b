"""Constructors of particular networks, one file for each model."""

from ._contrastive import contrastive as contrastive
from ._contrastive import equilibrium as equilibrium
from ._layered import Layer as Layer
from ._layered import layered as layered
from ._multiview import multiview as multiview
from ._multiview import multiview_network as multiview_network
from ._supervised import Supervised as Supervised

"""Which synapses exist: all to all, local on a grid, or an arbitrary sparse matrix."""

from ._base import Connectivity as Connectivity
from .dense import Dense as Dense
from .local import Local as Local
from .sparse import Sparse as Sparse

"""Which synapses exist: all to all, local on a grid, or an arbitrary sparse matrix."""

from ._base import Connectivity as Connectivity
from ._dense import Dense as Dense
from ._local import Local as Local
from ._sparse import Sparse as Sparse

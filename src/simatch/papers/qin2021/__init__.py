"""Qin, Mudur, Pehlevan, Neural Computation 33 (2021): contrastive similarity matching, and equilibrium propagation."""

from ._contrast import ROWS as ROWS
from ._contrast import Images as Images
from ._contrast import Setting as Setting
from ._contrast import error_percent as error_percent
from ._contrast import learning_rate as learning_rate
from ._contrast import model as model

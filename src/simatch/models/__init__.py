"""The members of the family, one file each."""

from ._layered import Layer as Layer
from ._layered import layered as layered

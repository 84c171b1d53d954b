"""Constructors of particular networks, one file for each model."""

from ._layered import Layer as Layer
from ._layered import layered as layered

"""Linear readouts: classifiers that measure how well features separate classes."""

from .._extras import Feature

with Feature("simatch.readout", extra="sklearn"):
    from ._readout import LinearReadout as LinearReadout
    from ._readout import choose_cost as choose_cost

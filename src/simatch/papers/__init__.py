"""Publications and their results, one folder each, and the command that reproduces them."""

from .._extras import Feature

with Feature("The command line", extra="app"):
    from ._reproduce import reproduce as reproduce

"""Publications and their results, one folder each, and the command that reproduces them."""

from ._reproduce import reproduce as reproduce

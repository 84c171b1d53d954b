"""What rules with running means share."""

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ._compound import Around
from ._rule import Rule

# The running mean of n batches is that of about the last n / 10, over which the automatic rate averages too.
_RECENT = 10


class AroundMeans(Around):
    """A rule around another one of a single phase, with running means that several devices average."""

    def joined(self, before: PyTree, after: PyTree, axis: str) -> PyTree:
        inside, own = after
        return self.rule.joined(before[0], inside, axis), Rule.joined(self, before[1], own, axis)


def of_one_phase(rule: Rule) -> Rule:
    """Return the rule.

    Raises
    ------
    ValueError
        If it has several phases.
    """
    if len(rule.phases) != 1:
        raise ValueError(f"Means are those of one phase, but the rule has {len(rule.phases)}; give one with one.")
    return rule


def recent_share(count: Float[Array, ""], memory: float | None) -> Float[Array, ""]:
    """Share of the next batch in a running mean after `count` batches, which extends over at most `memory` batches."""
    return jnp.maximum(_RECENT / (_RECENT + count), 0 if memory is None else 1 / memory)

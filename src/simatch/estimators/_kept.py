"""What a `fit` that is kept in checkpoints needs."""

from numbers import Integral
from typing import Any


def check_repeatable(checkpoints: Any, random_state: Any) -> None:
    """Raise ValueError if a run with checkpoints could not be begun again with the same random numbers."""
    if checkpoints is not None and not isinstance(random_state, Integral):
        raise ValueError(
            f"With checkpoints, random_state must be an integer, got {random_state!r}, so that the run can be begun "
            "again."
        )

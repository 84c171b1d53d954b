"""Copies and pickles of estimators."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from ..learning import Report
from ..network import Network


class PortableNetwork:
    """Part of the estimators: copies and pickles hold NumPy arrays in place of arrays on a device.

    Attributes
    ----------
    _left_behind : tuple of str
        Attributes that copies do not have, such as rows of the user's data.
    """

    network_: Network
    _left_behind: ClassVar[tuple[str, ...]] = ()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickles and copies."""
        state: Any = super().__getstate__()
        kept = {name: _on_host(state[name]) for name in ("network_", "_last") if name in state}
        return {**state, **kept, **{name: None for name in self._left_behind if name in state}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # pyright: ignore[reportAttributeAccessIssue]  # of scikit-learn's base
        if "network_" in state:
            self.network_ = jax.tree.map(jnp.asarray, state["network_"])


def _on_host(value: Any) -> Any:
    if isinstance(value, Report):
        return dataclasses.replace(value, state=jax.device_get(value.state))
    return jax.device_get(value)

"""How much of their range the units of a network use."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..network import Activities, Network

SILENT_BELOW = 0.05


def saturated_share(net: Network, activities: Activities) -> dict[str, Float[Array, ""]]:
    """Share of activities within a tenth of a bound other than zero, for every layer.

    Near 1 the code is binary: units no longer grade their response (section 7 of ``docs/mathematics.md``).
    """
    return {name: jnp.mean(f.saturated(activities[name])) for name, f in net.activations.items() if name in activities}


def silent_share(net: Network, activities: Activities) -> dict[str, Float[Array, ""]]:
    """Share of units whose activity stays below 0.05 in size for every sample, for every layer."""
    return {
        name: jnp.mean(jnp.max(jnp.abs(activities[name]), axis=-1) < SILENT_BELOW, dtype=activities[name].dtype)
        for name in net.layers
        if name in activities
    }


def root_mean_square(net: Network, activities: Activities) -> dict[str, Float[Array, ""]]:
    """Root mean square of the activities of every layer."""
    return {name: jnp.sqrt(jnp.mean(activities[name] ** 2)) for name in net.layers if name in activities}

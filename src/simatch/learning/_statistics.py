"""Operating point of a network: how much of their range its units use."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..network import Activities, Network

SILENT_BELOW = 0.05


def saturated_share(net: Network, activities: Activities) -> dict[str, Float[Array, ""]]:
    """Share of activities beyond 90 % of a bound other than 0, for every population.

    Near 1, the code is binary: units no longer have graded responses (section 7 of ``docs/mathematics.md``).
    """
    return {name: jnp.mean(f.saturated(activities[name])) for name, f in net.activations.items() if name in activities}


def silent_share(net: Network, activities: Activities) -> dict[str, Float[Array, ""]]:
    """Share of units whose activity is below 0.05 in magnitude for all samples, for every population."""
    return {
        name: jnp.mean(jnp.max(jnp.abs(activities[name]), axis=-1) < SILENT_BELOW, dtype=activities[name].dtype)
        for name in net.layers
        if name in activities
    }


def root_mean_square(net: Network, activities: Activities) -> dict[str, Float[Array, ""]]:
    """Root mean square of the activities of every population that can relax."""
    return {name: jnp.sqrt(jnp.mean(activities[name] ** 2)) for name in net.layers if name in activities}

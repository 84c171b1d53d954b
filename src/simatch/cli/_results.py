"""What both commands say about a run."""

import dataclasses
from typing import TYPE_CHECKING

from ..console import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pydantic

    from ..learning import Certificate, Health

READOUTS = (
    "Each row is the same linear support vector machine, fitted on the same training images and tested on the same "
    "others. Networks are read out at all layers; the untrained network has the initial weights. Principal components "
    "and k-means are given the images that the network is given, and as many features as it has, but at most 400, at "
    "most as many components as there are, and at most one centre for two images. A feature of k-means is how much "
    "nearer an image is to a centre than to the centres on average, or 0 (Coates, Lee and Ng, 2011)."
)


# Shares of units that pages and the console show, as `Health` names them.
SHARES = ("saturated", "silent", "constant", "copies")


def shares_of(health: "Health") -> dict[str, str]:
    """Return the shares of units of a layer in percent, by name."""
    return {share: percent(getattr(health, share)) for share in SHARES}


def numbers_of(found: "Certificate") -> dict[str, float]:
    """Return the numbers of a certificate by name."""
    return {**dataclasses.asdict(found), "gap": found.gap}


def sentence(found: "Certificate") -> str:
    """Describe a certificate on the console."""
    return (
        f"primal cost {found.primal:.5g}, dual cost {found.dual:.5g}, distance from the optimum {found.distance:.2g} "
        f"(on {found.samples:,} images that were not learned from)"
    )


def layer_rows(layers: "Sequence[pydantic.BaseModel]") -> dict[str, str]:
    """Return a row for each layer with its settings, for pages."""
    return {
        f"layer {i}": ", ".join(
            f"{name.replace('_', ' ')} {'none' if value is None else value}"
            for name, value in layer.model_dump().items()
        )
        for i, layer in enumerate(layers, start=1)
    }

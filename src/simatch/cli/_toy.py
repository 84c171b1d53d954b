"""``simatch reproduce toy``."""

from ._common import reported
from ._options import Json, Out, Overwrite, Quick, Seed


def toy(
    out: Out = None, quick: Quick = False, seed: Seed = 0, overwrite: Overwrite = False, json: Json = False
) -> None:
    """To be written."""
    with reported():
        raise ValueError("Not there yet.")

"""Where compiled programs are kept between processes."""

import os
from pathlib import Path


def cache_folder(name: str) -> Path | None:
    """Return a folder of the user's cache, which may not exist yet; None if no home folder is known.

    It is in the folder that the environment variable SIMATCH_CACHE_DIR names, otherwise in ``simatch`` in the user's
    cache folder. What is kept there is executed, so nobody else should be able to write it.
    """
    if own := os.environ.get("SIMATCH_CACHE_DIR"):
        return Path(own) / name
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "simatch" / name
    except RuntimeError:
        return None

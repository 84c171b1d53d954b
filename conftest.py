"""Set up every test, the examples in docstrings among them."""

import os

os.environ.setdefault("MPLBACKEND", "Agg")

"""Set up every test, the examples in docstrings among them."""

import gc
import hashlib
import importlib.metadata
import os
import platform
import sys
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")

# Compiled programs are millions of objects, and looking at all of them often is a tenth of the suite's work.
gc.set_threshold(700, 10, 1000)


def _machine():
    """What compiled programs depend on beside JAX's own key: versions, and what the processor can do."""
    parts = [sys.version, platform.machine(), *map(importlib.metadata.version, ("jax", "jaxlib"))]
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = [platform.processor()]
    parts += sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))})
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _keep_compiled_programs():
    """Let JAX keep what it compiles, which is half of the suite's work, for other processes and later runs.

    It is for the subprocesses of tests too, hence the environment. JAX_ENABLE_COMPILATION_CACHE=false switches it off.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "simatch-tests" / _machine()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return
    if os.access(folder, os.W_OK):
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


assert "jax" not in sys.modules, "JAX reads its settings when it is imported, which must not be before this"
_keep_compiled_programs()

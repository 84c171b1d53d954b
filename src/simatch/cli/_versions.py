"""What a report of a bug needs to say about an installation."""

import importlib.metadata
import os
import platform

import jax

# What computes, reads files and draws; the other packages hardly matter.
PACKAGES = (
    *("jax", "jaxlib", "equinox", "numpy", "scipy", "safetensors", "numba", "scikit-learn"),
    *("optax", "matplotlib", "typer", "pydantic"),
)


def versions() -> str:
    """Return versions, machine, devices and native code, some lines that begin with the version of the library."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if os.environ.get("SIMATCH_NATIVE") == "0":
        native = "switched off by SIMATCH_NATIVE=0"
    else:
        native = "on CPUs" if _version("numba") else "absent; pip install 'simatch[native]'"
    devices, double = ", ".join(map(str, jax.devices())), "on" if jax.config.read("jax_enable_x64") else "off"
    return "\n".join(
        (
            f"simatch {_version('simatch') or 'not installed'}",
            f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {cores} cores",
            ", ".join(f"{name} {_version(name) or 'absent'}" for name in PACKAGES),
            f"devices: {devices}; double precision: {double}",
            f"native code: {native}",
        )
    )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None

"""Distribution of samples over the devices of a mesh, in one process or in several."""

import hashlib
from collections.abc import Mapping
from typing import TypeVar

import equinox as eqx
import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.flatten_util import ravel_pytree
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, PyTree

BATCH = "batch"
Tree = TypeVar("Tree")


def batch_mesh(mesh: Mesh, *, local: bool = False) -> Mesh:
    """All devices of a mesh, or only those of this process, along one axis for the samples."""
    devices = np.array(mesh.local_devices) if local else mesh.devices.ravel()
    # `jax.make_mesh` makes explicit axes, for which JAX requires annotations of operations on the activities.
    return Mesh(devices, (BATCH,), axis_types=(AxisType.Auto,))


def own_share(batch_size: int, mesh: Mesh) -> int:
    """Return how many samples of each batch this process supplies."""
    _check_even(batch_size, mesh.size)
    return batch_size // mesh.size * len(mesh.local_devices)


def spread(x: Mapping[str, Float[Array | np.ndarray, "*_"]], mesh: Mesh) -> dict[str, Float[Array, "*_"]]:
    """Join the samples of all processes in arrays whose last axis is distributed over all devices of the mesh."""

    def joined(own):
        _check_even(own.shape[-1], len(mesh.local_devices))
        return jax.make_array_from_process_local_data(NamedSharding(mesh, P(*[None] * (own.ndim - 1), BATCH)), own)

    return {name: joined(own) for name, own in x.items()}


def replicated(tree: Tree, mesh: Mesh) -> Tree:
    """Copy all arrays of a tree to every device of the mesh."""
    everywhere = NamedSharding(mesh, P())
    arrays, rest = eqx.partition(tree, eqx.is_array)
    copies = jax.tree.map(lambda a: jax.make_array_from_process_local_data(everywhere, np.asarray(a), a.shape), arrays)
    return eqx.combine(copies, rest)


def averaged(tree: Tree, axis: str) -> Tree:
    """Average numbers over the devices, inside ``jax.shard_map``.

    They travel in one message: between processes each takes some milliseconds, however short it is.
    """
    numbers, original = ravel_pytree(tree)
    return original(jax.lax.pmean(numbers, axis)) if numbers.size else tree


def first_copy(tree: Tree) -> Tree:
    """Copy of a replicated tree on the first device of this process, without a transfer."""
    arrays, rest = eqx.partition(tree, eqx.is_array)
    return eqx.combine(jax.tree.map(lambda a: a.addressable_data(0), arrays), rest)


def fingerprint(tree: PyTree) -> str:
    """SHA-256 of all numbers of a tree, hexadecimal."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(eqx.filter(tree, eqx.is_array_like)):
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()


def check_same(tree: PyTree, mesh: Mesh, message: str) -> None:
    """Raise ValueError if the processes of the mesh hold different values in a tree."""
    if mesh.is_multi_process:
        own = np.frombuffer(bytes.fromhex(fingerprint(tree)), np.uint32)
        if np.any(multihost_utils.process_allgather(own) != own):
            raise ValueError(message)


def _check_even(samples: int, devices: int) -> None:
    if samples % devices:
        raise ValueError(
            f"A batch of {samples} samples cannot be spread evenly over {devices} devices; use a multiple of {devices}."
        )

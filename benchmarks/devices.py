"""What two devices gain, and a model of the time of a batch on many: ``python -m benchmarks.devices``.

A device is one core here. MNIST is learned on one core, by two processes with a core each, which communicate over Gloo
as hosts of a cluster would, and by one process with two devices on both cores; in turns, medians. Nothing else should
run. The model says that a batch takes as long as its share on one device, and the all-reduce of all changes of weights.
"""

import functools
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

BATCHES = (200, 400, 800, 1600)
UNITS = (4, 16)
# Batches that are learned from at a time, and how often.
COUNT, LAPS, ROUNDS = 10, 7, 3

# Milliseconds a batch by the units at a site and the samples of a batch, and those of an all-reduce (batch 0).
Times = dict[str, float]


def child(process: int, processes: int, cores: Sequence[int], devices: int, address: str) -> Times:
    """Learn in one of some processes, on the given cores, and measure."""
    os.sched_setaffinity(0, cores)  # before the pools of threads are made
    import jax
    from jax.sharding import PartitionSpec

    import simatch as sm
    from simatch.data import load_dataset

    jax.config.update("jax_num_cpu_devices", devices)
    if processes > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(address, processes, process, coordinator_bind_address=address)
    mesh = jax.make_mesh((jax.device_count(),), ("batch",)) if jax.device_count() > 1 else None
    x = load_dataset("mnist").x_train[: max(BATCHES) * COUNT].astype(np.float32)
    own, found = np.split(x - x.mean(axis=0), processes)[process], {}
    for units in UNITS:
        net = sm.layered(sm.Grid(28, 28), [sm.Layer(units=units, stride=2, radius=4.0)])
        net, _ = sm.train(net, own[: 2000 // processes], batch_size=100, mesh=mesh, progress=False)
        for size in BATCHES:
            part = own[: COUNT * size // processes]
            learn = functools.partial(sm.train, net, part, batch_size=size, rate=0.01, mesh=mesh, progress=False)
            found[f"{units} {size}"] = _median(learn) / COUNT
        if mesh is not None:
            one = PartitionSpec(mesh.axis_names[0])
            reduce = jax.jit(
                jax.shard_map(lambda w: jax.lax.pmean(w, "batch"), mesh=mesh, in_specs=one, out_specs=PartitionSpec())
            )
            weights = jax.make_array_from_process_local_data(
                jax.NamedSharding(mesh, one),
                np.ones((jax.local_device_count(), net.synapses), np.float32),
            )
            found[f"{units} 0"] = _median(lambda weights=weights, reduce=reduce: jax.block_until_ready(reduce(weights)))
    return found


def _median(task: Callable[[], object]) -> float:
    times = []
    for _ in range(LAPS + 1):
        began = time.perf_counter()
        task()
        times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times[1:])  # the first compiles


def together(cores: Sequence[Sequence[int]], devices: int) -> Times:
    """Run a process for each of the given sets of cores; times of the slowest."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"

    def start(process: int) -> Times:
        how = json.dumps([process, len(cores), list(cores[process]), devices, address])
        said = subprocess.check_output([sys.executable, "-m", "benchmarks.devices", how], text=True)  # noqa: S603
        return json.loads(said.splitlines()[-1])  # Gloo reports before that

    with ThreadPoolExecutor(len(cores)) as pool:
        found = list(pool.map(start, range(len(cores))))
    return {name: max(own[name] for own in found) for name in found[0]}


def main() -> None:
    """Print the table, or be one of its processes."""
    if len(sys.argv) > 1:
        print(json.dumps(child(*json.loads(sys.argv[1]))))  # noqa: T201
        return
    ways = {"one": ([[0]], 1), "processes": ([[0], [1]], 1), "devices": ([[0, 1]], 2)}
    rounds = [{way: together(*how) for way, how in ways.items()} for _ in range(ROUNDS)]
    print("units  batch  one core  two processes  model  two devices   (ms)")  # noqa: T201
    for units in UNITS:
        for size in BATCHES:
            name, half = f"{units} {size}", f"{units} {size // 2}"
            one, two, both = (statistics.median(own[way][name] for own in rounds) for way in ways)
            model = "     -"
            if half in rounds[0]["one"]:
                shares = (own["one"][half] + own["processes"][f"{units} 0"] for own in rounds)
                model = f"{statistics.median(shares):6.2f}"
            print(f"{units:5d} {size:6d} {one:9.2f} {two:14.2f} {model} {both:12.2f}")  # noqa: T201
        reduce = [statistics.median(own[way][f"{units} 0"] for own in rounds) for way in ("processes", "devices")]
        print("{} units, all-reduce: {:.2f} between processes, {:.2f} between devices".format(units, *reduce))  # noqa: T201


if __name__ == "__main__":
    main()

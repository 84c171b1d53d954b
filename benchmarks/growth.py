"""Time of layers with feedback beside their number and that of their synapses: ``python -m benchmarks.growth``.

Networks of one to six equal layers, and of two layers on inputs of one, two and four times the side, learn from the
same number of random images and encode them. Their weights are those at the beginning, so that the number of sweeps
hardly changes. What is compared is timed in turn; medians over rounds.
"""

import statistics
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np

import simatch as sm

IMAGES, ROUNDS = 100, 15
GAMMA = 0.1


def network(side: int, layers: int) -> sm.Network:
    """Equal layers, as wide as the input, each connected to a site's neighbours in the one below."""
    return sm.layered(sm.Grid(side, side, 4), [sm.Layer(units=4, radius=2.0)] * layers, feedback=GAMMA)


def images(net: sm.Network) -> np.ndarray:
    """Random ones, of the size of the input."""
    shape = (IMAGES, *net.populations["input"].grid.shape)
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def tasks(net: sm.Network) -> dict[str, Callable[[], object]]:
    """Learning and encoding."""
    x = images(net)
    out = np.empty((IMAGES, net.populations[net.layers[-1]].grid.size), np.float32)
    return {
        "learning": lambda: list(sm.training(net, [x, x], rate=1e-4, report_every=2)),
        "encoding": lambda: sm.encode(net, x, out=out),
    }


def compare(nets: dict[str, sm.Network]) -> None:
    """Print time, sweeps and time for each synapse, beside those of the first network."""
    known = {name: tasks(net) for name, net in nets.items()}
    laps = {name: {task: [] for task in own} for name, own in known.items()}
    for lap in range(ROUNDS + 1):
        for name, own in known.items():
            for task, run in own.items():
                began = time.perf_counter()
                run()
                if lap:  # the first compiles
                    laps[name][task].append(1e3 * (time.perf_counter() - began))
    first = next(iter(nets))
    for name, net in nets.items():
        sweeps = float(np.mean(sm.relax(net, images(net)).steps))
        line = f"{name:12s} {net.synapses:10,d} synapses {sweeps:5.1f} sweeps"
        for task, own in laps[name].items():
            share = statistics.median(a / b for a, b in zip(own, laps[first][task], strict=True))
            share *= nets[first].synapses / net.synapses
            line += f"  {task} {statistics.median(own):8.2f} ms, {share:5.2f} a synapse"
        print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    wanted = sys.argv[1:] or ("layers", "sides")
    if "layers" in wanted:
        compare({f"{layers} layers": network(16, layers) for layers in range(1, 7)})
    if "sides" in wanted:
        compare({f"side {side}": network(side, 2) for side in (16, 32, 64)})

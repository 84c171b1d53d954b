"""Two versions of the library, in turn: ``python -m benchmarks.against OLD_SRC NEW_SRC [ROUNDS] [ROW ...]``.

Each version runs in a process of its own, which waits while the other works. Rows use what both versions have: training
and encoding with the paper's networks on MNIST, learning online, a population of pynsm's size, and deep networks, with
the same trained weights in both.
"""

import inspect
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

Task = Callable[[], object]
DEEP = ("faces-0", "faces-0.1", "faces", "faces-1", "digits-deep")
# Where the newer version leaves weights and images of deep networks for both.
FOLDER = Path(os.environ.get("SIMATCH_AGAINST", "."))


def rows(sm, images: np.ndarray) -> dict[str, Callable[[], Task]]:
    """Return what makes each row's task ready, by name."""
    # The same weights in both: versions that can choose the ratio of rates take the published one.
    published = {"ratio": 0.5} if "ratio" in inspect.signature(getattr(sm, "train", rows)).parameters else {}

    def network(units: int):
        net = sm.layered(sm.Grid(28, 28), [sm.Layer(units=units, stride=2, radius=4.0)])
        return sm.train(net, batches(10, 100), rate=0.02, progress=False, **published)[0]

    def batches(count: int, size: int):
        return [images[i * size : (i + 1) * size] for i in range(count)]

    def training(net, parts) -> Task:
        return lambda: list(sm.training(net, parts, rate=0.01, report_every=len(parts), **published))

    def train(units: int, count: int, size: int) -> Task:
        return training(network(units), batches(count, size))

    def encode(units: int, count: int) -> Task:
        net = network(units)
        return lambda: sm.encode(net, images[:count])

    def dense() -> Task:
        net = sm.layered(784, [sm.Layer(units=64, activation="relu")])
        return training(net, [part.reshape(len(part), -1) for part in batches(20, 100)])

    def deep(kind: str, task) -> Task:
        x = np.load(FOLDER / f"{kind}.npy")
        # As long as beginning a run takes less time than the run.
        return task(sm.load(FOLDER / f"{kind}.safetensors"), [x[:100], x[100:200]] * (20 if "digits" in kind else 1))

    tasks: dict[str, Callable[[], Task]] = {}
    for units, count, encoded in ((4, 30, 2000), (16, 20, 2000), (64, 10, 600), (100, 6, 300)):
        tasks[f"train {units}"] = lambda units=units, count=count: train(units, count, 100)
        tasks[f"encode {units}"] = lambda units=units, encoded=encoded: encode(units, encoded)
    tasks["online 4"] = lambda: train(4, 1000, 1)
    tasks["online 16"] = lambda: train(16, 500, 1)
    tasks["pynsm, 64 ReLU units"] = dense
    for kind in DEEP:
        tasks[f"train {kind}"] = lambda kind=kind: deep(kind, training)
        tasks[f"encode {kind}"] = lambda kind=kind: deep(kind, lambda net, parts: lambda: sm.encode(net, parts[0]))
    return tasks


def work(images: str) -> None:
    """Answer, line by line, how long a row took."""
    import simatch as sm

    warnings.simplefilter("ignore")
    known, ready = rows(sm, np.load(images)), {}
    for line in sys.stdin:
        name = line.strip()
        if name not in ready:
            ready[name] = known[name]()
            ready[name]()
        time.sleep(0.05)
        began = time.perf_counter()
        ready[name]()
        print(json.dumps(time.perf_counter() - began), flush=True)  # noqa: T201


def main(old: str, new: str, rounds: int, names: list[str]) -> None:
    """Print a line for each row."""
    import simatch as sm
    from benchmarks.networks import KINDS, default_cache
    from simatch.data import Preprocessing, load_dataset

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "images.npy")
        x = Preprocessing(own_mean=True).fit_transform(load_dataset("mnist").x_train[:3000])
        np.save(path, x[..., 0].astype(np.float32))
        for kind in DEEP:
            if not names or any(name.endswith(f" {kind}") for name in names):
                sm.save(KINDS[kind].network("trained", default_cache()), Path(folder, f"{kind}.safetensors"))
                np.save(Path(folder, f"{kind}.npy"), KINDS[kind].images(200, default_cache()))
        command = [sys.executable, __file__, "work", str(path)]
        workers = [
            subprocess.Popen(  # noqa: S603 - this file itself
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(Path(source).resolve()), "SIMATCH_AGAINST": folder},
            )
            for source in (old, new)
        ]

        def seconds(worker, name: str) -> float:
            worker.stdin.write(f"{name}\n")
            worker.stdin.flush()
            return json.loads(worker.stdout.readline())

        for name in names or rows(None, x):
            laps = []
            for lap in range(rounds + 1):
                order = workers if lap % 2 else workers[::-1]
                times = {id(worker): seconds(worker, name) for worker in order}
                laps.append([times[id(worker)] for worker in workers])
            laps = laps[1:]  # the first compiles
            before, after = (1e3 * statistics.median(lap) for lap in zip(*laps, strict=True))
            ratio = statistics.median(b / a for a, b in laps)
            print(f"{name:26s} {before:8.1f} ms {after:8.1f} ms  ratio {ratio:.3f}", flush=True)  # noqa: T201
        for worker in workers:
            worker.communicate()


if __name__ == "__main__":
    if sys.argv[1] == "work":
        work(sys.argv[2])
    else:
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 21, sys.argv[4:])

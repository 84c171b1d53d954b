"""Memory and open files stay flat in long use."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

USE = """
    import os, sys
    import numpy as np, simatch as sm
    from simatch.estimators import SimilarityMatching

    def held():
        line = next(line for line in open("/proc/self/status") if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024, len(os.listdir("/proc/self/fd"))

    epochs, sizes = map(int, sys.argv[1:])
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 10))
    net = sm.layered(10, [sm.Layer(units=3)])
    estimator = SimilarityMatching(3, random_state=0)

    def learn(epochs):
        sm.train(net, x, batch_size=50, epochs=epochs, progress=False)

    def stream(sizes):
        for size in sizes:
            rows = rng.normal(size=(size, 10))
            estimator.partial_fit(rows).transform(rows)
            sm.encode(net, rows)

    for use, first, more in (
        (learn, max(10, epochs // 10), epochs),
        (stream, [2**k for k in range(11)] * 2, rng.permutation(sizes) + 1),
    ):
        use(first)
        (memory, files), _ = held(), use(more)
        print(use.__name__, held()[0] / memory, held()[1] - files)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize(
    ("epochs", "sizes"),
    [pytest.param(100, 40, id="short"), pytest.param(1000, 1000, id="long", marks=pytest.mark.slow)],
)
def test_memory_and_files_are_flat(epochs, sizes):
    run = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(USE), str(epochs), str(sizes)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    found = {name: (float(memory), int(files)) for name, memory, files in map(str.split, run.stdout.splitlines())}
    assert set(found) == {"learn", "stream"}
    for memory, files in found.values():
        assert memory < 1.05, found
        assert files == 0, found

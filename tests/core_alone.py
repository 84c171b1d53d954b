"""Use the core where no other package can be imported, and print what each feature says that needs one, as JSON.

``python tests/core_alone.py [MODULE,...]`` hides these modules; without an argument, they must really be missing.
It needs no test runner, so that it runs where nothing but the core is installed.
"""

import contextlib
import importlib
import io
import json
import sys
import tempfile
from pathlib import Path

ROOMS = ("estimators", "readout", "data", "plot", "report", "runs", "console", "papers", "cli")


class Hidden:
    """A finder, asked before all others, that says that a module is not installed."""

    def __init__(self, modules):
        self.modules = frozenset(modules)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.modules:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def use_core():
    """Make a network, settle it, train it, encode, save and load."""
    import numpy as np

    import simatch as sm

    x = np.random.default_rng(0).normal(size=(40, 4, 4)).astype(np.float32)
    net = sm.layered(sm.Grid(4, 4), [sm.Layer(units=2, stride=2, radius=1.0), sm.Layer(units=3)], feedback=0.1, seed=0)
    out = sm.relax(net, x)
    assert out.activities[-1].shape == (40, 1, 1, 3)
    net, reports = sm.train(net, x, epochs=2, batch_size=10, rate=0.02)
    assert reports[-1].samples == 80
    features = sm.encode(net, x)
    assert features.shape == (40, 3)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.safetensors"
        sm.save(net, path)
        np.testing.assert_array_equal(sm.encode(sm.load(path), x), features)


def sentences():
    """What each room says that is not to be had, and the name of an estimator in the library's own face."""
    said = {}
    for room in ROOMS:
        try:
            importlib.import_module(f"simatch.{room}")
        except ModuleNotFoundError as error:
            said[room] = str(error)
    try:
        importlib.import_module("simatch").SimilarityMatching  # noqa: B018
    except ModuleNotFoundError as error:
        said["SimilarityMatching"] = str(error)
    return said


def command():
    """Exit code and standard error of the command."""
    from simatch.__main__ import main

    with contextlib.redirect_stderr(io.StringIO()) as words:
        try:
            main()
        except SystemExit as end:
            return end.code, words.getvalue()
    return 0, words.getvalue()


if __name__ == "__main__":
    sys.meta_path.insert(0, Hidden(sys.argv[1].split(",") if len(sys.argv) > 1 else ()))
    del sys.argv[1:]
    use_core()
    code, words = command()
    print(json.dumps({**sentences(), "code": code, "stderr": words}))  # noqa: T201

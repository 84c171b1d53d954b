"""Test errors of the paper's table with the published rule and the default one: ``python -m benchmarks.rules_errors``.

One row for each number of units at a site and each rule: the network learns by the rule of the library's reproduction
(gradient rule, ratio 0.5, ``0.05 / (1 + 20 progress)``) or as `simatch.train` does by default, from the same samples
in the same order, and the same readout is fitted.
"""

import argparse
import dataclasses
import time
from typing import Any

import simatch as sm
from simatch.data import load_dataset
from simatch.learning import Course
from simatch.papers.obeid2019 import _mnist


def learned(rule: str, setting: _mnist.Setting, units: int, seed: int, data: Any) -> sm.Network:
    """Network after learning by one of the two rules."""
    net = _mnist.untrained(setting, units, seed, data)
    if rule == "published":
        *_, (last, _) = _mnist.learning(setting, units, seed, data, Course(net))
        return last
    epochs = setting.samples_for(units) / len(data.x)
    return sm.train(
        net,
        data.x,
        epochs=epochs,
        batch_size=setting.batch_size,
        seed=seed,
        tolerance=setting.tolerance,
        progress=False,
    )[0]


def main() -> None:
    """Print a line for every network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, nargs="+", default=[4, 8, 16])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int)
    parser.add_argument("--rules", nargs="+", default=["published", "default"])
    given = parser.parse_args()
    dataset, setting = load_dataset("mnist"), dataclasses.replace(_mnist.Setting(), samples=given.samples)
    for units in given.units:
        for seed in range(given.seeds):
            data = _mnist.images(dataset, setting, seed)
            for rule in given.rules:
                began = time.perf_counter()
                net = learned(rule, setting, units, seed, data)
                seconds = time.perf_counter() - began
                own = sm.certificate(net, data.x_test[:1000])
                found = _mnist.score(setting, units, net, data)
                print(  # noqa: T201
                    f"NPS {units:3d} {rule:9s} samples {setting.samples_for(units):6d} seed {seed}: "
                    f"test error {found.test_error_percent:.2f} %, train {found.train_error_percent:.2f} %, "
                    f"{seconds:.0f} s; {own}",
                    flush=True,
                )


if __name__ == "__main__":
    main()

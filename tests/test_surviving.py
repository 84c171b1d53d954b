"""Runs that are killed (SIGKILL) at random moments end with the same weights as those that are not."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

SCRIPT = Path(__file__).with_name("surviving.py")
NETWORKS = ("train/network.safetensors", "mnist/rows/nps4-seed0.safetensors", "estimator/network.safetensors")


def start(folder):
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen(  # noqa: S603
        [sys.executable, str(SCRIPT), str(folder)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(folder):
    process = start(folder)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors[-3000:]


def digests(folder):
    """Fingerprint of the weights of every network."""
    found = {}
    for name in NETWORKS:
        tensors = load_file(folder / name)
        found[name] = hashlib.sha256(b"".join(tensors[key].tobytes() for key in sorted(tensors))).hexdigest()
    return found


def killed(folder, after):
    """Kill a run after some seconds; whether it was still running."""
    process = start(folder)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return True
    _, errors = process.communicate()  # which also closes what is open
    assert process.returncode == 0, errors[-3000:]
    return False


@pytest.mark.parametrize(
    ("kills", "seed"),
    [pytest.param(1, 0, id="short"), pytest.param(100, 1, id="long", marks=pytest.mark.slow)],
)
def test_killed_runs_end_with_the_same_weights(kills, seed, tmp_path):
    rng = np.random.default_rng(seed)
    (tmp_path / "whole").mkdir()
    began = time.monotonic()
    finish(tmp_path / "whole")
    seconds = time.monotonic() - began
    expected = digests(tmp_path / "whole")
    done, runs = 0, 0
    while done < kills:
        runs += 1
        folder = tmp_path / f"run-{runs}"
        folder.mkdir()
        # A run has a moment of death for every third of its time, on average; most of a process is its start.
        while done < kills and killed(folder, seconds * rng.uniform(0.2, 0.9)):
            done += 1
        finish(folder)
        assert digests(folder) == expected
        print(f"{done} kills, {runs} runs", flush=True)  # noqa: T201

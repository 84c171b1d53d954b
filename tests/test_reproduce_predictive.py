"""The comparison of predictive coding with back-propagation, on a small scale."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

from simatch import data
from simatch.cli import app
from simatch.papers import _backpropagation
from simatch.papers.song2020 import _mnist, _predictive_command, _rules

LABELS = np.arange(600) % 10


@pytest.fixture
def images():
    """Noisy images of ten classes."""
    rng = np.random.default_rng(0)
    x = 0.3 * rng.random((600, 28, 28, 1)) + (rng.random((10, 28, 28, 1)) < 0.2)[LABELS]
    x = x.astype(np.float32)
    return data.Dataset("mnist", x[:400], LABELS[:400], x[400:], LABELS[400:], classes=tuple("0123456789"))


@pytest.mark.slow
def test_distances(monkeypatch):
    monkeypatch.setattr(_rules, "HIDDEN", (6,))
    found = {(d.rule, d.setting): d for d in _rules.distances(betas=(1e-2, 1e-3), errors=())}
    assert not any(d.failed for d in found.values())
    assert found["scheduled", None].error < 1e-14
    assert found["nudged", 1e-2].error / found["nudged", 1e-3].error == pytest.approx(10, rel=0.1)


def test_an_interrupted_run_ends_with_the_same_weights(images, tmp_path, monkeypatch):
    monkeypatch.setattr(_mnist, "TOGETHER", 20)
    setting = _mnist.Setting(units=30, epochs=5, images=400, rate=3e-3)
    whole = _mnist.scheduled(setting, images, 0, tmp_path / "whole")
    watched = _mnist._Watch.__call__

    def interrupted(self, net, samples):
        if samples == 2000:
            raise KeyboardInterrupt
        watched(self, net, samples)

    with monkeypatch.context() as patch:
        patch.setattr(_mnist._Watch, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _mnist.scheduled(setting, images, 0, tmp_path / "part")
    again = _mnist.scheduled(setting, images, 0, tmp_path / "part")
    assert [samples for samples, _ in whole.curve] == [1000, 2000]
    assert again.curve == whole.curve
    a, b = (load_file(tmp_path / name / "batch-0000000040.safetensors") for name in ("whole", "part"))
    assert a.keys() == b.keys()
    for name, own in a.items():
        np.testing.assert_array_equal(own, b[name])


def test_command(images, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "load_dataset", lambda name: images)
    for module in (_mnist, _backpropagation):
        monkeypatch.setattr(module, "TOGETHER", 20)
    few = [_rules.Distance("nudged", beta, beta, 1.0, 0) for beta in (0.1, 0.01)]
    monkeypatch.setattr(_rules, "distances", lambda **_: [*few, _rules.Distance("scheduled", None, 1e-16, 1.0, 0)])
    monkeypatch.setattr(_predictive_command, "QUICK", {"units": 30, "epochs": 5, "images": 400, "rate": 3e-3})
    # tests/test_predictive.py tests the settled rule
    out = tmp_path / "out"
    call = ["reproduce", "predictive", "--quick", "--json", "--out", str(out)]

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(_mnist, "settled", stopped)
    assert CliRunner().invoke(app, call).exit_code == 130
    monkeypatch.setattr(_mnist, "settled", lambda *_: _mnist.Run([[1000, 20.0], [2000, 10.0]], 10.0, 1.0, 1.0, 3))
    monkeypatch.setattr(_mnist, "scheduled", stopped)  # its run has ended
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 0, result.stderr
    numbers = json.loads(result.stdout)
    assert numbers == json.loads((out / "results.json").read_text())
    scheduled, back, settled, _ = numbers["rows"]
    assert scheduled["test_error_percent"] == pytest.approx(back["test_error_percent"], abs=1)
    assert scheduled["test_error_percent"] < 30
    assert (settled["test_error_percent"], settled["unconverged"]) == (10, 3)
    curves = [curve for group in numbers["curves"].values() for curve in group]
    assert [[samples for samples, _ in curve] for curve in curves] == [[1000, 2000]] * 4
    assert (out / "index.html").read_text().count("<img") == 2

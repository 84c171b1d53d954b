"""The commands of the family: kernels, two compartments, nonnegative sources."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from simatch.cli import app
from simatch.data import load_dataset
from simatch.estimators import _kernel as estimator
from simatch.papers.lipshutz2022 import _sources, _sources_command
from simatch.papers.lipshutz2023 import _compartments_command, _tasks
from simatch.papers.luther2022 import _kernel
from simatch.storage import Checkpoints


def call(name, out):
    """Numbers and page of a quick run, which a second call reads instead of computing them again."""
    command = ["reproduce", name, "--quick", "--json", "--out", str(out)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    numbers = json.loads(done.stdout)
    assert numbers == json.loads((out / "results.json").read_text())
    again = CliRunner().invoke(app, command)
    assert json.loads(again.stdout) == numbers
    assert "already holds" in again.stderr
    return numbers, (out / "index.html").read_text()


def test_kernel(tmp_path, monkeypatch):
    monkeypatch.setattr(_kernel, "POINTS", 400)
    monkeypatch.setattr(estimator, "_BATCHES", 1500)
    monkeypatch.setattr(_kernel, "QUICK", _kernel.Setting("digits", units=20, margin=0, batches=60, c=10.0))
    numbers, page = call("kernel", tmp_path / "out")
    assert numbers["moons"]["best"] < numbers["moons"]["error"] < 0.5
    assert numbers["moons"]["readout"] > numbers["moons"]["plain"]
    assert numbers["digits"]["error"] < 20
    assert numbers["digits"]["unconverged"] == 0
    assert page.count("<img") == 4
    assert "97.5" not in page.split("<table")[1].split("</table")[0]  # of other images than those of --quick


def test_an_interrupted_kernel_ends_with_the_same_landmarks(tmp_path, monkeypatch):
    """It goes on from the batch of its last checkpoint."""
    setting = _kernel.Setting("digits", units=10, margin=0, batches=40, batch_size=100, c=1.0)
    data = load_dataset("digits")
    whole = _kernel.digits(setting, data, 0)
    kept = Checkpoints._keep

    def interrupted(self, course):
        kept(self, course)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "_keep", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _kernel.digits(setting, data, 0, checkpoints=Checkpoints(tmp_path, every=0.0))
    (name,) = (path.stem for path in tmp_path.glob("batch-*.safetensors"))
    assert 0 < int(name.removeprefix("batch-")) < 40
    again = _kernel.digits(setting, data, 0, checkpoints=Checkpoints(tmp_path))
    np.testing.assert_array_equal(again.landmarks, whole.landmarks)
    assert (again.error, again.condition) == (whole.error, whole.condition)


def test_compartments(tmp_path, monkeypatch):
    monkeypatch.delitem(_tasks.TASKS, "contrastive")
    monkeypatch.setattr(_tasks, "_POINTS", 6)
    monkeypatch.setattr(_compartments_command, "QUICK", {"samples": 2000, "networks": 1})
    numbers, page = call("compartments", tmp_path / "out")
    canonical, slow = numbers["rows"]
    for row in numbers["rows"]:
        assert row["offline_angle_degrees"] < 0.1
    curve = canonical["curves"][0]
    assert curve[-1][1] < curve[0][1]
    assert canonical["online_angle_degrees"] < 60
    assert slow["online_angle_degrees"] < 10
    assert slow["exact"][0] < 0.1
    assert numbers["correlation_with_force"]["exact"] > 0.9
    assert page.count("<img") == 2


def test_sources(tmp_path, monkeypatch):
    monkeypatch.setattr(_sources_command, "QUICK", {"samples": 4000, "passes": 2, "networks": 1})
    monkeypatch.delitem(_sources.MIXTURES, "ten")
    monkeypatch.setattr(_sources_command, "ALGORITHMS", ("direct",))
    monkeypatch.setattr(_sources, "_POINTS", 6)
    numbers, page = call("sources", tmp_path / "out")
    assert len(numbers["rows"]) == 2
    for row in numbers["rows"]:
        assert row["curves"][0][-1] == [row["samples_seen"], row["error"]]
        assert row["error"] < row["curves"][0][0][1]
    assert numbers["rows"][0]["error"] < 0.05
    assert [row["published_error"] for row in numbers["rows"]] == [None, 0.051]
    assert page.count("<img") == 3

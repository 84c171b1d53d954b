"""The commands of the family: kernels, two compartments, nonnegative sources."""

import json

from typer.testing import CliRunner

from simatch.cli import app
from simatch.papers.luther2022 import _kernel


def call(name, out):
    """Numbers of a quick run, which a second call reads instead of computing them again."""
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
    monkeypatch.setattr(_kernel, "POINTS", 200)
    monkeypatch.setattr(_kernel, "QUICK", _kernel.Setting("digits", units=40, margin=0, batches=60, c=10.0))
    numbers, page = call("kernel", tmp_path / "out")
    assert numbers["moons"]["best"] < numbers["moons"]["error"] < numbers["moons"]["nystroem_error"]
    assert numbers["moons"]["readout"] > numbers["moons"]["plain"]
    assert numbers["digits"]["error"] < 10
    assert numbers["digits"]["unconverged"] == 0
    assert page.count("<img") == 4
    assert "97.5" in page

"""What a file holds is told from its header, and agrees with what is read from it."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import simatch as sm
from simatch.cli import app
from simatch.storage import info, save, write_arrays


@pytest.fixture
def net():
    layers = [sm.Layer(units=4, stride=2, radius=2.0, activation="soft_threshold:0.2"), sm.Layer(units=3)]
    return sm.layered(sm.Grid(8, 8, 2), layers, feedback=0.1)


def test_networks(net, tmp_path):
    path = tmp_path / "net.safetensors"
    save(net, path)
    found = info(path)
    assert (found["kind"], found["format"], found["bytes"]) == ("network", "simatch-network-3", path.stat().st_size)
    assert {p["name"]: tuple(p["grid"]) for p in found["populations"]} == {
        name: p.grid.shape for name, p in net.populations.items()
    }
    assert [p["activation"] for p in found["populations"]] == [None, "soft_threshold:0.2", "tanh"]
    assert sum(term["numbers"] for term in found["terms"]) == net.synapses
    assert [(t["term"], t["connectivity"]) for t in found["terms"][:3]] == [
        ("hebbian", "local"),
        ("anti_hebbian", "local"),
        ("hebbian", "dense"),
    ]


def test_arrays_are_not_read(net, tmp_path, monkeypatch):
    save(net, tmp_path / "net.safetensors")
    np.savez(tmp_path / "x.npz", x=np.zeros((5, 3, 3), np.uint8), y=np.arange(5))
    monkeypatch.setattr("simatch.storage._arrays_file.ArraysFile.read", None)
    monkeypatch.setattr("numpy.lib.format.read_array", None)
    assert info(tmp_path / "net.safetensors")["kind"] == "network"
    assert info(tmp_path / "x.npz")["arrays"] == [
        {"name": "x", "dtype": "uint8", "shape": [5, 3, 3]},
        {"name": "y", "dtype": "int64", "shape": [5]},
    ]


def test_other_files_of_arrays(tmp_path):
    write_arrays(tmp_path / "a", {"mean": np.ones(3, np.float32), "count": 2}, {"format": "simatch-checkpoint-1"})
    found = info(tmp_path / "a")
    assert (found["kind"], found["format"], found["numbers"]) == ("checkpoint", "simatch-checkpoint-1", 4)
    assert {"name": "mean", "dtype": "float32", "shape": [3]} in found["arrays"]


def test_folders_on_the_console(net, tmp_path):
    save(net, tmp_path / "network.safetensors")
    (tmp_path / "settings.toml").write_text('data = "digits"\nepochs = 2.0\n[preprocessing]\nscale = 1.0\n')
    (tmp_path / "results.json").write_text('{"test_error_percent": 1.5, "history": [1, 2], "note": null}')
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.json").write_text("[" * 100_000)
    (tmp_path / "notes.txt").write_text("mine")
    done = CliRunner().invoke(app, ["info", str(tmp_path), "--json"])
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    named = {own["path"].removeprefix(f"{tmp_path}/"): own for own in found["files"]}
    assert named.keys() == {"network.safetensors", "settings.toml", "results.json", "rows/a.json"}
    assert named["settings.toml"]["entries"] == {"data": "digits", "epochs": 2.0, "preprocessing": "1 names"}
    assert named["results.json"]["entries"] == {"test_error_percent": 1.5, "history": "2 values", "note": None}
    assert "cannot be read as JSON" in named["rows/a.json"]["error"]
    lines = done.stderr.splitlines()
    assert len(lines) == 4
    assert any("network, format 3" in line for line in lines)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none", None, "There is no file"),
        ("a.npy", b"text", "truncated, damaged"),
        ("a.json", b"[]", "holds a list"),
        ("a.toml", b"=", "cannot be read as TOML"),
        ("a", b"", "truncated, damaged"),
    ],
)
def test_other_files_are_refused(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = CliRunner().invoke(app, ["info", str(tmp_path / name)])
    assert done.exit_code == 2
    assert message in done.stderr
    assert str(tmp_path / name) in done.stderr
    assert done.stderr.count("\n") == 1


def test_folders_of_others(tmp_path):
    with pytest.raises(ValueError, match="holds no file of simatch"):
        info(tmp_path)

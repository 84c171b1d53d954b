"""The command as a user meets it: results, files, exit codes and sentences."""

import json
import subprocess
import sys
import tomllib

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

import simatch as sm
from simatch.cli import app, main
from simatch.data import Preprocessing, load_dataset
from simatch.runs import SettingsError, merged
from simatch.runs import _settings as settings
from simatch.storage import load

TINY = ["--units", "3", "--stride", "2", "--radius", "1.5", "--epochs", "1", "--batch-size", "100", "--rate", "0.02"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two classes of 4 by 4 images."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 800)
    x = rng.normal(size=(800, 4, 4)) + np.where(y[:, None, None] == 1, np.eye(4), -np.eye(4))
    path = tmp_path_factory.mktemp("data") / "crosses.npz"
    np.savez(path, x=x, y=y)
    return path


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "out"
    result = simatch("train", str(data), *TINY, "--seed", "3", "--json", "--out", str(out))
    assert result.exit_code == 0, result.stderr
    return out, result


def simatch(*arguments: str):
    return CliRunner().invoke(app, arguments)


def refused(result, *words: str) -> str:
    """The sentence of a refusal: on standard error, alone, without a traceback."""
    assert result.exit_code == 2
    assert not result.stdout
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr
    return result.stderr


def test_json_is_the_last_line_and_alone(trained):
    _, result = trained
    assert len(result.stdout.splitlines()) == 1
    numbers = json.loads(result.stdout)
    assert numbers["test_error_percent"] < 10
    assert numbers["held_out"] is True
    assert numbers["train_samples"] + numbers["test_samples"] == 800
    assert numbers["layers"][0]["grid"] == [2, 2, 3]
    assert "saturated" in result.stderr


def test_how_far_learning_came(trained, data):
    """The certificate in the results is that of the network in the results, on the images that it did not see."""
    out, result = trained
    numbers = json.loads(result.stdout)
    part = load_dataset(data).held_out(seed=3)
    x = Preprocessing(own_mean=True, scale=1.0).fit(part.x_train).transform(part.x_test)
    found = sm.certificate(load(out / "network.safetensors"), x)
    assert numbers["certificate"]["samples"] == numbers["test_samples"] == len(x)
    for name in ("primal", "dual", "distance"):
        np.testing.assert_allclose(numbers["certificate"][name], getattr(found, name), rtol=1e-2)
    assert f"primal cost {numbers['certificate']['primal']:.5g}, dual cost" in result.stderr
    assert [point["samples_seen"] for point in numbers["history"]] == [0, 600]
    assert numbers["history"][-1]["distance"] == numbers["certificate"]["distance"]


def test_the_same_readout_of_other_features(trained):
    out, result = trained
    readouts = {row["name"]: row for row in json.loads(result.stdout)["readouts"]}
    assert list(readouts) == [
        "raw input",
        "principal components",
        "k-means",
        "untrained network",
        "trained network",
    ]
    assert [row["features"] for row in readouts.values()] == [16, 12, 12, 12, 12]
    assert json.loads(result.stdout)["test_error_percent"] == readouts["trained network"]["error_percent"]
    page = (out / "index.html").read_text()
    for name, row in readouts.items():
        assert f"<td>{name}</td><td>{row['features']}</td><td>{row['error_percent']:.2f}\u00a0%</td>" in page
        assert f"readout of {name}: {row['error_percent']:.2f} %" in result.stderr


@pytest.mark.filterwarnings("always")
def test_learning_ends_early_or_says_that_it_did_not_arrive(data, tmp_path):
    few = [*TINY[:-4], "--epochs", "20", "--batch-size", "100"]
    early = simatch("train", str(data), *few, "--tol", "0.3", "--json", "--out", str(tmp_path / "early"))
    numbers = json.loads(early.stdout)
    assert numbers["samples_seen"] < 20 * 600
    assert numbers["certificate"]["distance"] <= 0.3
    assert "before it arrived" not in early.stderr
    late = simatch("train", str(data), *TINY, "--tol", "1e-6", "--json", "--out", str(tmp_path / "late"))
    assert "warning: Learning ended after 600 samples before it arrived at its optimum" in late.stderr
    settings = tmp_path / "late" / "settings.toml"
    assert tomllib.loads(settings.read_text())["tol"] == 1e-6
    assert merged(None, file=settings, options={"tol": "none"}).tol is None


def test_the_rule_of_the_paper_by_name(data, tmp_path):
    """Each option, the file, and the library agree on the network."""
    options = ["--rule", "gradient", "--ratio", "0.5", "--scale", "1", "--no-compare", "--out", str(tmp_path / "out")]
    assert simatch("train", str(data), *TINY, *options).exit_code == 0
    part = load_dataset(data).held_out(seed=0)
    x = Preprocessing(own_mean=True, scale=1.0).fit_transform(part.x_train)
    settings = merged(None, file=tmp_path / "out" / "settings.toml")
    assert (settings.rule, settings.ratio, settings.compare) == ("gradient", 0.5, False)
    readouts = json.loads((tmp_path / "out" / "results.json").read_text())["readouts"]
    assert [row["name"] for row in readouts] == ["trained network"]
    net = sm.sized(settings.network(sm.Grid(4, 4)), x)
    net, _ = sm.train(net, x, rate=0.02, ratio=0.5, rule=sm.GradientRule(), batch_size=100, progress=False)
    own = load(tmp_path / "out" / "network.safetensors").feedforward[0].to_dense()
    np.testing.assert_allclose(own, net.feedforward[0].to_dense(), atol=1e-5)


def test_without_labels_some_images_are_held_out_for_the_distance(data, tmp_path):
    np.save(tmp_path / "x.npy", np.load(data)["x"])
    result = simatch("train", str(tmp_path / "x.npy"), *TINY, "--json", "--out", str(tmp_path / "out"))
    numbers = json.loads(result.stdout)
    assert numbers["held_out"] is True
    assert numbers["certificate"]["samples"] == 200
    assert numbers["train_samples"] == 600
    assert numbers["readouts"] == []
    assert numbers["test_error_percent"] is None


def test_everything_is_written(trained):
    out, result = trained
    names = {"network.safetensors", "settings.toml", "results.json", "index.html"}
    assert names <= {p.name for p in out.iterdir()}
    assert json.loads((out / "results.json").read_text()) == json.loads(result.stdout)
    assert load(out / "network.safetensors").populations["layer1"].grid == sm.Grid(2, 2, 3)


def test_the_settings_it_writes_make_the_same_run(trained, tmp_path):
    out, _ = trained
    again = tmp_path / "again"
    result = simatch("train", "--config", str(out / "settings.toml"), "--out", str(again))
    assert result.exit_code == 0
    assert "test error" in result.stdout
    assert (again / "settings.toml").read_text() == (out / "settings.toml").read_text()
    assert (again / "network.safetensors").read_bytes() == (out / "network.safetensors").read_bytes()


def test_earlier_results_are_kept(trained):
    out, _ = trained
    file = str(out / "settings.toml")
    before = (out / "results.json").read_bytes()
    refused(simatch("train", "--config", file, "--seed", "7", "--out", str(out)), "not empty", "--overwrite")
    again = simatch("train", "--config", file, "--out", str(out), "--json")
    assert again.exit_code == 0
    assert "already holds the results of these settings" in again.stderr
    assert json.loads(again.stdout) == json.loads(before)
    assert (out / "results.json").read_bytes() == before


def test_a_new_folder_by_default(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "crosses-1").mkdir(parents=True)
    result = simatch("train", str(data), *TINY)
    assert result.exit_code == 0
    assert (tmp_path / "runs" / "crosses-2" / "index.html").is_file()
    assert not list((tmp_path / "runs" / "crosses-1").iterdir())


def test_bad_data(tmp_path):
    x = np.zeros((10, 4, 4))
    x[3, 0, 0] = np.nan
    np.save(tmp_path / "nan.npy", x)
    np.save(tmp_path / "constant.npy", np.ones((10, 4, 4)))
    np.save(tmp_path / "empty.npy", np.ones((0, 4, 4)))
    np.save(tmp_path / "flat.npy", np.ones(7))
    (tmp_path / "broken.npz").write_bytes(b"PK not really")
    for name, word in [
        ("nan", "NaN"),
        ("constant", "constant"),
        ("empty", "empty"),
        ("flat", "(7,)"),
        ("broken", "truncated, damaged"),
        ("missing", "no file"),
    ]:
        path = tmp_path / (name + (".npz" if name == "broken" else ".npy"))
        refused(simatch("train", str(path), "--out", str(tmp_path / "out")), word)
    refused(simatch("train", "imagenet"), "no data set 'imagenet'", "digits")


def test_bad_settings(data, tmp_path):
    out = ["--out", str(tmp_path / "out")]
    for options, words in [
        (["--units", "0"], ["units of layer 1", "0"]),
        (["--radius", "-1"], ["radius of layer 1", "-1"]),
        (["--radius", "wide"], ["radius of layer 1", "wide"]),
        (["--stride", "3", "--radius", "2"], ["stride of 3", "4 by 4"]),
        (["--stride", "2", "--radius", "0.1"], ["reaches no input"]),
        (["--activation", "sigmoid"], ["'sigmoid'", "tanh"]),
        (["--scale", "0"], ["scale of layer 1"]),
        (["--rate", "1000"], ["learning rate", "1000"]),
        (["--rate", "fast"], ["rate", "fast"]),
        (["--rule", "hebb"], ["rule", "hebb", "averaging"]),
        (["--tol", "0"], ["tol", "0"]),
        (["--tol", "small"], ["tol", "small"]),
        (["--feedback", "-0.5"], ["feedback", "-0.5"]),
        (["--feedback", "nan"], ["feedback", "nan"]),
        (["--epochs", "0"], ["epochs", "0"]),
        (["--batch-size", "0"], ["batch-size", "0"]),
        (["--units", "4", "--units", "4", "--radius", "1", "--radius", "1", "--radius", "1"], ["--units", "3 layers"]),
        (["--config", str(tmp_path / "none.toml")], ["no settings file"]),
    ]:
        refused(simatch("train", str(data), *out, *options), *words)
    refused(simatch("train"), "No data set was named")
    refused(simatch("train", str(data), "--colour", "red"), "--colour")


def test_bad_settings_file(data, tmp_path):
    file = tmp_path / "settings.toml"
    for content, words in [
        ("units =", ["cannot be read as TOML"]),
        ("colour = 3", ["unknown setting 'colour'"]),
        ("[[layers]]\nunits = 'many'", ["units of layer 1", "many"]),
        ("[[layers]]\nsize = 3", ["unknown setting 'size'", "units"]),
        ("layers = 3", ["list of tables"]),
    ]:
        file.write_text(content)
        refused(simatch("train", str(data), "--config", str(file), "--out", str(tmp_path / "out")), *words)


def test_divergence_is_a_failure_and_keeps_the_network(data, tmp_path, monkeypatch):
    def diverge(net, x, **_):
        raise sm.DivergenceError("Learning stopped at batch 7.", net)

    monkeypatch.setattr("simatch.runs._run.train", diverge)
    result = simatch("train", str(data), *TINY, "--out", str(tmp_path))
    assert result.exit_code == 1
    assert "batch 7" in result.stderr
    assert load(tmp_path / "diverged.safetensors").layers == ("layer1",)


def test_interrupt(data, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("simatch.runs._run.train", interrupt)
    result = simatch("train", str(data), *TINY, "--out", str(tmp_path))
    assert result.exit_code == 130
    assert "Traceback" not in result.stderr


def test_demo(tmp_path, monkeypatch):
    quick = {
        "epochs": 1.0,
        "batch_size": 100,
        "layers": [{"units": 4, "stride": 4, "radius": 3.0, "activation": "relu"}, {"units": 6, "activation": "relu"}],
    }
    monkeypatch.setitem(settings._DEFAULTS, "digits", quick)
    result = simatch("demo", "--splits", "2", "--out", str(tmp_path / "demo"), "--json")
    assert result.exit_code == 0, result.stderr
    numbers = json.loads(result.stdout)
    assert len(numbers["splits"]) == 2
    assert 2 < numbers["errors_percent"]["raw input"] < 6
    assert all(split["certificate"]["distance"] > 0 for split in numbers["splits"])
    mean = np.mean([split["errors_percent"]["trained network"] for split in numbers["splits"]])
    np.testing.assert_allclose(numbers["errors_percent"]["trained network"], mean)
    assert f"trained network {mean:.2f} %" in result.stderr.split("mean of 2")[1]
    assert (tmp_path / "demo" / "index.html").is_file()
    assert tomllib.loads((tmp_path / "demo" / "settings.toml").read_text())["data"] == "digits"


def test_help_and_version():
    assert "simatch train mnist --units 4" in simatch("--help").stdout
    assert "--lateral-radius" in simatch("train", "--help").stdout
    told = simatch("--version").stdout
    assert told.startswith("simatch 0.")
    assert f"jax {jax.__version__}, " in told
    assert "native code: " in told


def test_module_runs_as_a_command():
    done = subprocess.run(
        [sys.executable, "-m", "simatch", "train", "nothing"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no data set 'nothing'" in done.stderr.splitlines()[-1]


def test_main_is_the_entry_point(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["simatch", "--version"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 0
    assert "simatch" in capsys.readouterr().out


def test_layers_from_options():
    layers = merged("mnist", layers={"units": [4, 8], "stride": ["2"], "radius": ["4", "none"]}).layers
    assert [(layer.units, layer.stride, layer.radius) for layer in layers] == [(4, 2, 4.0), (8, 2, None)]
    (layer,) = merged("mnist", layers={"units": [50], "radius": ["none"]}).layers
    assert layer.stride is None


def test_options_come_after_the_file_after_the_defaults(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text("epochs = 7\nseed = 5\n[[layers]]\nunits = 9\n[[layers]]\nradius = 'none'\n")
    final = merged("mnist", file=file, options={"seed": 6, "epochs": None}, layers={"scale": ["auto"]})
    assert (final.epochs, final.seed, final.batch_size) == (7, 6, 100)
    assert [(layer.units, layer.radius, layer.scale) for layer in final.layers] == [
        (9, 4.0, "auto"),
        (4, None, "auto"),
    ]
    with pytest.raises(SettingsError, match="--stride was given 2 times"):
        merged("mnist", file=file, layers={"units": [1, 2, 3], "stride": [1, 1]})

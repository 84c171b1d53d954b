"""`simatch train --model`: models that learn from labels, from the command line to a saved estimator."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from simatch import estimators, learning, network
from simatch.cli import app
from simatch.data import load_dataset
from simatch.estimators import _supervised
from simatch.models import Layer, contrastive
from simatch.runs import labelled_settings

FAST = ["--units", "8", "--epochs", "2", "--no-compare"]
LOCAL = ["--stride", "2", "--radius", "2"]


def simatch(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.filterwarnings("ignore::simatch.HealthWarning")  # eight units, two passes
@pytest.mark.parametrize(
    ("model", "more"), [pytest.param("equilibrium", LOCAL, marks=pytest.mark.slow), ("predictive", [])]
)
def test_a_run_is_a_classifier(model, more, tmp_path):
    """The folder has the page, the numbers and an estimator that repeats the error that the run told."""
    out = tmp_path / "run"
    done = simatch("train", "digits", "--model", model, *FAST, *more, "--out", out, "--json")
    assert done.exit_code == 0, done.output
    numbers = json.loads(done.stdout)
    assert numbers["model"] == model
    assert numbers["unconverged_samples"] == 0
    assert {"index.html", "results.json", "run.json", "settings.toml", "similarities.png"} <= {
        path.name for path in out.iterdir()
    }
    digits = load_dataset("digits").held_out(0.25, seed=0)
    classifier = estimators.load(out)
    wrong = (
        classifier.predict(digits.x_test.reshape(len(digits.x_test), -1)) != np.asarray(digits.classes)[digits.y_test]
    )
    assert 100 * wrong.mean() == pytest.approx(numbers["test_error_percent"])
    assert 100 * wrong.mean() < 85
    again = simatch("train", "--config", out / "settings.toml", "--out", out)
    assert again.exit_code == 0
    assert "already holds" in again.output
    labels = tmp_path / "labels.npz"
    assert simatch("predict", out, "digits", "--out", labels).exit_code == 0
    assert np.load(labels)["y_train"].shape == (1797,)
    assert "no features" in simatch("encode", out, "digits", "--out", tmp_path / "f.npz").output


@pytest.mark.filterwarnings("ignore::simatch.HealthWarning")
def test_an_interrupted_run_goes_on(tmp_path, monkeypatch):
    """The same command ends with the same weights, bit for bit."""
    call = ["train", "digits", "--model", "predictive", *FAST, "--out"]
    assert simatch(*call, tmp_path / "whole").exit_code == 0

    def interrupted(*arguments, **settings):
        yield next(learning.training(*arguments, **settings))
        raise KeyboardInterrupt

    monkeypatch.setattr(_supervised, "training", interrupted)
    stopped = simatch(*call, tmp_path / "part")
    assert stopped.exit_code == 130
    assert "The same command goes on" in stopped.output
    monkeypatch.undo()
    again = simatch(*call, tmp_path / "part")
    assert "Going on with the run" in again.output
    whole, part = ((tmp_path / name / "network.safetensors").read_bytes() for name in ("whole", "part"))
    assert whole == part
    assert estimators.load(tmp_path / "part").checkpoints is None


def test_layers_from_options_and_files(tmp_path):
    """In the words of the networks that need no labels; the file that a run writes makes the same network."""
    given = {"units": [3, 5], "stride": ["2", "none"], "radius": ["2", "none"]}
    settings = labelled_settings("digits", None, {"model": "contrastive"}, given)
    own = settings.classifier((8, 8, 1))._build(64, 10, 0).network
    layers = [Layer(units=3, stride=2, radius=2.0), Layer(units=5)]
    assert own.synapses == contrastive(network.Grid(8, 8), layers, 10).network.synapses
    file = tmp_path / "settings.toml"
    file.write_text(settings.toml())
    assert labelled_settings(None, file, {}) == settings
    assert [layer.units for layer in labelled_settings(None, file, {}, {"units": [7]}).layers] == [7, 7]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digits", "--model", "nothing"], "model cannot be 'nothing'"),
        (["digits", "--model", "predictive", "--stride", "2"], "stride has no meaning for the model 'predictive'"),
        (["digits", "--model", "equilibrium", "--lateral-radius", "2"], "lateral-radius has no meaning"),
        (["digits", "--model", "contrastive", "--scale", "2"], "scale has no meaning"),
        (["digits", "--model", "multiview", "--units", "2", "--units", "3"], "one hidden layer, not 2"),
        (["digits", "--model", "contrastive", "--stride", "3"], "stride of 3 does not divide"),
        (["patches", "--model", "equilibrium", "--units", "4"], "has none"),
        (["--model", "equilibrium"], "No data"),
    ],
)
def test_wrong_settings(arguments, message, tmp_path):
    done = simatch("train", *arguments, "--out", tmp_path / "run")
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
    assert not (tmp_path / "run").exists()

"""`simatch train --model`: models that learn from labels, from the command line to a saved estimator."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from simatch import estimators
from simatch.cli import app
from simatch.data import load_dataset

FAST = ["--units", "8", "--epochs", "2", "--no-compare"]


def simatch(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.filterwarnings("ignore::simatch.HealthWarning")  # eight units, two passes
@pytest.mark.parametrize("model", [pytest.param("equilibrium", marks=pytest.mark.slow), "predictive"])
def test_a_run_is_a_classifier(model, tmp_path):
    """The folder has the page, the numbers and an estimator that repeats the error that the run told."""
    out = tmp_path / "run"
    done = simatch("train", "digits", "--model", model, *FAST, "--out", out, "--json")
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digits", "--model", "nothing"], "model cannot be 'nothing'"),
        (["digits", "--model", "contrastive", "--stride", "2"], "stride has no meaning"),
        (["patches", "--model", "equilibrium", "--units", "4"], "has none"),
        (["--model", "equilibrium"], "No data"),
    ],
)
def test_wrong_settings(arguments, message, tmp_path):
    done = simatch("train", *arguments, "--out", tmp_path / "run")
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
    assert not (tmp_path / "run").exists()

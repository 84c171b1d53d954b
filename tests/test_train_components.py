"""`simatch train --model` of models without labels, from the command line to a saved estimator."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from simatch import estimators
from simatch.cli import app


def simatch(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def file(tmp_path, rng):
    """Rows of two slow sources and a fast one, mixed."""
    t = np.arange(600)[:, None]
    sources = np.hstack([1 + np.sin(t * [0.05, 0.13]), np.abs(rng.normal(size=(600, 1)))])
    np.save(tmp_path / "series.npy", sources @ rng.normal(size=(3, 3)))
    return tmp_path / "series.npy"


@pytest.mark.filterwarnings("ignore:.* are no nonnegative sources:UserWarning")  # few rows
@pytest.mark.parametrize(
    ("model", "more"),
    [
        ("sfa", []),
        pytest.param("nica", ["--epochs", "3"], marks=pytest.mark.slow),
        pytest.param("kernel", ["--epochs", "2"], marks=pytest.mark.slow),
    ],
)
def test_a_run_is_an_estimator(model, more, file, tmp_path):
    """The folder has the page, the numbers and an estimator, and settings that make the same run."""
    out = tmp_path / "run"
    done = simatch("train", file, "--model", model, "--units", "2", *more, "--out", out, "--json")
    assert done.exit_code == 0, done.output
    numbers = json.loads(done.stdout)
    fitted = estimators.load(out)
    assert type(fitted).__name__ in (out / "index.html").read_text()
    assert numbers["model"] == model
    assert len(numbers["values"]) == 2
    if model == "sfa":
        assert numbers["values"] == pytest.approx([0.05**2, 0.13**2], rel=0.05)
    again = simatch("train", "--config", out / "settings.toml", "--out", out)
    assert "already holds" in again.output
    assert simatch("encode", out, file, "--out", tmp_path / "f.npz").exit_code == 0
    assert np.load(tmp_path / "f.npz")["x_train"].shape == (600, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["cca"], "The model 'cca' needs two views of the same samples"),
        (["cpca"], "The model 'cpca' needs to be told which rows are background"),
        (["sfa", "--units", "2", "--units", "3"], "The model 'sfa' has one layer, not 2; give units once."),
        (["nica", "--stride", "2"], "The setting stride has no meaning for the model 'nica'; known ones are data"),
        (["kernel", "--rate", "-1"], "The rate cannot be '-1'"),
    ],
)
def test_wrong_settings_are_one_sentence(options, message, file, tmp_path):
    done = simatch("train", file, "--model", *options, "--out", tmp_path / "run")
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
    assert not (tmp_path / "run").exists()

"""`simatch reproduce contrastive --quick`: rows, figures, and what is not computed again."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_digits
from typer.testing import CliRunner

from simatch.cli import app


@pytest.fixture
def few_digits(tmp_path, monkeypatch):
    """A folder with a tiny stand-in for MNIST, of 16 by 16 pixels."""
    digits = load_digits()
    x = np.kron(digits.images[:500] / 16 * 255, np.ones((2, 2))).astype(np.uint8)
    y = digits.target[:500].astype(np.uint8)
    np.savez(tmp_path / "mnist.npz", x_train=x[:400], y_train=y[:400], x_test=x[400:], y_test=y[400:])
    monkeypatch.setenv("SIMATCH_DATA", str(tmp_path))


def test_quick(few_digits, tmp_path):
    out = tmp_path / "out"
    call = ["reproduce", "contrastive", "--quick", "--row", "equilibrium", "--row", "back-propagation", "--json"]
    call += ["--out", str(out)]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0, done.output
    rows = {own["row"]: own for own in json.loads(done.stdout)["rows"]}
    assert set(rows) == {"equilibrium", "back-propagation"}
    for own in rows.values():
        assert own["test_error_percent"] < 40
        assert own["unconverged_samples"] == 0
        assert own["seeds"][0]["curve"]
    assert (out / "learning.png").is_file()
    again = CliRunner().invoke(app, call)
    assert json.loads(again.stdout)["rows"] == json.loads(done.stdout)["rows"]
    wrong = CliRunner().invoke(app, ["reproduce", "contrastive", "--row", "nothing"])
    assert wrong.exit_code == 2
    assert "no row" in wrong.output

"""Runs and estimators as models: saved, loaded, and applied to new data."""

import json
import shutil

import numpy as np
import pytest
from sklearn.datasets import load_digits
from typer.testing import CliRunner

import simatch as sm
from simatch import estimators, runs
from simatch.cli import app
from simatch.data import load_dataset

TINY = ["--units", "3", "--stride", "4", "--radius", "3", "--epochs", "0.3", "--no-compare"]


def simatch(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "digits"
    result = simatch("train", "digits", *TINY, "--out", out)
    assert result.exit_code == 0, result.stderr
    return out


@pytest.fixture(scope="module")
def fitted():
    X = load_digits().data / 16 - 0.5
    return estimators.SimilarityMatching(3, activation="relu", max_iter=2, tol=0, random_state=0).fit(X[:500])


def test_a_run_applied_to_new_data(trained, tmp_path):
    digits = load_dataset("digits")
    np.savez(tmp_path / "new.npz", x=digits.x_train[:50], y=digits.y_train[:50])
    result = simatch("encode", trained, tmp_path / "new.npz", "--out", tmp_path / "features.npz", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["parts"]["train"] == {"samples": 50, "shape": [50, 12]}
    # The same by hand: the network and what preceded it.
    net = sm.load(trained / "network.safetensors")
    settings = json.loads((trained / "preprocessing.json").read_text())["preprocessing"]
    assert settings["mean_image"]
    x = digits.x_train - np.reshape(settings["mean"], (8, 8, 1))
    x = (x - x.mean((1, 2), keepdims=True)) * settings["factor"]
    with np.load(tmp_path / "features.npz") as found:
        np.testing.assert_allclose(found["x_train"], sm.encode(net, x[:50]), atol=1e-5)
        np.testing.assert_array_equal(found["y_train"], digits.y_train[:50].astype(str))

    result = simatch("predict", trained, tmp_path / "new.npz", "--out", tmp_path / "classes.npy", "--json")
    assert result.exit_code == 0, result.stderr
    predicted = np.load(tmp_path / "classes.npy")
    wrong = 100 * np.mean(predicted != digits.y_train[:50].astype(str))
    assert json.loads(result.stdout)["parts"]["train"]["error_percent"] == pytest.approx(wrong)
    assert wrong < 50


def test_the_model_of_a_run_predicts_as_the_run_did(trained):
    model = runs.Model.load(trained)
    settings = runs.merged("digits", file=trained / "settings.toml")
    test = load_dataset("digits").held_out(seed=settings.seed)
    error = 100 * np.mean(model.predict(test.x_test) != np.array(test.classes)[test.y_test])
    assert error == pytest.approx(json.loads((trained / "results.json").read_text())["test_error_percent"])
    with pytest.warns(UserWarning, match="The largest pixel is 16, but 1 in the images that the network learned from"):
        model.encode(16 * test.x_test[:5])


def test_refusals_name_what_is_wrong(trained, fitted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("wide.npy", np.zeros((5, 9, 9)) + np.eye(9))
    np.save("two.npy", np.random.default_rng(0).random((5, 8, 8)))
    estimators.save(fitted, "fitted")
    shutil.copytree(trained, "changed")
    (tmp_path / "changed/network.safetensors").write_bytes((tmp_path / "fitted/network.safetensors").read_bytes())
    (tmp_path / "plain").mkdir()
    for command, words in (
        (["encode", "plain", "two.npy"], "not the folder of a run"),
        (["encode", "changed", "two.npy"], "network.safetensors' is missing, or is not the one"),
        (["encode", trained, "wide.npy"], "have shape (9, 9, 1), but the training images have (8, 8, 1)"),
        (["encode", trained, "two.npy", "--layer", "layer7"], "There is no layer 'layer7'"),
        (["encode", trained, "two.npy", "--out", "x.txt"], "as .npy or .npz, not '.txt'"),
        (["encode", trained, "two.npy", "--out", "none/x.npy"], "There is no folder 'none'"),
        (["encode", trained, "two.npy", "--out", "wide.npy"], "exists; give --out another name"),
        (["encode", trained, "none.npy"], "There is no file 'none.npy'"),
        (["predict", "fitted", "two.npy"], "has no readout"),
        (["encode", "fitted", "two.npy", "--layer", "layer1"], "leave --layer out"),
    ):
        result = simatch(*command)
        assert result.exit_code == 2, command
        assert words in result.stderr
        assert len(result.stderr.strip().splitlines()) <= 3
    assert not (tmp_path / "features.npz").exists()


def test_what_the_folder_of_a_run_holds(trained, tmp_path):
    first, *others = simatch("info", trained).stdout.splitlines()
    assert first.endswith("a finished run of kind 'network', by simatch 0.1.0")
    assert len(others) == 6
    shutil.copytree(trained, tmp_path / "changed")
    (tmp_path / "changed/results.json").write_text("{}")
    assert "is missing, or is not the one that its run wrote" in simatch("info", tmp_path / "changed").stdout
    (tmp_path / "begun/unfinished/work").mkdir(parents=True)
    (tmp_path / "begun/unfinished/work/draft.json").write_text("{}")
    assert "an interrupted run" in simatch("info", tmp_path / "begun").stdout


def test_without_labels_there_is_no_readout(tmp_path):
    np.save(tmp_path / "x.npy", load_digits().images[:200])
    assert simatch("train", tmp_path / "x.npy", *TINY, "--out", tmp_path / "run").exit_code == 0
    result = simatch("predict", tmp_path / "run", tmp_path / "x.npy")
    assert result.exit_code == 2
    assert "has no readout; use encode" in result.stderr


def test_an_interrupted_run_is_no_model(trained, tmp_path):
    (tmp_path / "unfinished").mkdir()
    result = simatch("encode", tmp_path, "digits", "--out", tmp_path / "x.npz")
    assert result.exit_code == 2
    assert "the run in 'unfinished' is not finished" in result.stderr


@pytest.mark.parametrize(
    "estimator",
    [
        estimators.SimilarityMatching(3, random_state=0, max_iter=2, tol=0, plasticity={"layer1": 0.5}),
        estimators.DeepSimilarityMatching(
            [sm.Layer(units=2, stride=4, radius=3.0, activation="tanh"), 4],
            image_shape=(8, 8),
            feedback=0.1,
            max_iter=2,
            tol=0,
            random_state=0,
        ),
    ],
    ids=["linear", "deep"],
)
def test_estimators(estimator, tmp_path):
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(load_digits().data[:300] / 16).rename(columns=str)
    X = X - X.mean()
    estimator.fit(X)
    estimators.save(estimator, tmp_path / "fitted")
    again = estimators.load(tmp_path / "fitted")
    assert repr(again.get_params()) == repr(estimator.get_params())
    np.testing.assert_array_equal(again.transform(X), estimator.transform(X))
    assert again.certificate_ == estimator.certificate_
    assert vars(again).keys() == vars(estimator).keys() - {"_latest"}
    for name in ("unit_", "n_iter_", "n_steps_", "n_features_in_", "saturated_", "cost_history_", "feature_names_in_"):
        np.testing.assert_array_equal(getattr(again, name), getattr(estimator, name))
    if isinstance(estimator, estimators.SimilarityMatching):
        np.testing.assert_array_equal(again.explained_variance_, estimator.explained_variance_)
    # It learns on as the other does.
    np.testing.assert_array_equal(
        again.partial_fit(X[:20]).transform(X[:9]), estimator.partial_fit(X[:20]).transform(X[:9])
    )


def test_estimators_that_cannot_be_saved(fitted, tmp_path):
    with pytest.raises(ValueError, match="not fitted"):
        estimators.save(estimators.SimilarityMatching(), tmp_path / "a")
    own = estimators.SimilarityMatching(3, learning_rate=lambda n: 0.1, max_iter=1, tol=0).fit(load_digits().data)
    with pytest.raises(ValueError, match=r"learning_rate=.* cannot be written to a file"):
        estimators.save(own, tmp_path / "a")
    assert not list(tmp_path.iterdir())
    estimators.save(fitted, tmp_path / "a")
    with pytest.raises(ValueError, match="is not empty"):
        estimators.save(fitted, tmp_path / "a")
    estimators.save(fitted, tmp_path / "a", overwrite=True)
    with pytest.raises(ValueError, match="holds a 'SimilarityMatching', not a trained network"):
        runs.Model.load(tmp_path / "a")


def test_a_run_is_no_estimator(trained):
    with pytest.raises(ValueError, match="holds a 'network', not an estimator"):
        estimators.load(trained)

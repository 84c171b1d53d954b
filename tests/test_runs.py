"""Runs: features for comparison against NumPy, and automatic scales."""

import dataclasses
import os

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.svm import LinearSVC

from simatch.data import Dataset, load_dataset
from simatch.learning import encode
from simatch.runs import _comparison as comparison
from simatch.runs import merged, run, spread
from simatch.storage import write_atomically


@pytest.fixture
def images(rng):
    return rng.normal(size=(60, 2, 3, 1)).astype("f4"), rng.normal(size=(20, 2, 3, 1)).astype("f4")


def test_principal_components(images):
    train, test = (x.reshape(len(x), -1).astype("f8") for x in images)
    own, other = comparison.principal_components(*images, 4)
    _, _, axes = np.linalg.svd(train - train.mean(0), full_matrices=False)
    for got, x in [(own, train), (other, test)]:
        np.testing.assert_allclose(np.abs(got), np.abs((x - train.mean(0)) @ axes[:4].T), atol=1e-4)


@pytest.mark.parametrize(("features", "components", "centres"), [(3, 3, 3), (50, 6, 30)])
def test_there_are_no_more_features_than_the_data_have(images, features, components, centres):
    assert comparison.principal_components(*images, features)[1].shape == (20, components)
    assert comparison.clusters(*images, features)[1].shape == (20, centres)


def test_clusters_are_found_and_respond_to_what_is_near():
    x, y = make_blobs(200, centers=4, cluster_std=0.1, random_state=0)
    own, other = comparison.clusters(x, x[:50], 4)
    np.testing.assert_allclose(own[:50], other, atol=1e-6)
    # At the centres of tight clusters the definition of Coates, Lee and Ng can be computed from the data alone.
    centres = KMeans(4, n_init=5, random_state=0).fit(x).cluster_centers_
    distances = np.linalg.norm(x[:, None] - centres, axis=-1)
    expected = np.maximum(0, distances.mean(1, keepdims=True) - distances)
    for row, (got, want) in enumerate(zip(np.sort(own), np.sort(expected), strict=True)):
        np.testing.assert_allclose(got, want, atol=0.1, err_msg=f"sample {row}")
    assert len(set(zip(own.argmax(1), y, strict=True))) == 4


def test_readout_is_a_linear_support_vector_machine(rng):
    y = rng.integers(0, 2, 300)
    x = rng.normal(size=(300, 2, 2, 1)) + y[:, None, None, None]
    row = comparison.Labelled(y[:200], y[200:]).readout("pixels", x[:200], x[200:])
    flat = x.reshape(300, -1)
    other = LinearSVC(class_weight="balanced", random_state=0).fit(flat[:200], y[:200])
    assert (row.name, row.features) == ("pixels", 4)
    np.testing.assert_allclose(row.error_percent, 100 * np.mean(other.predict(flat[200:]) != y[200:]), atol=1.01)
    assert 0 < row.error_percent < 40


def test_spread_keeps_all_parts_of_a_sorted_array():
    np.testing.assert_array_equal(spread(np.arange(5), 10), np.arange(5))
    np.testing.assert_array_equal(spread(np.arange(101), 3), [0, 50, 100])


@pytest.mark.slow
def test_automatic_scales_suit_the_activities_at_the_end_of_learning():
    digits = load_dataset("digits")
    few = dataclasses.replace(digits, x_train=digits.x_train[:600], y_train=digits.y_train[:600])
    options = {"epochs": 10, "batch_size": 50, "compare": False, "feedback": 0.1}
    layers = {"units": [8, 8], "stride": ["2"], "radius": ["2"], "scale": ["auto"]}
    result = run(merged("digits", options=options, layers=layers), few)
    for layer in ("layer1", "layer2"):
        activities = encode(result.network, result.preprocessing.transform(few.x_train), layers=(layer,))
        assert 0.4 < np.sqrt(np.mean(activities**2)) < 0.6  # the level that `calibrate` aims at is 0.5
    assert result.certificate.distance < 0.2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = " + b"[" * 100_000, "nested too deeply"),
        (b"a = " + b"9" * 5000, "cannot be read as TOML"),
        (bytes(range(256)), "cannot be read as TOML"),
        (b"#" * 300_000, "has 300,000 bytes, where 262,144 are allowed"),
        (b"a." * 100_000 + b"a = 1", "nested too deeply"),
        (b'data = "digits"\nseed = "' + b"x" * 5000 + b'"', "The seed in the settings file"),
        (b"seed = 3", "No data set was named in the settings file"),
    ],
)
def test_settings_files_that_are_none(tmp_path, content, message):
    path = tmp_path / "settings.toml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        merged(None, file=path)
    assert str(path) in str(error.value)
    assert len(str(error.value)) < 1000
    with pytest.raises(ValueError, match="is a folder"):
        merged(None, file=tmp_path)


def test_names_that_are_not_utf8_survive_in_settings(tmp_path):
    name = os.fsdecode(b"b\xffld.npy")
    write_atomically(tmp_path / "settings.toml", merged(name).toml())
    assert merged(None, file=tmp_path / "settings.toml") == merged(name)
    assert b'"b\xffld.npy"' in (tmp_path / "settings.toml").read_bytes()


def test_images_are_called_by_their_numbers_before_the_split(rng):
    x = rng.random((40, 4, 4, 1))
    x[7] = 0.5
    settings = merged("mine", layers={"units": [2]})
    with pytest.raises(ValueError, match="In x_train, image 7 is constant"):
        run(settings, Dataset("mine", x.astype(np.float32), np.arange(40) % 2, classes=("a", "b")))

"""Each step of the preprocessing against the same step typed out."""

import json

import numpy as np
import pytest
import tomli_w
from scipy.ndimage import gaussian_filter
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from simatch.data import Preprocessing, default_preprocessing


@pytest.fixture
def x(rng):
    return rng.random((20, 12, 9, 2)).astype(np.float32)


def test_own_mean_is_the_published_one(x):
    expected = np.stack([image - image.mean() for image in x])
    np.testing.assert_allclose(Preprocessing(own_mean=True).fit_transform(x), expected, atol=1e-6)


def test_mean_image_is_that_of_the_training_images(x):
    new = x[:3] ** 2
    expected = new - x.mean(0)
    np.testing.assert_allclose(Preprocessing(mean_image=True).fit(x).transform(new), expected, atol=1e-6)


def test_blur_acts_on_each_image_and_channel_alone(x):
    out = Preprocessing(blur=1.5).fit_transform(x)
    expected = x[4, ..., 1] - gaussian_filter(x[4, ..., 1], 1.5, mode="nearest")
    np.testing.assert_allclose(out[4, ..., 1], expected, atol=1e-6)


def test_blur_leaves_nothing_of_uniform_light(x):
    shifted = Preprocessing(blur=2.0).fit_transform(x + 1)
    np.testing.assert_allclose(shifted, Preprocessing(blur=2.0).fit_transform(x), atol=1e-6)


def test_own_scale_and_scale(x):
    out = Preprocessing(own_mean=True, own_scale=True).fit_transform(x)
    np.testing.assert_allclose(out.std((1, 2, 3)), 1, rtol=1e-5)
    out = Preprocessing(own_mean=True, own_scale=True, scale=0.4).fit_transform(x)
    np.testing.assert_allclose(out.std((1, 2, 3)), 0.4, rtol=1e-5)
    fitted = Preprocessing(own_mean=True, scale=0.4).fit(x)
    np.testing.assert_allclose(np.sqrt(np.mean(fitted.transform(x) ** 2)), 0.4, rtol=1e-5)
    # One factor for the whole set, the training images' own
    np.testing.assert_allclose(np.sqrt(np.mean(fitted.transform(3 * x) ** 2)), 1.2, rtol=1e-5)


@pytest.mark.parametrize("name", ["digits", "mnist", "lfw", "patches", "cifar10", "mine"])
def test_defaults_fit_alike_and_repeat(x, name):
    chosen = default_preprocessing(name)
    original = x.copy()
    at_once = clone(chosen).fit_transform(x)
    np.testing.assert_array_equal(chosen.fit(x).transform(x), at_once)
    np.testing.assert_array_equal(x, original)
    assert at_once.dtype == np.float32
    assert at_once.shape == x.shape


def test_lfw_default_is_that_of_the_first_look(x):
    centred = x - x.mean(0)
    high = centred - np.stack([gaussian_filter(i, (3, 3, 0), mode="nearest") for i in centred])
    expected = 0.4 * high / np.sqrt((high**2).mean())
    np.testing.assert_allclose(default_preprocessing("lfw").fit_transform(x), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["mnist", "lfw", "cifar10"])
def test_dict_restores_all_and_is_plain(x, name):
    fitted = default_preprocessing(name).fit(x)
    values = fitted.to_dict()
    tomli_w.dumps(values)
    restored = Preprocessing.from_dict(json.loads(json.dumps(values)))
    np.testing.assert_array_equal(restored.transform(x), fitted.transform(x))
    assert restored.get_params() == fitted.get_params()


@pytest.mark.parametrize("values", [{}, {"shape": [1], "factor": 1.0, "colour": True}])
def test_dict_that_is_none_is_refused(values):
    with pytest.raises(ValueError, match="not the values"):
        Preprocessing.from_dict(values)


def test_works_in_a_pipeline(x):
    out = make_pipeline(Preprocessing(mean_image=True), Preprocessing(own_mean=True)).fit_transform(x)
    np.testing.assert_allclose(out.mean((1, 2, 3)), 0, atol=1e-6)


def test_constant_image_is_named(x):
    x[7] = 0.3
    x[9] = 0.0
    with pytest.raises(ValueError, match=r"Image 7 is constant \(every value is 0.3\)"):
        Preprocessing(own_mean=True).fit(x)
    with pytest.raises(ValueError, match="Image 1 is constant"):
        Preprocessing(own_mean=True).fit(x[:5]).transform(x[6:])
    with pytest.raises(ValueError, match="Image 9 has nothing left"):
        Preprocessing(own_scale=True).fit(x)


def test_nothing_left_is_refused(x):
    with pytest.raises(ValueError, match="Nothing is left of these 1 images"):
        Preprocessing(mean_image=True, scale=1.0).fit(x[:1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[0], "shape"),
        (lambda x: x[:0], "shape"),
        (lambda x: np.where(x == x[3, 1, 1, 0], np.nan, x), "image 3"),
        (lambda x: x.astype(complex), "complex"),
        (lambda x: x[:, :4], r"\(4, 9, 2\)"),
    ],
)
def test_bad_images_are_refused(x, change, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing().fit(x).transform(change(x))


@pytest.mark.parametrize("setting", [{"blur": -1.0}, {"scale": float("nan")}, {"blur": float("inf")}])
def test_bad_settings_are_refused(x, setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        Preprocessing(**setting).fit(x)


def test_blur_needs_more_than_a_pixel(rng):
    with pytest.raises(ValueError, match="one pixel"):
        Preprocessing(blur=1.0).fit(rng.random((4, 1, 1, 9)))


def test_unfitted_is_refused(x):
    with pytest.raises(NotFittedError):
        Preprocessing().transform(x)


@pytest.fixture
def strokes():
    """One slanted blob of ink in an empty frame, with its moments: centre, standard deviations, slant."""
    rows, columns = np.mgrid[:40, :40].astype(float)
    down = rows - 22
    across = columns - 17 - 0.4 * down
    return np.exp(-((down / 3.5) ** 2) / 2 - ((across / 2) ** 2) / 2)[None, :, :, None].astype(np.float32)


def moments(image):
    """Centre and covariance of the position of the ink, as weighted averages."""
    position = np.mgrid[: image.shape[0], : image.shape[1]].reshape(2, -1)
    weights = image[..., 0].ravel().astype(float)
    return np.average(position, axis=1, weights=weights), np.cov(position, aweights=weights, ddof=0)


def test_deskew_makes_upright_and_centres(strokes):
    before = moments(strokes[0])[1]
    assert before[0, 1] / before[0, 0] == pytest.approx(0.4, abs=1e-3)
    centre, covariance = moments(Preprocessing(deskew=True).fit_transform(strokes)[0])
    np.testing.assert_allclose(centre, 19.5, atol=0.01)
    # Half-way between two rows, interpolation averages rows that are sheared differently: 0.4 / 4 is left of 4.9
    assert abs(covariance[0, 1]) < 0.11
    np.testing.assert_allclose(np.diag(covariance), [3.5**2, 4], rtol=0.06)  # interpolation blurs a little


def test_spread_resizes_half_way(strokes):
    _, covariance = moments(Preprocessing(deskew=True, spread=4.0).fit_transform(strokes)[0])
    np.testing.assert_allclose(np.diag(covariance), [3.5 * 4, 2 * 4], rtol=0.05)


def test_spread_alone_keeps_the_slant(strokes):
    centre, covariance = moments(Preprocessing(spread=5.0).fit_transform(strokes)[0])
    np.testing.assert_allclose(centre, 19.5, atol=0.01)
    assert covariance[0, 1] > 5


def test_framing_is_the_same_for_every_position_and_channel(strokes):
    moved = np.roll(strokes, (-3, 2), axis=(1, 2))
    framing = Preprocessing(deskew=True, spread=4.0)
    out = framing.fit_transform(np.concatenate([strokes, moved]))
    np.testing.assert_allclose(out[0], out[1], atol=1e-3)
    coloured = framing.fit_transform(np.concatenate([strokes, 2 * strokes], axis=3))
    np.testing.assert_allclose(coloured, out[:1] * [1.0, 2.0], atol=1e-5)


def test_an_upright_image_in_the_middle_stays(strokes):
    upright = strokes * 0
    upright[0, 10:30, 18:22] = 1
    np.testing.assert_allclose(Preprocessing(deskew=True).fit_transform(upright), upright, atol=1e-6)
    line = strokes * 0
    line[0, 19:21, 5:35] = 1  # its columns have no slant to undo, and a height that is resized
    assert moments(Preprocessing(deskew=True, spread=4.0).fit_transform(line)[0])[1][0, 0] > 1


@pytest.mark.parametrize("change", [lambda x: x * 0, lambda x: x - 0.5], ids=["no ink", "negative"])
def test_framing_needs_ink(strokes, change):
    with pytest.raises(ValueError, match="Image 1 has no centre of mass"):
        Preprocessing(deskew=True).fit(np.concatenate([strokes, change(strokes)]))


def test_a_pixel_beyond_all_bounds_is_named(rng):
    """One pixel of 1e30 would make all other images 0."""
    x = rng.random((5, 4, 4, 1))
    x[3, 1, 1] = 1e30
    with pytest.raises(ValueError, match="numbers beyond 1e\\+18, first in image 3"):
        Preprocessing(scale=1.0).fit(x)


@pytest.mark.parametrize("settings", [{"scale": 0.5}, {"own_mean": True, "own_scale": True}])
def test_images_of_tiny_numbers(settings, rng):
    x = rng.random((5, 4, 4, 1)).astype(np.float32)
    expected = Preprocessing(**settings).fit_transform(x)
    np.testing.assert_allclose(Preprocessing(**settings).fit_transform(np.float32(1e-30) * x), expected, rtol=1e-4)


def test_masks_of_images_are_not_ignored():
    x = np.ma.masked_less(np.arange(64.0).reshape(4, 4, 4, 1), 3)
    with pytest.raises(ValueError, match="must not have masked values"):
        Preprocessing(scale=1.0).fit(x)

"""Stimuli against closed forms."""

import numpy as np
import pytest

from simatch import analysis as stimuli


@pytest.mark.parametrize("size", [(8, 8), (7, 8), (8, 7), (5, 9)])
def test_scrambled_images_keep_their_amplitudes_and_nothing_else(rng, size):
    x = rng.normal(size=(4, *size, 2)) + 1
    y = stimuli.phase_scrambled(x, seed=3)
    before, after = (np.fft.fft2(images, axes=(1, 2)) for images in (x, y))
    np.testing.assert_allclose(np.abs(after), np.abs(before), atol=1e-10)
    np.testing.assert_allclose(y.mean((1, 2)), x.mean((1, 2)))
    # The channels of an image get the same phases.
    turn = after / before
    np.testing.assert_allclose(turn[..., 0], turn[..., 1], atol=1e-9)
    correlation = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(x - 1, y - 1, strict=True)]
    assert max(np.abs(correlation)) < 0.5
    assert np.abs(turn[0] - turn[1]).max() > 0.5
    np.testing.assert_array_equal(y, stimuli.phase_scrambled(x, seed=3))
    assert not np.allclose(y, stimuli.phase_scrambled(x, seed=4))


def test_scrambled_images_keep_their_type():
    assert stimuli.phase_scrambled(np.ones((1, 4, 4, 1), "f4")).dtype == np.float32


def test_gratings_are_single_waves():
    waves = stimuli.gratings(16, 16, orientations=4, wavelengths=(4.0,), phases=3)
    np.testing.assert_allclose((waves**2).mean((-2, -1)), 1, rtol=1e-6)
    power = np.abs(np.fft.fft2(waves[:, 0])) ** 2
    # Stripes along the columns' axis change from row to row, 4 times in 16 pixels; number 2 the other way.
    for number, place in ((0, (4, 0)), (2, (0, 4))):
        for one in power[number]:
            assert one[place] + one[-place[0], -place[1]] == pytest.approx(one.sum(), rel=1e-5)
    # Number 1 runs downwards to the right: it changes along the other diagonal.
    row, column = np.unravel_index(power[1, 0, :, :9].argmax(), (16, 9))
    assert row - 16 == -column


def test_edges_are_where_they_should_be():
    patches = stimuli.edges(16, 12, orientations=2, spacing=4, wavelength=6.0)
    assert patches.shape == (2, 4, 3, 2, 16, 12)
    np.testing.assert_allclose((patches**2).mean((-2, -1)), 1, rtol=1e-6)
    row, column = np.indices((16, 12))
    weight = patches[:, 1, 1] ** 2
    for axis, expected in ((row, 5.5), (column, 5.5)):
        np.testing.assert_allclose((weight * axis).sum((-2, -1)) / weight.sum((-2, -1)), expected, atol=0.02)
    edge, bar = patches[0, 1, 1]
    np.testing.assert_allclose(edge[:12], -edge[:12][::-1], atol=1e-6)  # odd across rows
    np.testing.assert_allclose(bar[:12], bar[:12][::-1], atol=1e-6)
    np.testing.assert_allclose(patches[1, 1, 1, 0, :12], -edge[:12].T, atol=1e-4)


def test_every_square_is_covered_once(rng):
    x = rng.normal(size=(3, 6, 4, 2))
    covered = stimuli.occluded(x, 2)
    assert covered.shape == (3, 2, 3, 6, 4, 2)
    np.testing.assert_allclose((x - covered).sum((0, 1)), x)
    expected = x[1].copy()
    expected[4:6, 2:4] = 0
    np.testing.assert_array_equal(covered[2, 1, 1], expected)
    with pytest.raises(ValueError, match="5 pixels"):
        stimuli.occluded(x, 5)

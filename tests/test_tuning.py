"""Selectivity against closed forms."""

import numpy as np

import simatch as sm
from simatch import analysis
from simatch import analysis as tuning


def test_orientation_selectivity_of_a_cosine():
    """<(1 + m cos(2 a)) exp(2 i a)> = m / 2, for a modulation m of the response over angles a."""
    angle = np.pi * np.arange(12) / 12
    for m in (0.0, 0.3, 1.0):
        r = 5 * (1 + m * np.cos(2 * (angle - 0.4)))
        np.testing.assert_allclose(tuning.orientation_selectivity(np.stack([r, 0 * r], axis=1)), [m / 2, 0], atol=1e-12)


def test_sparseness(rng):
    normal = rng.normal(size=(100_000, 1))
    assert abs(tuning.sparseness(normal)[0] - (1 - 2 / np.pi)) < 0.01
    np.testing.assert_array_equal(tuning.sparseness(np.array([[0.0, 1.0], [0.0, -1.0], [0.0, 1.0]])), [0, 0])
    # One response in n, and k of n: (1 - k/n) / (1 - 1/n).
    few = np.zeros((10, 2))
    few[0, 0], few[:4, 1] = 3.0, -2.0
    np.testing.assert_allclose(tuning.sparseness(few), [1, 0.6 / 0.9])


def test_centres_are_those_of_the_receptive_fields():
    """Away from the border, the mean place of the pixels that a unit is connected to."""
    net = sm.layered(sm.Grid(12, 8), [sm.Layer(units=2, stride=2, radius=2.0)])
    seen = analysis.receptive_fields(net.feedforward[0])[..., 0] != 0
    centres = tuning.centres(net.populations["layer1"].grid, 12, 8)
    places = np.array([np.argwhere(field).mean(0) for field in seen])
    inside = (centres > 1.9).all(1) & (centres < [9.1, 5.1]).all(1)
    assert inside.sum() == 2 * 4 * 2
    np.testing.assert_allclose(centres[inside], places[inside])


def test_extent_of_discs():
    row, column = np.indices((200, 200))
    centres = np.array([[99.5, 99.5], [99.5, -0.5], [-0.5, -0.5], [50.0, 50.0]])
    fields = np.stack([(row - r) ** 2 + (column - c) ** 2 <= 60**2 for r, c in centres])
    fields[3] = False
    # Discs cut at the border through their centre, in halves and quarters, keep their radius.
    np.testing.assert_allclose(tuning.extent(fields, centres), [60, 60, 60, np.nan], rtol=0.01)

"""Analysis against closed forms."""

import jax
import numpy as np
import pytest

import simatch as sm
from simatch import analysis


def test_receptive_fields_lie_where_the_synapses_are():
    net = sm.layered(sm.Grid(6, 4, 2), [sm.Layer(units=3, stride=2, radius=1.0)])
    fields = analysis.receptive_fields(net.feedforward[0])
    assert fields.shape == (18, 6, 4, 2)
    # Site (1, 0) is unit 6 to 8: its centre (3, 1) has the four sites around it within sqrt(1/2).
    seen = np.zeros((6, 4), bool)
    seen[2:4, 0:2] = True
    np.testing.assert_array_equal(fields[6:9].any(axis=(0, 3)), seen)


def test_effective_features_multiply_weights():
    net = sm.layered(sm.Grid(4, 4), [sm.Layer(units=2, stride=2, radius=2.0), sm.Layer(units=3)])
    first, second = (p.to_dense() for p in net.feedforward)
    np.testing.assert_allclose(analysis.effective_features(net).reshape(3, 16), second @ first, rtol=1e-5)
    np.testing.assert_array_equal(analysis.effective_features(net, "layer1").reshape(8, 16), first)


def test_effective_features_add_paths():
    x, a, b = sm.Grid(1, 1, 3), sm.Grid(1, 1, 2), sm.Grid(1, 1, 4)
    net = sm.Network(
        {"x": sm.Population(x), "a": sm.Population(a, "tanh"), "b": sm.Population(b, "tanh")},
        [
            sm.Hebbian("x", "a", sm.Dense(x, a)),
            sm.Hebbian("a", "b", sm.Dense(a, b)),
            sm.Hebbian("x", "b", sm.Dense(x, b)),
            sm.AntiHebbian("a", sm.Dense(a, a)),
            sm.AntiHebbian("b", sm.Dense(b, b)),
        ],
    )
    xa, ab, xb = (p.to_dense() for p in net.feedforward)
    np.testing.assert_allclose(analysis.effective_features(net).reshape(4, 3), ab @ xa + xb, rtol=1e-5)


def test_effective_features_name_what_is_unknown():
    net = sm.layered(4, [sm.Layer(units=2)])
    with pytest.raises(ValueError, match="no layer 'top'"):
        analysis.effective_features(net, "top")
    with pytest.raises(ValueError, match="no input 'eye'"):
        analysis.effective_features(net, source="eye")


def test_reverse_correlation_of_a_linear_neuron_is_its_weight(rng):
    """For white inputs <r x> = w <x x'> = w, up to the norm and the noise of a finite sample."""
    x, w = rng.normal(size=(200_000, 3)), np.array([[1.0, -2.0, 0.5], [0.0, 0.0, 1.0]])
    found = analysis.reverse_correlation(x @ w.T, x)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    np.testing.assert_allclose(found, w / np.linalg.norm(w, axis=1, keepdims=True), atol=0.01)


def test_reverse_correlation_is_a_weighted_mean():
    r, x = np.array([[1.0, 0.0, -1.0], [3.0, 0.0, 1.0]]), np.array([[[4.0, 0.0]], [[0.0, 8.0]]])
    expected = [[[1.0, 6.0]], [[0.0, 0.0]], [[-2.0, 4.0]]]
    np.testing.assert_array_equal(analysis.reverse_correlation(r, x), expected)
    with pytest.raises(ValueError, match="2 samples of activity but 1"):
        analysis.reverse_correlation(r, x[:1])


def test_similarity():
    r = np.array([[3.0, 4.0], [4.0, -3.0], [6.0, 8.0], [0.0, 0.0]])
    np.testing.assert_array_equal(analysis.similarity(r, "inner"), r @ r.T)
    expected = [[1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(analysis.similarity(r), expected, atol=1e-12)
    jax_array = np.asarray(jax.numpy.asarray(r, "float32"))
    assert analysis.similarity(jax_array).dtype == np.float32


def test_class_samples_are_sorted_and_repeat(rng):
    labels = rng.integers(0, 3, 100)
    chosen = analysis.class_samples(labels, 5, seed=1)
    np.testing.assert_array_equal(labels[chosen], np.repeat([0, 1, 2], 5))
    np.testing.assert_array_equal(chosen, analysis.class_samples(labels, 5, seed=1))


def test_similarity_contrast():
    matrix = np.array([[9.0, 2.0, 1.0], [2.0, 9.0, 0.0], [1.0, 0.0, 9.0]])
    assert analysis.similarity_contrast(matrix, np.array([0, 0, 1])) == 2.0 - 0.5
    with pytest.raises(ValueError, match="two classes"):
        analysis.similarity_contrast(matrix, np.array([0, 0, 0]))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "use",
    [
        analysis.similarity,
        lambda x: analysis.reverse_correlation(x, np.ones((4, 2))),
        lambda x: analysis.reverse_correlation(np.ones((4, 2)), x),
        analysis.orientation_selectivity,
        analysis.sparseness,
        lambda x: analysis.phase_scrambled(x[:, :, None, None]),
        lambda x: analysis.occluded(x[:, :, None, None], 1),
        lambda x: analysis.similarity_contrast(x @ x.T, np.array([0, 0, 1, 1])),
    ],
)
def test_numbers_that_are_none_are_refused(use, bad):
    """They were taken for silence: a similarity, a correlation or a selectivity of 0."""
    x = np.ones((4, 3))
    x[2, 1] = bad
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="must hold finite numbers"):
        use(x)


def test_sizes_do_not_matter(rng):
    """Squares in single precision overflow at 1e20 and vanish at 1e-25; those of uint8 wrap around."""
    x = np.abs(rng.normal(size=(6, 3))).astype(np.float32)
    for use in (analysis.similarity, analysis.sparseness, analysis.orientation_selectivity):
        for factor in (1e30, 1e-30):
            np.testing.assert_allclose(use(x * np.float32(factor)), use(x), rtol=1e-5)
        mixed = x.copy()
        mixed[0] *= np.float32(1e-30)
        assert np.isfinite(use(mixed)).all()
        whole = rng.integers(0, 255, size=(6, 3), dtype=np.uint8)
        np.testing.assert_allclose(use(whole), use(whole.astype(float)), rtol=1e-5)
    tiny = x.copy()
    tiny[0] *= np.float32(1e-30)
    np.testing.assert_allclose(analysis.similarity(tiny), analysis.similarity(x), rtol=1e-5)
    np.testing.assert_allclose(
        analysis.reverse_correlation(x * np.float32(1e30), x), analysis.reverse_correlation(x, x), rtol=1e-5
    )


def test_masks_are_not_ignored():
    x = np.ma.masked_array(np.ones((4, 3)), np.eye(4, 3))
    for use in (analysis.similarity, analysis.sparseness, analysis.orientation_selectivity):
        with pytest.raises(ValueError, match="must not have masked values"):
            use(x)

"""The averaging rule and the certificate: closed forms, and independent NumPy in float64."""

import numpy as np
import pytest

import simatch as sm
from simatch.learning import ended


def layer(k: int = 3, inputs: int = 6, seed: int = 0, **settings) -> sm.Network:
    return sm.layered(inputs, [sm.Layer(units=k, activation="linear", **settings)], seed=seed)


def data(rng: np.random.Generator, samples: int = 400) -> np.ndarray:
    return rng.normal(size=(samples, 6)) * [3, 2, 1.5, 1, 0.5, 0.2]


@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0])
def test_the_averaging_rule_in_numpy(rng, x64, ratio):
    """Equation (21) for two layers with feedback: the optima of both directions, typed out."""
    net = sm.layered(
        5, [sm.Layer(units=4, scale=0.3), sm.Layer(units=3, scale=0.7, lateral_scale=1.5)], feedback=0.2, seed=1
    )
    x = rng.normal(size=(50, 5))
    out = sm.relax(net, x, tolerance=1e-12)
    after = sm.learn(net, out, rate=0.3, ratio=ratio)
    r = [np.asarray(out.states[name]) for name in ("input", "layer1", "layer2")]
    for p, (scale, lateral_scale) in enumerate(((0.3, 1.0), (0.7, 1.5))):
        before, found = (n.feedforward[p].to_dense() for n in (net, after))
        np.testing.assert_allclose(found, before + 0.3 * (scale * r[p + 1] @ r[p].T / 50 - before), atol=1e-10)
        c = lateral_scale * (1.2 if p == 0 else 1.0)
        before, found = (n.lateral[p].to_dense() for n in (net, after))
        best = c * r[p + 1] @ r[p + 1].T / 50
        np.testing.assert_allclose(found, before + 0.3 * ratio * (best - before), atol=1e-10)


def test_one_linear_unit_forgets_at_1_minus_eta_and_1_minus_2_eta(rng, x64):
    """The eigenvalues of the step at the optimum, by finite differences."""
    x = rng.normal(size=(300, 1))
    variance = float(np.mean(x**2))
    net = sm.layered(1, [sm.Layer(units=1, activation="linear")])
    best = net.with_weights([np.full((1, 1), variance), np.full((1, 1), variance)])

    def after(w: float, lateral: float) -> np.ndarray:
        near = net.with_weights([np.full((1, 1), w), np.full((1, 1), lateral)])
        out = sm.learn(near, sm.relax(near, x, tolerance=1e-13), rate=0.3)
        return np.array([out.feedforward[0].to_dense()[0, 0], out.lateral[0].to_dense()[0, 0]])

    assert sm.certificate(best, x, tolerance=1e-12).distance < 1e-12
    h = 1e-5
    columns = [
        (after(variance + h, variance) - after(variance - h, variance)) / (2 * h),
        (after(variance, variance + h) - after(variance, variance - h)) / (2 * h),
    ]
    np.testing.assert_allclose(np.sort(np.linalg.eigvals(np.array(columns).T)), [0.4, 0.7], atol=1e-6)


@pytest.mark.parametrize("size", [0.03, 1.0, 3.0])
@pytest.mark.parametrize("ratio_of_variances", [3.0, 100.0])
def test_principal_components_whatever_the_size_of_the_input(rng, size, ratio_of_variances):
    """Full batches at the default rule: the variances of the outputs are the largest ones of the input."""
    deviations = np.sqrt([ratio_of_variances, ratio_of_variances**0.5, 1, 0.5, 0.3, 0.1])
    x = size * rng.normal(size=(500, 6)) * deviations
    net, _ = sm.train(sm.sized(layer(), x), (x for _ in range(300)), rate=0.5, progress=False)
    variances = np.linalg.eigvalsh(np.cov(sm.encode(net, x).T, bias=True) + np.outer(*[sm.encode(net, x).mean(0)] * 2))
    best = np.linalg.eigvalsh(x.T @ x / len(x))[-3:]
    np.testing.assert_allclose(variances, best, rtol=1e-2)
    assert sm.certificate(net, x).distance < 1e-3


def test_the_certificate_is_primal_and_dual(rng, x64):
    net, x = layer(scale=0.5, lateral_scale=2.0), data(rng)
    found = sm.certificate(net, x, tolerance=1e-12)
    out = sm.relax(net, x, tolerance=1e-12)
    assert found.primal == pytest.approx(sm.similarity_cost(net, out), rel=1e-12)
    assert found.dual == pytest.approx(sm.objective(net, out), rel=1e-12)
    assert found.gap == pytest.approx((found.primal - found.dual) / abs(found.primal))
    assert found.samples == 400
    # In NumPy: a weight d away from its optimum costs d^2 / c (Hebbian) or -d^2 / 2c (anti-Hebbian) in (9).
    r = np.asarray(out.states["layer1"])
    w, lateral = net.feedforward[0].to_dense(), net.lateral[0].to_dense()
    off = np.sum((w - 0.5 * r @ x / 400) ** 2) / 0.5, np.sum((lateral - 2.0 * r @ r.T / 400) ** 2) / 4.0
    assert found.distance * abs(found.primal) == pytest.approx(sum(off), rel=1e-9)
    assert found.dual - found.primal == pytest.approx(off[0] - off[1], rel=1e-9)


def test_the_distance_sees_what_the_gap_does_not(rng, x64):
    """Weights whose two errors cancel: the gap is 0, the distance is not."""
    x = data(rng)
    net = sm.train(layer(), (x for _ in range(300)), rate=0.5, progress=False)[0]
    lateral = np.asarray(net.lateral[0].to_dense())

    def gap(factor: float) -> float:
        return sm.certificate(net.with_weights([1.1 * net.feedforward[0].to_dense(), factor * lateral]), x).gap

    low, high = 1.1, 1.21
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.sign(gap(middle)) == np.sign(gap(low)) else (low, middle)
    both = net.with_weights([1.1 * net.feedforward[0].to_dense(), low * lateral])
    found = sm.certificate(both, x)
    assert abs(found.gap) < 1e-4 < 1e-3 < found.distance


def test_terms_of_an_absent_population_do_not_count(rng):
    net = sm.layered(5, [sm.Layer(units=4), sm.Layer(units=3)])
    phase = sm.Phase(absent=["layer2"])
    alone = sm.layered(5, [sm.Layer(units=4)])
    alone = alone.with_weights([net.feedforward[0].to_dense(), net.lateral[0].to_dense()])
    x = rng.normal(size=(40, 5))
    assert sm.certificate(net, x, phase=phase).distance * abs(
        sm.certificate(net, x, phase=phase).primal
    ) == pytest.approx(sm.certificate(alone, x).distance * abs(sm.certificate(alone, x).primal), rel=1e-4)


def test_pathways_have_rates_of_their_own(rng, x64):
    """Half the rate, none, and a name that does not exist."""
    net, x = layer(), data(rng)
    factors = {"input->layer1": 0.5, "layer1": 0.0}
    after, _ = sm.train(
        net, iter([x]), rate=0.3, tolerance=1e-12, transform=sm.Plasticity(net, factors), progress=False
    )
    expected = sm.learn(net, sm.relax(net, x, tolerance=1e-12), rate=0.15)
    np.testing.assert_allclose(after.feedforward[0].to_dense(), expected.feedforward[0].to_dense(), atol=1e-10)
    np.testing.assert_array_equal(after.lateral[0].to_dense(), net.lateral[0].to_dense())
    with pytest.raises(ValueError, match="no pathway 'layer2'; there are 'input->layer1', 'layer1'"):
        sm.Plasticity(net, {"layer2": 0.0})
    with pytest.raises(ValueError, match="between 0 and 1, got 2"):
        sm.Plasticity(net, {"layer1": 2.0})


@pytest.mark.parametrize(
    ("distances", "end"),
    [
        ([0.06, 0.04, 0.03, 0.02, 0.0009], True),  # at the tolerance
        ([0.06, 0.03, 0.03, 0.029, 0.028], True),  # 0.028 after 125 batches, 0.03 after 50
        ([0.06, 0.031, 0.03, 0.029, 0.027], False),  # lower by 13 % than after 50
        ([0.06, 0.06, 0.06, 0.06, 0.06], False),  # does not fall, but is too large
        ([0.03, 0.03, 0.03], False),  # too soon
        ([0.03, 0.03, 0.03, 0.03, None], False),  # not measured
    ],
)
def test_a_run_ends_at_its_optimum_or_where_its_distance_falls_no_more(distances, end):
    def report(number: int, distance: float | None) -> sm.Report:
        found = None if distance is None else sm.Certificate(-1.0, -1.0, distance, 100)
        return sm.Report(25 * number, 100, 0, 0, 1, 0, {}, {}, {}, rate=0.5, seconds=1.0, certificate=found)

    reports = [report(number, distance) for number, distance in enumerate(distances, start=1)]
    assert ended(reports[-1], reports, tol=1e-3, stalled=0.05) == end
    assert not ended(reports[-1], reports, tol=None, stalled=None)

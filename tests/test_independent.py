"""Nonnegative independent components against the sources that were mixed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from sklearn.utils.estimator_checks import parametrize_with_checks

import simatch as sm
from simatch.estimators import NonnegativeICA
from simatch.models import nonnegative_components, nonnegative_interneurons, nonnegative_rule


def sources(rng, samples, count):
    """Independent, at least 0, often 0, of unit variance."""
    return rng.uniform(0, np.sqrt(48 / 5), (samples, count)) * rng.integers(0, 2, (samples, count))


def exact(rng, samples, count):
    """Sources whose covariance is exactly the identity, by a change of each within the orthant."""
    s = rng.uniform(0, 1, (samples, count))
    around = s - s.mean(axis=0)
    root = np.linalg.cholesky(np.cov(around.T, bias=True))
    s = around @ np.linalg.inv(root).T
    return s - s.min(axis=0)


def error(found, s):
    """Mean squared error for the best permutation of the outputs."""
    pairs = np.mean((found[:, :, None] - s[:, None, :]) ** 2, axis=0)
    rows, columns = scipy.optimize.linear_sum_assignment(pairs)
    return float(np.mean(pairs[rows, columns]))


def test_the_rules_vanish_at_the_sources(rng, x64):
    """Of both networks, if the covariance of the sources is the identity."""
    s, mixing = exact(rng, 50, 3), rng.normal(size=(3, 3))
    x, moments = s @ mixing.T, s.T @ s / 50
    states = {"input": jnp.asarray(x.T), "centred": jnp.asarray((x - x.mean(axis=0)).T), "units": jnp.asarray(s.T)}
    direct = nonnegative_components(3, 3).with_parameters(
        [jnp.asarray(moments @ np.linalg.inv(mixing)), jnp.asarray(moments)]
    )
    assert_still(nonnegative_rule(direct), direct, states, s)
    gradient = sm.GradientRule().change(direct, (states,), None, {}).parameters
    assert max(np.abs(own).max() for own in gradient) < 1e-12
    w = mixing.T
    half = np.linalg.cholesky(w @ mixing)
    between = nonnegative_interneurons(3, 3).with_parameters([jnp.asarray(w), jnp.asarray(half)])
    assert_still(nonnegative_rule(between), between, states, s)


def assert_still(rule, net, states, s):
    """The sources are the fixed point of the dynamics, by the force on them, and no parameter changes."""
    present = {name: states[name] for name in net.populations}
    force = jax.grad(lambda r: jnp.sum(sm.network.energy(net, {**present, "units": r}, relaxed=[])))(present["units"])
    assert np.abs(force).max() < 1e-10
    change = rule.change(net, (present,), rule.init(net), {}).parameters
    assert max(np.abs(own).max() for own in change) < 1e-10


@pytest.mark.parametrize("algorithm", ["direct", pytest.param("interneurons", marks=pytest.mark.slow)])
def test_ten_sources(algorithm):
    """Of a mixture with a condition number of 55; the mixing matrix too is found."""
    rng = np.random.default_rng(0)
    s, mixing = sources(rng, 20_000, 10), rng.normal(size=(10, 10))
    x = s @ mixing.T
    ica = NonnegativeICA(algorithm=algorithm, random_state=0).fit(x)
    y = ica.transform(x)
    assert error(y, s) < 0.01
    np.testing.assert_allclose(y, np.maximum(x @ ica.components_.T, 0), atol=0.3)
    similar = np.abs(np.corrcoef(ica.mixing_.T, mixing.T)[:10, 10:])
    assert similar.max(axis=1).min() > 0.99
    assert (y.max(axis=0) > 0).all()


@pytest.mark.slow
def test_a_stream_whose_mixture_changes_is_followed():
    """More features than sources; the copy of an estimator goes on alike."""
    rng = np.random.default_rng(1)
    s, first = sources(rng, 40_000, 3), rng.normal(size=(3, 5))
    second = first + 0.3 * rng.normal(size=(3, 3)) @ first  # in the same subspace
    ica = (
        NonnegativeICA(3, learning_rate=0.05, random_state=0)
        .partial_fit(s[:20_000] @ first)
        .partial_fit(s[20_000:] @ second)
    )
    assert error(ica.transform(s[:2000] @ second), s[:2000]) < 0.05


def test_silent_units_are_recruited(rng, x64):
    """A unit with weights against the mean responds after some batches of the rule, and not by gradient alone."""
    s = sources(rng, 4000, 2)
    x = s @ np.array([[1.0, 0.3], [0.4, 1.0]])
    batch = {"input": x, "centred": x - x.mean(axis=0)}
    net = nonnegative_components(2, 2, samples=x)
    weights = np.asarray(net.parameters[0]) * [[1], [-1]]
    net = net.with_parameters([jnp.asarray(weights), net.parameters[1]])

    def responding(rule):
        after, _ = sm.train(net, batch, rule=rule, epochs=4, batch_size=100, rate=lambda n: 0.1, progress=False)
        return float(np.mean(x @ np.asarray(after.parameters[0])[1] > 0))

    with pytest.warns(sm.HealthWarning, match="50% of its units respond to no sample"):
        assert responding(sm.RegressionRule(sm.AveragingRule())) < 0.05
    assert responding(nonnegative_rule(net)) > 0.3


def test_use_outside_the_conditions_is_told(rng):
    far = 3 + rng.uniform(size=(500, 2)) @ [[1.0, 0.2], [0.1, 1.0]]
    with pytest.warns(UserWarning, match="of 2 outputs are no nonnegative sources"):
        NonnegativeICA(random_state=0, max_iter=20).fit(far)
    with pytest.raises(ValueError, match="The 3 rows vary in 2 directions, which cannot hold 4 independent sources"):
        NonnegativeICA().fit(rng.normal(size=(3, 4)))
    with pytest.raises(ValueError, match="n_components=5 must be at most 2"):
        NonnegativeICA(5).fit(far)
    with pytest.raises(ValueError, match="There are 2 inputs, so at most 2 sources, got 3"):
        nonnegative_components(2, 3)
    with pytest.raises(ValueError, match="Samples have 2 inputs, but the network has 3"):
        nonnegative_interneurons(3, 3, samples=far)
    two = sm.ContrastRule(sm.Phase(), sm.Phase())
    for rule in (sm.CentredRule, lambda own: sm.RecruitingRule(own, "units")):
        with pytest.raises(ValueError, match="Means are those of one phase, but the rule has 2"):
            rule(two)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*are no nonnegative sources:UserWarning")
@pytest.mark.filterwarnings("ignore:.*before they had settled:sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([NonnegativeICA(1, max_iter=2, batch_size=10)])
def test_contract(estimator, check, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    check(estimator)

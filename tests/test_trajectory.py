"""Recorded paths: of solvers beside `relax`, in time beside NumPy in double precision and closed forms of noise."""

import networks
import numpy as np
import oracle
import pytest

import simatch as sm


def chain(rng, gamma, activation="tanh"):
    c = networks.structure(rng)
    net = networks.randomised(networks.two_layers("dense", c, gamma, activation=activation), rng)
    return net, rng.normal(size=(5, 48))


def small(rng, activation="linear", units=3):
    """One layer of three units on four inputs, with lateral weights away from the identity."""
    net = sm.layered(4, [sm.Layer(units=units, activation=activation)])
    return networks.randomised(net, rng), rng.normal(size=(5, 4))


@pytest.mark.parametrize(
    ("solver", "gamma", "activation"),
    [
        (sm.Euler(), 0.3, "tanh"),
        (sm.Accelerated(), 0.0, "tanh"),
        pytest.param(sm.Descent(0.1), 0.3, "clip", marks=pytest.mark.slow),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, sm.Solver) else str(value),
)
def test_the_last_point_is_where_relax_ends(rng, solver, gamma, activation):
    net, x = chain(rng, gamma, activation)
    phase = sm.Phase(steps=12)
    out = sm.relax(net, x, solver=solver, phase=phase)
    path = sm.trajectory(net, x, solver=solver, steps=12, every=3)
    for name in net.layers:
        np.testing.assert_allclose(path[name][-1], out.states[name].T, atol=1e-5)
        np.testing.assert_allclose(path.end.potentials[name], out.potentials[name], atol=1e-5)
    assert len(path.time) == (9 if gamma == 0 else 5)  # without feedback, two stages of 12 steps
    assert path.time[-1] == out.steps[0] == path.end.steps[0]
    assert (path.end.status == sm.Status.STOPPED).all()
    if gamma:
        np.testing.assert_allclose(path.residual[-1], out.residual, rtol=1e-3)


def test_euler_steps_are_those_of_numpy(rng, x64):
    net, x = chain(rng, 0.3)
    W, L = networks.matrices(net)
    path = sm.trajectory(net, x, solver=sm.Euler(step_size=0.1, decay=0.0), steps=9)
    for n in range(10):
        for name, r in zip(net.layers, oracle.dynamics(x, W, L, 0.3, np.tanh, steps=n, step=0.1), strict=True):
            np.testing.assert_allclose(path[name][n], r, rtol=1e-10, atol=1e-12)
    r = [path[name][4] for name in net.layers]
    expected = oracle.bracket(x, r, W, L, 0.3, oracle.tanh_cost) / 2
    np.testing.assert_allclose(path.energy[4], expected, rtol=1e-9)


@pytest.mark.parametrize("gamma", [0.0, 0.3])
def test_all_populations_move_at_once_in_time(rng, x64, gamma):
    net, x = chain(rng, gamma)
    W, L = networks.matrices(net)
    path = sm.simulate(net, x, duration=0.9, dt=0.1, every=3)
    np.testing.assert_allclose(path.time, [0, 0.3, 0.6, 0.9])
    for point, n in enumerate([0, 3, 6, 9]):
        for name, r in zip(net.layers, oracle.dynamics(x, W, L, gamma, np.tanh, steps=n, step=0.1), strict=True):
            np.testing.assert_allclose(path[name][point], r, rtol=1e-10, atol=1e-12)


def test_input_that_varies_and_time_constants(rng, x64):
    net, x = small(rng)
    (W,), (L,) = networks.matrices(net)
    dt, tau, steps = 0.5, 2.0, 150  # more steps than are held in memory at a time

    def stimulus(t):
        return np.sin(t) * x

    path = sm.simulate(net, stimulus, duration=dt * steps, dt=dt, tau={"layer1": tau})
    u = np.zeros((5, 3))
    for n in range(steps):
        np.testing.assert_allclose(path["layer1"][n], u, atol=1e-12)
        u = u + dt / tau * (np.sin(n * dt) * x @ W.T - u @ L.T)
    np.testing.assert_allclose(path["layer1"][steps], u, atol=1e-12)


def test_noise_has_the_covariance_of_ornstein_and_uhlenbeck(rng, x64):
    net, _ = small(rng)
    _, (L,) = networks.matrices(net)
    rate, strength = 0.2, 0.7
    path = sm.simulate(
        net, np.zeros((5000, 4)), duration=60.0, dt=rate, noise=strength, every=30, seed=1, units={"layer1": range(3)}
    )
    # The stationary covariance C of u' = (1 - rate L) u + strength sqrt(2 rate) xi solves one linear equation.
    A = np.eye(3) - rate * L
    C = np.linalg.solve(np.eye(9) - np.kron(A, A), 2 * rate * strength**2 * np.eye(3).ravel()).reshape(3, 3)
    late = path["layer1"][5:].reshape(-1, 3)  # after five times the slowest time constant; 30,000 samples
    np.testing.assert_allclose(np.cov(late.T), C, atol=0.04 * np.trace(C) / 3)
    # In the limit of short steps it would be strength^2 / L.
    assert np.linalg.norm(C - strength**2 * np.linalg.inv(L)) < 0.2 * np.linalg.norm(C)


def test_noise_does_not_depend_on_how_the_input_is_given_and_goes_to_named_populations(rng):
    net, x = small(rng, "tanh")
    how = {"duration": 5.0, "noise": {"layer1": 0.3}, "seed": 3, "every": 5}
    held, called = sm.simulate(net, x, **how), sm.simulate(net, lambda t: x, **how)
    np.testing.assert_allclose(held["layer1"], called["layer1"], atol=1e-6)
    assert not np.allclose(held["layer1"], sm.simulate(net, x, **{**how, "seed": 4})["layer1"], atol=1e-2)
    silent = sm.simulate(net, x, **{**how, "noise": {}})
    assert silent.end.residual.max() < 0.03 < 0.05 < held.end.residual.min()


def test_a_path_goes_on_where_another_ended(rng):
    net, x = small(rng, "tanh")
    whole = sm.simulate(net, x, duration=2.0)
    first = sm.simulate(net, x, duration=1.0)
    second = sm.simulate(net, x, duration=1.0, start=first.end)
    np.testing.assert_allclose(second["layer1"], whole["layer1"][10:], atol=1e-6)
    further = sm.trajectory(net, x, steps=10, solver=sm.Euler(0.1, 0.0), start=first.end)
    np.testing.assert_allclose(further["layer1"], whole["layer1"][10:], atol=1e-6)


def test_some_units_and_samples_of_a_clamped_phase(rng):
    net, x = chain(rng, 0.3)
    phase = sm.Phase(["input", "layer2"])
    batch = {"input": x, "layer2": rng.normal(size=(5, 5))}
    some = sm.trajectory(net, batch, phase=phase, steps=4, every=2, units={"layer1": [7, 2]}, samples=[3])
    all_of_them = sm.trajectory(net, batch, phase=phase, steps=4)
    assert list(all_of_them.activities) == ["layer1"]
    np.testing.assert_allclose(some["layer1"], all_of_them["layer1"][::2][:, [3]][:, :, [7, 2]], atol=1e-6)
    np.testing.assert_allclose(some.energy, all_of_them.energy[::2][:, [3]], atol=1e-5)
    assert some.end.states["layer1"].shape == (18, 5)
    with pytest.raises(KeyError, match="'layer2' was not recorded; recorded are 'layer1'"):
        some["layer2"]


def test_paths_that_diverge_are_told(rng):
    net, x = small(rng)
    with pytest.warns(sm.ConvergenceWarning, match="5 of 5 samples did not converge. The activities grew"):
        path = sm.trajectory(net, x, solver=sm.Euler(5.0, 0.0), steps=100, every=20)
    assert (path.end.status == sm.Status.DIVERGED).all()


MISTAKES = {
    "every": (sm.trajectory, {"steps": 10, "every": 3}, "last of 10 steps would not be recorded with every=3"),
    "solver": (sm.trajectory, {"solver": sm.Blockwise()}, "path of Blockwise cannot be recorded"),
    "samples": (sm.trajectory, {"samples": [5]}, r"samples to record must be whole numbers from 0 to 4, got \[5\]"),
    "units": (
        sm.trajectory,
        {"units": {"layer1": np.array([0.5])}},
        "neurons of 'layer1' to record must be whole numbers",
    ),
    "population": (sm.trajectory, {"units": {"input": [0]}}, "'input' does not relax, so that it has no path"),
    "memory": (sm.trajectory, {"steps": 10**8}, "1e\\+09|2.5e\\+09 numbers, more than"),
    "dt": (sm.simulate, {"dt": 0.3, "tau": 0.2}, "dt must be at most the smallest time constant, 0.2, got 0.3"),
    "tau": (sm.simulate, {"tau": {"input": 1.0}}, "time constant is given for 'input', which does not relax"),
    "noise": (sm.simulate, {"noise": -1.0}, "The noise must be finite and at least 0, got -1.0"),
    "duration": (sm.simulate, {"duration": 0}, "The duration must be finite and above 0"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(rng, mistake):
    function, settings, message = MISTAKES[mistake]
    net, x = small(rng)
    with pytest.raises(ValueError, match=message):
        function(net, x, **settings)


def test_an_input_must_keep_its_number_of_samples(rng):
    net, x = small(rng)
    with pytest.raises(ValueError, match=r"The input has 4 samples at time 0.2, but 5 at time 0"):
        sm.simulate(net, lambda t: x if t < 0.15 else x[1:])

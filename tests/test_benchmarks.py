"""The benchmarks measure what they say: the peer's algorithm, the arithmetic counted, and one row from end to end."""

import json
from functools import partial
from types import SimpleNamespace

import networks as small
import numpy as np
import oracle
import pytest
from typer.testing import CliRunner

import simatch as sm
from benchmarks import arithmetic, family, more_solvers, published, reference, streamlined, subspace
from benchmarks.__main__ import app
from benchmarks.result import Result
from benchmarks.table import speedup
from simatch.estimators import OnlineCCA


@pytest.fixture
def net(rng):
    """Two layers, the first local, with feedback."""
    return small.randomised(small.two_layers("local", small.structure(rng), gamma=0.3), rng)


PEERS = [published.Published.of, partial(streamlined.Streamlined.of, dtype=np.float64)]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("peer", PEERS)
def test_published_dynamics_are_those_of_the_library_step_by_step(peer, rng):
    net = small.randomised(small.two_layers("local", small.structure(rng), gamma=0.3), rng)
    x = rng.normal(size=48)
    r, steps = peer(net).settle(x)
    assert 20 < steps < 3000
    with pytest.warns(sm.ConvergenceWarning):
        out = sm.relax(net, x[None], solver=sm.Euler(check_every=steps), max_steps=steps, tolerance=1e-300)
    np.testing.assert_allclose(np.concatenate(r), reference.rows(out, net)[0], rtol=1e-10)


@pytest.mark.parametrize("peer", [published.Published.of, streamlined.Streamlined.of])
def test_published_dynamics_end_near_the_fixed_point_and_no_nearer_than_their_rule_asks(peer, net, rng):
    x = rng.normal(size=48)
    W, L = small.matrices(net)
    exact = np.concatenate(oracle.dynamics(x[None], W, L, 0.3, np.tanh), axis=1)
    r, _ = peer(net).settle(x.astype(np.float32))
    (error,) = reference.relative_error(np.concatenate(r)[None], exact)
    assert 1e-5 < error < 1e-2


def test_published_plasticity_is_equation_11(net, rng):
    peers = [peer(net) for peer in PEERS]
    W, L = small.matrices(net)
    x, r = rng.normal(size=48), [rng.uniform(-1, 1, 18), rng.uniform(-1, 1, 5)]
    c = small.structure(np.random.default_rng(0))
    exists = [w != 0 for w in W]
    dW, dL = oracle.rules(x[None], [v[None] for v in r], W, L, exists, [c[1], c[3]], 0.3, 0.05)
    for peer in peers:
        peer.learn(x, r, 0.05)
    program, fast = peers
    at = [slice(48), slice(48, 66), slice(66, None)]
    for p in range(2):
        for found in (program.weights[at[p + 1], at[p]], fast.feedforward[p].weights):
            np.testing.assert_allclose(found, W[p] + dW[p], rtol=1e-6, atol=1e-9)
        for found in (program.weights[at[p + 1], at[p + 1]], fast.lateral[p].weights):
            np.testing.assert_allclose(found, L[p] + dL[p], rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(program.weights[at[1], at[2]], program.weights[at[2], at[1]].T)


def test_streamlined_algorithm_refuses_graded_structure(rng):
    net = small.two_layers("dense", small.structure(rng, graded=True), gamma=0.0)
    with pytest.raises(ValueError, match="one structure constant"):
        streamlined.Streamlined.of(net)


def test_necessary_arithmetic_counts_multiplications_one_by_one(net):
    W, L = small.matrices(net)
    steps, count = 3, 0
    for p in range(2):
        for weight in W[p].ravel():
            # Up and down in every step where both ends move; once where the lower end is the image.
            count += (weight != 0) * (4 * steps if p == 1 else 2)
        count += sum(2 * steps for weight in L[p].ravel() if weight != 0)
    learning = 2 * sum(np.count_nonzero(m) for m in [*W, *L])
    assert arithmetic.necessary(net, steps, learning=False) == count
    assert arithmetic.necessary(net, steps, learning=True) == count + learning


def test_steps_of_several_stages_are_not_guessed(rng):
    net = small.two_layers("local", small.structure(rng), gamma=0.0)
    with pytest.raises(ValueError, match="2 stages"):
        arithmetic.necessary(net, 3, learning=True)


def test_reference_is_the_fixed_point(net, rng):
    x = rng.normal(size=(3, 48))
    exact = np.concatenate(oracle.dynamics(x, *small.matrices(net), 0.3, np.tanh), axis=1)
    np.testing.assert_allclose(reference.solution(net, x), exact, rtol=1e-6, atol=1e-8)


def test_subspace_error_between_equal_and_orthogonal(rng):
    basis = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    mixed = rng.normal(size=(3, 3)) @ basis[:3]
    assert subspace.subspace_error(mixed, basis[:3]) == pytest.approx(0, abs=1e-7)
    # |P - Q| is sqrt(6) and |P| + |Q| is 2 sqrt(3) for three dimensions against three others.
    assert subspace.subspace_error(mixed, basis[3:6]) == pytest.approx(np.sqrt(6) / (2 * np.sqrt(3)))


def test_one_row_from_end_to_end(tmp_path):
    path = tmp_path / "earlier.json"
    options = ["--only", "digits-4-trained", "--rounds", "1", "--cache", str(tmp_path / "cache")]
    done = CliRunner().invoke(app, [*options, "--json", "--out", str(path)])
    assert done.exit_code == 0, done.stderr
    content = json.loads(done.stdout)
    assert content == json.loads(path.read_text())
    (row,) = content["rows"]
    assert row["name"] == "digits-4-trained"
    assert row["synapses"] == 4 * oracle.disc(8, 8, 2, 2.0).sum() + 16 * 4 * 4
    assert row["images_per_second"] > 0
    assert row["encode_images_per_second"] > 0
    assert row["unconverged"] == 0
    assert 0 < row["error"] <= row["worst_error"] < 0.02
    assert 0 < row["share"] < 1
    assert 50 < row["memory_mb"] < 3000


def test_bad_arguments_are_refused_before_anything_runs(tmp_path):
    unknown = CliRunner().invoke(app, ["--only", "mnist-5"])
    assert unknown.exit_code == 2
    assert "mnist-5" in unknown.stderr
    damaged = tmp_path / "damaged.json"
    damaged.write_text("{")
    assert CliRunner().invoke(app, ["--only", "digits*", "--compare", str(damaged)]).exit_code == 2


def test_comparison_with_an_earlier_run():
    assert speedup(Result("a", images_per_second=100.0), Result("a", images_per_second=250.0)) == 2.5
    assert speedup(Result("a", seconds=3.0), Result("a", seconds=1.5)) == 2.0
    assert speedup(None, Result("a", seconds=1.5)) is None


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "activation", ["tanh", *(pytest.param(f, marks=pytest.mark.slow) for f in ("relu", "soft_threshold:0.1", "linear"))]
)
@pytest.mark.parametrize(
    "solver",
    [more_solvers.Anderson(), more_solvers.Coordinate(), more_solvers.Newton()],
    ids=lambda s: type(s).__name__,
)
def test_solvers_of_the_study_find_the_same_fixed_point(solver, activation, rng):
    net = small.two_layers("local", small.structure(rng), gamma=0.0, activation=activation)
    net = small.randomised(net, rng)
    x = rng.normal(size=(4, 48))
    out = sm.relax(net, x, solver=solver, tolerance=1e-9)
    exact = sm.relax(net, x, tolerance=1e-11)
    np.testing.assert_allclose(reference.rows(out, net), reference.rows(exact, net), rtol=1e-6, atol=1e-7)


def test_small_systems_solved_side_by_side(rng):
    A = rng.normal(size=(7, 4, 4))
    A, b = A @ A.transpose(0, 2, 1) + np.eye(4), rng.normal(size=(7, 4))
    x = more_solvers.solve_unrolled([[A[:, i, j] for j in range(4)] for i in range(4)], [b[:, i] for i in range(4)])
    np.testing.assert_allclose(np.stack(x, axis=1), np.linalg.solve(A, b[..., None])[..., 0], rtol=1e-9)


def test_the_family_is_judged_by_what_is_exact():
    """Errors of the exact answers are near 0, and the change of the stream changes these."""
    (x,) = family.Sources(changed=False).rows(10, np.random.default_rng(0))
    assert x.shape == (10, 10)
    unmixing = [np.linalg.inv(family.Sources(changed)._mixing).T for changed in (False, True)]
    errors = [family.Sources(changed=False).error(SimpleNamespace(components_=own)) for own in unmixing]
    assert errors[0] < 1e-3 < 1e-2 < errors[1]  # the outputs are scaled by their deviation on some rows
    x, y = family.Views(changed=False).rows(100_000, np.random.default_rng(0))
    own = OnlineCCA(4).fit(x, y)
    assert family.Views(changed=False).error(own) < 3 < 30 < family.Views(changed=True).error(own)


def test_a_method_of_the_family_is_measured(monkeypatch):
    for name, own in {"ROWS": 1000, "WARM": 500, "CALL": 500, "_reset_peak": lambda: 0.0}.items():
        monkeypatch.setattr(family, name, own)
    found = family.measured("kernel", "Nystroem, 16")
    assert found["refitted"] < 0.6 < found["changed"]
    assert found["error"] < 0.6
    assert 0 < found["seconds"] + found["again"] < found["total"]

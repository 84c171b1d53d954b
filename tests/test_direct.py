"""The direct solver against the solution of the linear system by NumPy."""

import networks
import numpy as np
import pytest

import simatch as sm


@pytest.mark.parametrize("gamma", [0.0, 0.3])
@pytest.mark.parametrize("kind", ["local", "dense"])
def test_fixed_point_solves_the_linear_system(kind, gamma, rng, x64):
    """With feedback both layers are one system: [[L1, -g W2'], [-W2, L2]] r = [W1 x, 0]."""
    net = networks.two_layers(kind, networks.structure(rng), gamma, activation="linear")
    net = networks.randomised(net, rng, lateral=0.1)
    x = rng.normal(size=(6, networks.BELOW.size))
    W, L = networks.matrices(net)
    system = np.block([[L[0], -gamma * W[1].T], [-W[1], L[1]]])
    drive = np.concatenate([W[0] @ x.T, np.zeros((5, 6))])
    out = sm.relax(net, x, solver=sm.Direct(), tolerance=1e-9)
    np.testing.assert_allclose(np.hstack(networks.rows(out, net)), np.linalg.solve(system, drive).T, rtol=1e-8)
    assert (out.steps == len(net.stages)).all()


def test_only_linear_units(rng):
    net = networks.two_layers("local", networks.structure(rng), 0.0)
    with pytest.raises(ValueError, match=r"linear units, but population 'layer1' is of kind Tanh"):
        sm.relax(net, rng.normal(size=(2, 48)), solver=sm.Direct())


def test_blocks_must_fit_in_a_matrix(rng):
    net = sm.layered(4, [sm.Layer(units=513, activation="linear")])
    with pytest.raises(ValueError, match=r"at most 512 neurons, but 513 interact"):
        sm.relax(net, rng.normal(size=(2, 4)), solver=sm.Direct())

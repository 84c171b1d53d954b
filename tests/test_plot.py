"""Drawings: what the axes hold is what was to be drawn, on axes that are given or new."""

import matplotlib.pyplot as plt
import networks
import numpy as np
import pytest

import simatch as sm
from simatch import analysis, plot


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.fixture
def net(rng):
    return networks.randomised(sm.layered(4, [sm.Layer(units=3, activation="linear")]), rng)


@pytest.fixture
def path(net, rng):
    return sm.trajectory(net, rng.normal(size=(2, 4)), steps=40, every=2)


def test_functions_draw_on_given_axes_or_on_new_ones(net, path, rng):
    x = rng.normal(size=(6, 4))
    net, reports = sm.train(net, x, batch_size=2, report_every=1, progress=False)
    drawings = (
        lambda **where: plot.mosaic(x.reshape(6, 2, 2, 1), **where),
        lambda **where: plot.similarity(analysis.similarity(x), **where),
        lambda **where: plot.activity(path, **where),
        lambda **where: plot.energy(path, **where),
        lambda **where: plot.learning(reports, **where),
        lambda **where: plot.spectrum(net, **where),
    )
    for draw in drawings:
        before = plt.get_fignums()
        _, given = plt.subplots()
        assert draw(ax=given) is given
        assert given.has_data()
        new = draw()
        assert new is not given
        assert len(plt.get_fignums()) == len(before) + 2
        new.figure.canvas.draw()
    assert "axes.prop_cycle" in plt.rcParams
    assert plt.rcParams["axes.spines.top"]  # the settings of others are as before


def test_lines_are_the_path(path):
    lines = plot.activity(path, "layer1", sample=1, most=2).lines
    assert len(lines) == 2
    for unit, line in enumerate(lines):
        np.testing.assert_array_equal(line.get_xdata(), np.arange(0, 41, 2))
        np.testing.assert_array_equal(line.get_ydata(), path["layer1"][:, 1, unit])
    for sample, line in enumerate(plot.energy(path).lines):
        np.testing.assert_array_equal(line.get_ydata(), path.energy[:, sample])


def test_costs_and_gap_are_those_of_the_reports(net, rng):
    x = rng.normal(size=(90, 4))
    _, reports = sm.train(net, x[:60], held_out=x[60:], batch_size=10, report_every=1, progress=False, tolerance=1e-5)
    lines = {line.get_label(): line.get_ydata() for line in plot.learning(reports).lines}
    measured = [r.certificate for r in reports if r.certificate]
    assert len(measured) > 1
    np.testing.assert_array_equal(lines["dual"], [c.dual for c in measured])
    np.testing.assert_array_equal(lines["primal"], [c.primal for c in measured])
    (line,) = plot.learning([r for r in reports if not r.certificate]).lines
    np.testing.assert_array_equal(line.get_ydata(), [r.cost for r in reports if not r.certificate])


def test_eigenvalues_are_those_of_numpy(rng):
    c = networks.structure(rng)
    net = networks.randomised(networks.two_layers("local", c, 0.3), rng)
    W, L = networks.matrices(net)
    # The joint curvature in the symmetric form: the lower layer has the weight 1 / gamma.
    joint = np.block([[L[0] / 0.3, -W[1].T], [-W[1], L[1]]])
    root = np.sqrt(np.r_[np.full(len(L[0]), 1 / 0.3), np.ones(len(L[1]))])
    expected = np.linalg.eigvalsh(joint / np.outer(root, root))
    np.testing.assert_allclose(analysis.curvature_eigenvalues(net).ravel(), expected, atol=1e-5)
    blocks = [np.linalg.eigvalsh(L[0][i : i + 3, i : i + 3]) for i in range(0, 18, 3)]
    np.testing.assert_allclose(analysis.curvature_eigenvalues(net, ["layer1"]), blocks, atol=1e-5)
    drawn = plot.spectrum(net, ["layer1"]).lines[0].get_ydata()
    np.testing.assert_allclose(drawn, np.sort(np.ravel(blocks))[::-1], atol=1e-5)


def test_similarities_have_the_colours_of_their_size_and_the_edges_of_classes():
    matrix = np.array([[1.0, 0.5, -0.2], [0.5, 1.0, 0.0], [-0.2, 0.0, 1.0]])
    ax = plot.similarity(matrix, np.array(["a", "a", "b"]))
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), matrix)
    assert image.get_clim() == (-0.5, 0.5)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["a", "b"]
    np.testing.assert_array_equal(ax.get_xticks(), [0.5, 2])
    assert {line.get_xdata()[0] for line in ax.lines[1::2]} == {1.5}


MISTAKES = {
    "images": (lambda net, path: plot.mosaic(np.zeros((4, 4))), r"must have shape \(count, height, width, channels\)"),
    "columns": (lambda net, path: plot.mosaic(np.zeros((1, 2, 2, 1)), columns=0), "number of columns must be a whole"),
    "labels": (lambda net, path: plot.similarity(np.eye(3), np.zeros(2)), "There are 2 labels for 3 samples"),
    "sample": (
        lambda net, path: plot.activity(path, sample=2),
        "2 samples were recorded, so that there is no sample 2",
    ),
    "reports": (lambda net, path: plot.learning([]), "There are no reports to draw"),
    "layer": (lambda net, path: plot.spectrum(net, ["input"]), "no population 'input' that relaxes"),
}


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(net, path, mistake):
    draw, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=message):
        draw(net, path)

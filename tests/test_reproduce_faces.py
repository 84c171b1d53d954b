"""The faces, on a network and on images so small that what must come out is known."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

import simatch as sm
from simatch import data as datasets
from simatch.cli import app
from simatch.learning import Course
from simatch.papers.obeid2019 import _faces as faces
from simatch.papers.obeid2019._faces_figures import closeups
from simatch.storage import _checkpoints

SMALL = faces.Setting(
    units=(2, 3),
    radii=(2.0, 2.0),
    calibration_batches=8,
    batches=25,
    feedback_batches=12,
    batch_size=10,
    tolerance=1e-3,
    held_out=20,
    faces=20,
    correlated=60,
    covered=3,
)


@pytest.fixture(scope="module", autouse=True)
def _one_program():
    """Let as many samples settle together everywhere as in learning: one program is compiled for each network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faces, "TOGETHER", SMALL.batch_size)
        yield


@pytest.fixture(scope="module")
def dataset():
    """Images of 16 by 16 that are all sums of a few smooth patterns, each symmetric from left to right."""
    rng = np.random.default_rng(0)
    patterns = np.cumsum(np.cumsum(rng.normal(size=(4, 16, 16)), 1), 2)
    patterns += patterns[:, :, ::-1]
    x = np.tensordot(rng.normal(size=(120, 4)), patterns / patterns.std((1, 2), keepdims=True), 1)
    return datasets.Dataset("lfw", (x + 0.3 * rng.normal(size=x.shape)).astype("f4")[..., None])


@pytest.fixture(scope="module")
def data(dataset):
    return faces.faces(dataset, SMALL, 0)


@pytest.fixture(scope="module")
def learned(data):
    nets = []
    for _ in SMALL.stages:
        net = faces.beginning(SMALL, nets, data, 0)
        *_, (net, _) = faces.learning(SMALL, nets, data, 0, Course(net))
        nets.append(net)
    return nets


def test_held_out_faces_are_not_learned_from(dataset, data):
    assert data.x.shape == (100, 16, 16, 1)
    assert data.x_test.shape == (20, 16, 16, 1)
    flat = np.concatenate([data.x, data.x_test]).reshape(120, -1)
    assert len(np.unique(flat, axis=0)) == 120
    np.testing.assert_allclose(data.x.mean(0), 0, atol=1e-5)
    with pytest.raises(ValueError, match="Holding 115 images out of 120"):
        faces.faces(dataset, dataclasses.replace(SMALL, held_out=115), 0)


@pytest.mark.slow
def test_stacked_layers_respond_as_each_on_the_one_below(data, learned):
    below, above, together = learned
    net = faces.stacked(SMALL, [below, above], 0.0)
    assert net.stages() == (("layer1",), ("layer2",))
    first = sm.encode(below, data.x_test, batch_size=10)
    second = sm.encode(above, first.reshape(-1, *below.populations["layer1"].grid.shape), batch_size=10)
    ours = sm.encode(net, data.x_test, layers=net.layers, batch_size=10)
    np.testing.assert_allclose(ours, np.concatenate([first, second], axis=1), atol=5e-3)
    assert together.stages() == (("layer1", "layer2"),)
    assert [p.feedback for p in together.feedforward] == [SMALL.feedback] * 2


def test_learning_goes_on_as_if_it_had_never_stopped(data, learned):
    start = faces.beginning(SMALL, learned[:1], data, 0)
    steps = faces.learning(SMALL, learned[:1], data, 0, Course(start))
    after_ten, report = next(step for step in steps if step[1].batches == 10)
    *_, (net, last) = faces.learning(SMALL, learned[:1], data, 0, Course(after_ten, [report]))
    assert last.batches == SMALL.batches
    for a, b in zip(jax.tree.leaves(net.weights), jax.tree.leaves(learned[1].weights), strict=True):
        np.testing.assert_array_equal(a, b)


def test_measures_know_what_must_be(data, learned):
    alone = faces.measure(SMALL, faces.stacked(SMALL, learned[:2], 0.0), data, 0)
    together = faces.measure(SMALL, learned[2], data, 0)
    first, second = alone.measures.values()
    assert (first.reach, second.reach) == (2, 6)
    # Nothing beyond the synapses elicits a response, but for the halves of squares between which fields are drawn.
    assert first.extent < first.reach + SMALL.square
    assert first.extent < second.extent
    assert first.level == pytest.approx(SMALL.level, abs=0.15)
    assert first.completion == 0
    assert together.measures["layer1"].completion > 0.02
    for measures in (*alone.measures.values(), *together.measures.values()):
        for name in ("alive", "saturated", "sparseness", "orientation", "oriented", "prefers_upright", "prefers_faces"):
            assert 0 <= getattr(measures, name) <= 1
        assert measures.alive > 0.5
        # What is held out is of the same kind as what was learned from, and scrambled images are not.
        assert measures.learned_from == pytest.approx(1, abs=0.3)
        assert measures.scrambled < 1


def test_features_are_zero_beyond_the_extent(data, learned):
    chosen = {"layer1": np.array([0, 37, 90]), "layer2": np.array([2])}
    extents = {"layer1": np.full(128, 0.8), "layer2": np.full(48, 99.0)}
    extents["layer1"][90] = np.nan
    found = faces.features(SMALL, learned[2], extents, data, chosen)
    assert {name: f.shape for name, f in found.items()} == {"layer1": (3, 16, 16, 1), "layer2": (1, 16, 16, 1)}
    # Unit 37 is at site (2, 2), whose centre lies between four pixels.
    expected = [[n, r, c, 0] for n, first in ((0, 0), (1, 4)) for r in (first, first + 1) for c in (first, first + 1)]
    np.testing.assert_array_equal(np.argwhere(found["layer1"]), expected)
    r = sm.encode(learned[2], data.x[: SMALL.correlated], layers=learned[2].layers, batch_size=10)[:, 128 + 2]
    expected = np.tensordot(r, data.x[: SMALL.correlated], 1) / np.abs(r).sum()
    np.testing.assert_allclose(found["layer2"][0], expected, atol=1e-3)


def test_fields_are_where_the_response_changes():
    change = np.zeros((4, 4, 2), "f4")
    change[1, 2, 0], change[0, 0, 0], change[:, :, 1] = 1.0, 0.04, 1.0
    fields = faces._fields(change, SMALL)
    assert fields.shape == (2, 16, 16)
    assert fields[1].all()
    row, column = np.argwhere(fields[0]).T
    # The square at rows 4 to 7 and columns 8 to 11, and up to nine tenths of the way to the middle of its neighbours.
    assert (row.min(), row.max(), column.min(), column.max()) == (2, 9, 6, 13)


def test_spread_takes_whole_sites():
    np.testing.assert_array_equal(faces.spread(sm.Grid(4, 4, 3), most=13), np.r_[15:18, 18:21, 27:30, 30:33])
    assert len(faces.spread(sm.Grid(1, 1, 100))) == 100


def test_a_position_and_a_correlation():
    # One neuron whose best orientation is the second, there half of the peak or more at 3 places, 2 pixels apart.
    responses = np.zeros((2, 3, 3, 1))
    responses[0, :, :, 0] = 0.3
    responses[1, 0, :, 0] = [0.5, 1.0, 0.5]
    assert faces._position(responses, 2) == pytest.approx(np.sqrt(3 * 4 / np.pi))
    a = np.array([[1.0, 1.0, 5.0], [2.0, 3.0, 5.0], [3.0, 2.0, 5.0]])
    b = np.array([[2.0, 1.0, 1.0], [4.0, 2.0, 2.0], [6.0, 3.0, 3.0]])
    assert faces._correlation(a, b) == pytest.approx((1 + 0.5 + 0) / 3)


def test_closeups_show_the_centre():
    images = np.zeros((2, 8, 8, 1), "f4")
    images[0, 1:3, 1:3], images[1, 6:8, 6:8] = 1, -1
    figure = closeups(images, np.array([[1.5, 1.5], [6.5, 6.5]]), 2.0, side=1)
    # 4 by 4 pixels, drawn as 24 by 24, and a gap of 2: the first is red in its middle, the second blue.
    canvas = np.asarray(figure.axes[0].images[0].get_array())
    first, second = canvas[6:18, 6:18], canvas[6:18, 32:44]
    assert (first[..., 0] > first[..., 2]).all()
    assert (second[..., 2] > second[..., 0]).all()


def test_command(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", lambda _: dataset)
    monkeypatch.setattr(faces, "QUICK", SMALL)
    monkeypatch.setattr(_checkpoints, "EVERY", 0.0)
    out = tmp_path / "out"
    arguments = ["reproduce", "faces", "--quick", "--json", "--out", str(out)]

    # Stopped in the middle of the second stage.
    learning = faces.learning

    def stopped(setting, below, *rest, **keywords):
        for step in learning(setting, below, *rest, **keywords):
            if len(below) == 1 and step[1].batches == 20:
                raise KeyboardInterrupt
            yield step

    monkeypatch.setattr(faces, "learning", stopped)
    assert CliRunner().invoke(app, arguments).exit_code == 130
    names = {p.name for p in (out / "rows/layer2").iterdir()}
    assert names == {".lock", "start.safetensors", "batch-0000000010.safetensors"}
    monkeypatch.setattr(faces, "learning", learning)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    assert "learning from batch 10" in result.stderr
    assert len(result.stdout.splitlines()) == 1
    numbers = json.loads(result.stdout)
    assert numbers == json.loads((out / "results.json").read_text())
    assert list(numbers["networks"]) == ["before learning", "no feedback", "feedback 0.1"]
    assert (out / "index.html").read_text().count("<img") == 4
    # Everything that was learned is kept, and settings that differ are refused.
    again = CliRunner().invoke(app, [*arguments[:3], "--out", str(out)])
    assert again.exit_code == 0, again.stderr
    assert "learning" not in again.stderr.replace("before learning", "")
    other = CliRunner().invoke(app, [*arguments[:3], "--out", str(out), "--seed", "1"])
    assert other.exit_code == 2
    assert "seed" in other.stderr

"""Figures and pages of one tiny run."""

import base64
import re
import struct

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb

import simatch as sm
from simatch import analysis, report


@pytest.fixture(scope="module")
def story():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 60)
    x = rng.normal(size=(60, 4, 4, 1)).astype("f4") + 2 * np.eye(3, 16)[labels].reshape(60, 4, 4, 1).astype("f4")
    net = sm.layered(sm.Grid(4, 4), [sm.Layer(units=2, stride=2, radius=1.5), sm.Layer(units=3)], feedback=0.2)
    history = [(0, sm.certificate(net, x))]

    def observe(net, report):
        history.append((report.samples, sm.certificate(net, x)))

    net, reports = sm.train(net, x, batch_size=5, report_every=4, observe=observe, progress=False)
    return report.Story.of(net, reports, history, x, labels, ("a", "b", "c"))


def size_of(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG")
    return struct.unpack(">II", png[16:24])


def test_story(story):
    assert list(story.matrices) == ["Input", "Layer 1", "Layer 2"]
    assert [m.shape for m in story.features.values()] == [(8, 2, 2, 1), (3, 4, 4, 1)]
    assert list(story.labels) == sorted(story.labels)
    assert story.contrast()["Input"] > 0


def test_classes_with_names_that_look_like_numbers(rng):
    net = sm.layered(sm.Grid(2, 2), [sm.Layer(units=2)])
    x, labels = rng.normal(size=(12, 2, 2, 1)).astype("f4"), np.arange(12) % 3
    history = [(n, sm.certificate(net, x)) for n in (0, 12)]
    net, reports = sm.train(net, x, batch_size=5, progress=False)
    for classes in (("²", "3", "4"), ("1", "9" * 30, "2"), ("10", "2", "1")):
        story = report.Story.of(net, reports, history, x, labels, classes)
        assert {str(name) for name in story.labels} == set(classes)


def test_figures_have_axes_with_names(story):
    for figure in story.figures():
        assert min(size_of(figure.render("png"))) > 300
        for ax in figure.drawing.axes:
            assert ax.get_title(loc="left") or ax.get_ylabel()
    assert min(size_of(report.Figure("all", story.overview(), "").render("png"))) > 600


def test_costs_close_on_the_page(story):
    cost, distance, *_ = story.figures()[2].drawing.axes
    lines = {line.get_label(): line.get_xydata() for line in cost.lines}
    for kind in ("primal", "dual"):
        np.testing.assert_allclose(lines[kind], [(n, getattr(c, kind)) for n, c in story.history if n])
    below, above = cost.get_ylim()
    assert all(below < value < above for value in (*lines["primal"][:, 1], lines["dual"][-1, 1]))
    np.testing.assert_allclose(distance.lines[0].get_ydata(), [c.distance for n, c in story.history if n])
    assert f"{story.history[-1][1].distance:.2g} at the end" in distance.get_title(loc="left")


def test_weights_are_white_at_zero_and_missing_ones_grey():
    features = np.array([[1.0, 0.0], [-1.0, 0.5]], "f4").reshape(1, 2, 2, 1)
    canvas = report.mosaic({"": features}).axes[0].images[0].get_array()
    half = len(canvas) // 2
    red, missing, blue = canvas[0, 0], canvas[0, -1], canvas[-1, 0]
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert np.ptp(missing) < 0.05
    assert canvas[half, half].shape == (3,)


def test_weights_on_colours_are_shown_around_mid_grey():
    """The largest weight is full colour or none, whatever its size; 0 in two of three channels stays mid grey there."""
    images = np.zeros((2, 1, 3, 3), "f4")
    images[0, 0] = [[10, 0, 0], [0, 0, -5], [0, 0, 0]]
    images[1, 0, 0] = [-1e-3, -1e-3, -1e-3]
    canvas = report.mosaic({"": images}, columns=2).axes[0].images[0].get_array()
    width = 24 // 3 * 3
    red, yellow, missing, black = canvas[0, 0], canvas[0, width // 2], canvas[0, width - 1], canvas[0, -width]
    np.testing.assert_allclose(red, [1, 0.5, 0.5])
    np.testing.assert_allclose(yellow, [0.5, 0.5, 0.25])
    np.testing.assert_allclose(missing, to_rgb(report.MISSING))
    np.testing.assert_allclose(black, 0)


def test_small_receptive_fields_are_cut_out():
    x = np.random.default_rng(0).normal(size=(20, 12, 10, 1)).astype("f4")
    net = sm.layered(sm.Grid(12, 10), [sm.Layer(units=1, stride=2, radius=2.0)])
    net, reports = sm.train(net, x, batch_size=10, progress=False)
    found = sm.certificate(net, x)
    (images,) = report.Story.of(net, reports, [(0, found), (20, found)], x).features.values()
    whole = analysis.receptive_fields(net.feedforward[0])
    size = max(np.ptp(np.nonzero(field)[0]) + 1 for field in whole)
    assert images.shape == (30, size, size, 1)
    assert size < 6
    for cut, field in zip(images, whole, strict=True):
        np.testing.assert_array_equal(cut[cut != 0], field[field != 0])


@pytest.mark.parametrize(("channels", "words"), [(1, "red: positive"), (2, "mean of 2"), (3, "brightens its colour")])
def test_the_note_tells_how_to_read_the_colours(channels, words):
    x = np.random.default_rng(0).normal(size=(30, 4, 4, channels)).astype("f4")
    net = sm.layered(sm.Grid(4, 4, channels), [sm.Layer(units=2)])
    net, reports = sm.train(net, x, batch_size=10, progress=False)
    found = sm.certificate(net, x)
    story = report.Story.of(net, reports, [(0, found), (30, found)], x)
    assert words in story.figures()[0].drawing.get_supxlabel()


def test_similarities_share_one_scale():
    matrices = {"a": np.eye(4, dtype="f4"), "b": np.full((4, 4), -0.5, "f4")}
    axes = report.similarity_matrices(matrices, np.array([0, 0, 1, 1])).axes[:2]
    assert {ax.images[0].get_clim() for ax in axes} == {(-0.5, 0.5)}
    assert [t.get_text() for t in axes[0].get_xticklabels()] == ["0", "1"]


def test_page_is_self_contained(story, tmp_path):
    page = report.Page(
        title="A <title>",
        lead="What came out.",
        columns=("layer", "error"),
        rows=[("Layer 1", "3 %")],
        tables=[report.Table("Others", ("", "error"), [("k-means", "4 %")])],
        figures=story.figures(),
        settings={"seed": 0},
        provenance=report.provenance("simatch demo"),
    )
    path = report.write_page(page, tmp_path)
    text = path.read_text()
    assert "A &lt;title&gt;" in text
    assert "simatch demo" in text
    assert re.findall(r"<td>(.*)</td><td>(.*)</td>", text)[:2] == [("Layer 1", "3\u00a0%"), ("k-means", "4\u00a0%")]
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    assert not re.search(r"https?://|<script|@import|url\(", re.sub(r"base64,[^\"]*", "", text))
    embedded = [base64.b64decode(code) for code in re.findall(r"base64,([^\"]*)", text)]
    assert [e[:4] for e in embedded] == [b"\x89PNG", b"\x89PNG", b"<?xm"]
    assert {p.name for p in tmp_path.iterdir()} == {"index.html", "features.png", "similarities.png", "learning.png"}


def test_figures_repeat(story):
    figure = story.figures()[2]
    assert figure.render("svg") == story.figures()[2].render("svg")


@pytest.mark.parametrize("names", [["$0_$10", "$10_$20"], ["a\\frac", "100 %"], ["²", "#&{"]])
def test_the_user_s_words_and_settings_do_not_break_figures(names):
    """Names of classes are no mathematics, and a user's LaTeX is not needed."""
    matrices = {"a": np.eye(4, dtype="f4")}
    with mpl.rc_context({"text.usetex": True, "font.family": "none such"}):
        drawing = report.similarity_matrices(matrices, np.repeat(names, 2))
        content = report.Figure("name", drawing, "").render("png")
    assert size_of(content) == size_of(
        report.Figure("name", report.similarity_matrices(matrices, np.repeat(names, 2)), "").render("png")
    )
    assert [t.get_text() for t in drawing.axes[0].get_xticklabels()] == sorted(names)

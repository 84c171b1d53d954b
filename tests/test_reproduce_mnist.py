"""The table of the paper on a tiny MNIST: what is written, going on after a break, and what is refused."""

import contextlib
import dataclasses
import itertools
import json
import tracemalloc

import numpy as np
import pytest
from typer.testing import CliRunner

from simatch.cli import app
from simatch.data import load_dataset
from simatch.papers.obeid2019 import _mnist as table
from simatch.papers.obeid2019._mnist_figures import error_by_units
from simatch.storage import RunFolder, _checkpoints, load

SAMPLES = 2000
QUICK = ["--quick", "--samples", str(SAMPLES)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three kinds of noisy 4 by 4 images, in the file and the layout of MNIST."""
    rng = np.random.default_rng(0)
    kinds = rng.random((3, 4, 4)) > 0.5

    def part(count):
        y = rng.integers(3, size=count)
        return (255 * np.clip(kinds[y] * 0.6 + 0.25 * rng.random((count, 4, 4)), 0, 1)).astype(np.uint8), y

    folder = tmp_path_factory.mktemp("data")
    (x_train, y_train), (x_test, y_test) = part(600), part(200)
    np.savez(folder / "mnist.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return folder


@pytest.fixture(autouse=True)
def _use(data, monkeypatch, tmp_path):
    monkeypatch.setenv("SIMATCH_DATA", str(data))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def reproduce(*arguments: str):
    return CliRunner().invoke(app, ["reproduce", "mnist", *arguments])


def rows_of(result):
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])["rows"]


def test_quick_writes_page_figure_and_numbers(tmp_path):
    out = tmp_path / "out"
    result = reproduce(*QUICK, "--json", "--out", str(out))
    (row,) = rows_of(result)
    assert len(result.stdout.splitlines()) == 1
    assert row["units"] == 4
    assert row["published_percent"] == 3.87
    assert row["test_error_percent"] < 5
    assert row["seconds"] == pytest.approx(sum(row[f"{p}_seconds"] for p in ("learning", "encoding", "readout")))
    assert row["seeds"][0]["suboptimality"] <= 1e-4
    assert json.loads((out / "results.json").read_text()) == json.loads(result.stdout)
    assert (out / "errors.png").is_file()
    page = (out / "index.html").read_text()
    for words in ("3.87\u00a0%", "standard test set", "Not computed here: NPS 8, 16", "batch size", "peak memory"):
        assert words in page


@pytest.mark.parametrize("reports", [1, 2], ids=["while learning", "before the readout"])
def test_a_row_goes_on_where_it_was_stopped_to_the_same_bit(tmp_path, reports):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert reproduce(*QUICK, "--out", str(whole)).exit_code == 0
    with stopping_after(reports):
        stopped = reproduce(*QUICK, "--out", str(parts))
    assert stopped.exit_code == 130
    assert "The same command goes on" in stopped.stderr
    kept = [f"batch-{batches:010d}.safetensors" for batches in (10, 20)[:reports]]
    assert {p.name for p in (parts / "rows/nps4-seed0").iterdir()} == {".lock", "start.safetensors", *kept}

    result = reproduce(*QUICK, "--out", str(parts))
    assert result.exit_code == 0, result.stderr
    assert f"from batch {10 * reports}" in result.stderr
    names = {".lock", "nps4-seed0.json", "nps4-seed0.safetensors"}
    assert {p.name for p in (parts / "rows").iterdir()} == names
    weights, again = (load(out / "rows/nps4-seed0.safetensors").feedforward[0].to_dense() for out in (whole, parts))
    np.testing.assert_array_equal(weights, again)
    rows = [json.loads((out / "rows/nps4-seed0.json").read_text()) for out in (whole, parts)]
    for key in ("test_error_percent", "train_error_percent", "batches", "saturated", "silent", "suboptimality"):
        assert rows[0][key] == rows[1][key]


@contextlib.contextmanager
def stopping_after(reports: int):
    """Ctrl-C after so many reports, each of them kept."""
    learning = table.learning

    def interrupted(*arguments, **options):
        yield from itertools.islice(learning(*arguments, **options), reports)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_checkpoints, "EVERY", 0.0)
        patch.setattr(table, "learning", interrupted)
        yield


def test_finished_rows_are_kept_and_others_added(tmp_path):
    out = tmp_path / "out"
    first = rows_of(reproduce(*QUICK, "--json", "--out", str(out)))
    with stopping_after(0):  # nothing is left to learn, so that nothing is stopped
        assert rows_of(reproduce(*QUICK, "--json", "--out", str(out))) == first
    # A row that was not published, as if another command had put it there.
    with RunFolder.open(out, dataclasses.asdict(table.Setting(samples=SAMPLES)), overwrite=False) as kept:
        kept.finish("nps3-seed0", {**first[0]["seeds"][0], "units": 3}, kept.network("nps4-seed0"))
    rows = rows_of(reproduce(*QUICK, "--units", "4", "--seeds", "2", "--json", "--out", str(out)))
    assert [row["units"] for row in rows] == [3, 4]
    assert [[seed["seed"] for seed in row["seeds"]] for row in rows] == [[0], [0, 1]]
    assert rows[1]["seeds"][0] == first[0]["seeds"][0]
    errors = [seed["test_error_percent"] for seed in rows[1]["seeds"]]
    assert rows[1]["test_error_percent"] == pytest.approx(np.mean(errors))
    assert rows[0]["published_percent"] is None
    assert rows[0]["difference_percent"] is None


def test_other_settings_are_refused_until_overwritten(tmp_path):
    out = tmp_path / "out"
    assert reproduce(*QUICK, "--out", str(out)).exit_code == 0
    for option, words in ((["--split", "random"], "split 'standard', not 'random'"), (["--samples", "900"], "2000")):
        result = reproduce(*QUICK, *option, "--out", str(out))
        assert result.exit_code == 2
        assert words in result.stderr
        assert "--overwrite" in result.stderr
    result = reproduce(*QUICK, "--split", "random", "--overwrite", "--json", "--out", str(out))
    assert len(rows_of(result)) == 1
    assert "drawn at random" in (out / "index.html").read_text()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    result = reproduce(*QUICK, "--out", str(tmp_path))
    assert result.exit_code == 2
    assert "not empty" in result.stderr


def test_a_damaged_row_is_told(tmp_path):
    assert reproduce(*QUICK, "--out", "out").exit_code == 0
    (tmp_path / "out/rows/nps4-seed0.json").write_text("{")
    result = reproduce(*QUICK, "--out", "out")
    assert result.exit_code == 2
    assert "damaged" in result.stderr


def test_without_a_folder_the_same_settings_meet_again(tmp_path):
    assert reproduce(*QUICK).exit_code == 0
    assert "learning" not in reproduce(*QUICK).stderr
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["mnist-table-quick"]


def test_a_random_split_is_of_all_images_and_its_seeds(data):
    dataset = load_dataset("mnist")
    parts = [table.images(dataset, table.Setting(split="random"), seed) for seed in (0, 0, 1)]
    assert (len(parts[0].x), len(parts[0].x_test)) == (600, 200)
    np.testing.assert_array_equal(parts[0].x_test, parts[1].x_test)
    assert not np.array_equal(parts[0].x_test, parts[2].x_test)
    every = np.concatenate([parts[0].x, parts[0].x_test])
    standard = table.images(dataset, table.Setting(), 0)
    assert every.mean() == pytest.approx(np.concatenate([standard.x, standard.x_test]).mean(), abs=1e-6)
    np.testing.assert_allclose(every.mean(axis=(1, 2, 3)), 0, atol=1e-6)


def test_features_are_written_into_one_array(data):
    """Encoding takes the features' own memory and a fraction of it; `test_readout` watches the readout."""
    setting = table.Setting()
    part = table.images(load_dataset("mnist"), setting, 0)
    network = table.untrained(setting, 100, 0, part)
    x = np.repeat(part.x, 50, axis=0)
    told = []
    table._features(setting, network, x[:5000], told.append)  # what is compiled is not counted
    tracemalloc.start()
    features = table._features(setting, network, x, told.append)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert features.shape == (30_000, 2 * 2 * 100)
    assert features.nbytes < peak < 1.75 * features.nbytes
    assert told == [5000, 5000, 10_000, 15_000, 20_000, 25_000, 30_000]
    np.testing.assert_array_equal(features[0], features[49])


def test_the_published_table_is_drawn_whole():
    figure = error_by_units({4: [3.1, 3.3], 200: [1.0]}, table.PUBLISHED)
    ax = figure.axes[0]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["4", "8", "16", "32", "64", "100", "200"]
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [3.2, 1.0])

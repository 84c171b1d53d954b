"""Folders of runs: rows, drafts, locks; what is left when a run fails, is refused, or dies at any moment."""

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import simatch as sm
from simatch.storage import RunFolder, draft, manifest_of

SETTINGS = {"rate": 0.1, "layers": [1, 2]}


def layered():
    return sm.layered(4, [sm.Layer(units=2, activation="linear")])


def contents(folder):
    """Every file of a folder with its bytes, except locks."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


# --- rows


def test_rows_stay_and_other_settings_are_refused(tmp_path):
    with RunFolder.open(tmp_path, SETTINGS, overwrite=False) as kept:
        kept.finish("b", {"error": 1.5}, layered())
        kept.finish("a", {"error": np.float64("nan")}, layered())
    with RunFolder.open(tmp_path, {**SETTINGS, "layers": (1, 2)}, overwrite=False) as kept:
        assert kept.rows() == [{"error": None}, {"error": 1.5}]
        assert kept.finished("b") == {"error": 1.5}
        assert kept.finished("c") is None
        assert kept.network("a").synapses == layered().synapses
    with (
        pytest.raises(ValueError, match=r"rate 0.1, not 0.2; give --out"),
        RunFolder.open(tmp_path, {"rate": 0.2}, overwrite=False),
    ):
        pass


def test_overwriting_deletes_rows_and_nothing_else(tmp_path):
    with RunFolder.open(tmp_path, SETTINGS, overwrite=False) as kept:
        kept.finish("a", {"error": 1.5}, layered())
    mine = {"notes.json": '{"mine": 1}', "mine.safetensors": "precious", "list.json": "[1]"}
    for name, text in mine.items():
        (tmp_path / "rows" / name).write_text(text)
    (tmp_path / "rows/work").mkdir()
    (tmp_path / "rows/work/thesis.txt").write_text("precious")
    with RunFolder.open(tmp_path, {"rate": 0.2}, overwrite=True) as kept:
        assert kept.rows() == []
    left = {p.name for p in (tmp_path / "rows").iterdir()} - {".lock"}
    assert left == {*mine, "work"}
    assert (tmp_path / "rows/work/thesis.txt").is_file()


def test_rows_behind_a_link_are_left_alone(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.json").write_text("{}")
    out = tmp_path / "out"
    out.mkdir()
    (out / "rows").symlink_to(tmp_path / "elsewhere")
    with (
        pytest.raises(ValueError, match="is a link"),
        RunFolder.open(out, SETTINGS, overwrite=True),
    ):
        pass
    assert (tmp_path / "elsewhere/a.json").is_file()


def test_overwriting_goes_on_with_an_interrupted_run_but_begins_a_finished_one_anew(tmp_path):
    with contextlib.suppress(KeyboardInterrupt), RunFolder.open(tmp_path, SETTINGS, overwrite=True) as kept:
        kept.finish("a", {"error": 1.5}, layered())
        raise KeyboardInterrupt
    with RunFolder.open(tmp_path, SETTINGS, overwrite=True) as kept:
        assert len(kept.rows()) == 1
    with RunFolder.open(tmp_path, SETTINGS, overwrite=True) as kept:
        assert kept.rows() == []


def test_a_run_that_died_before_its_folder_was_complete_is_no_obstacle(tmp_path):
    for before in ([], ["rows"], ["rows", ".settings.json.0123"]):
        out = tmp_path / str(len(before))
        out.mkdir()
        for name in before:
            (out / name).touch() if name.startswith(".") else None
        (out / "settings.json").write_text(json.dumps({"format": "simatch-rows-1", **SETTINGS}))
        with RunFolder.open(out, SETTINGS, overwrite=False) as kept:
            assert kept.rows() == []


def test_two_runs_in_one_folder_are_refused(tmp_path):
    with (
        RunFolder.open(tmp_path / "rows", SETTINGS, overwrite=False),
        pytest.raises(ValueError, match="Another run is working in the folder"),
        RunFolder.open(tmp_path / "rows", SETTINGS, overwrite=True),
    ):
        pass
    with draft(tmp_path / "run", "run", SETTINGS, overwrite=False):
        before = contents(tmp_path / "run")
        with (
            pytest.raises(ValueError, match="Another run is working"),
            draft(tmp_path / "run", "run", SETTINGS, overwrite=True),
        ):
            pass
        assert contents(tmp_path / "run") == before


# --- drafts


def finish(out, settings=SETTINGS, *, overwrite=False, text="new", extra=()):
    with draft(out, "run", settings, overwrite=overwrite) as own:
        for name in ("results.json", "page.html", *extra):
            (own.folder / name).write_text(text)
        own.publish("kind", {"more": 1})


def test_results_come_with_a_manifest(tmp_path):
    finish(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"results.json", "page.html", "run.json"}
    manifest = manifest_of(tmp_path)
    assert (manifest["kind"], manifest["settings"], manifest["more"]) == ("kind", SETTINGS, 1)
    (tmp_path / "page.html").write_text("edited")
    manifest_of(tmp_path)
    (tmp_path / "results.json").write_text("edited")
    with pytest.raises(ValueError, match=r"results.json' is missing, or is not the one that its run wrote"):
        manifest_of(tmp_path)
    (tmp_path / "run.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"run.json' is damaged"):
        manifest_of(tmp_path)
    with pytest.raises(FileNotFoundError, match="is not the folder of a run"):
        manifest_of(tmp_path / "none")


def fail(path, error):
    path.write_text("half")
    raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_a_failed_run_leaves_the_folder_as_it_was(tmp_path, error):
    finish(tmp_path / "run", text="old")
    before = contents(tmp_path)
    for out in (tmp_path / "run", tmp_path / "none"):
        with pytest.raises(error), draft(out, "run", {"rate": 0.2}, overwrite=True) as own:
            fail(own.folder / "results.json", error)
    assert contents(tmp_path) == before
    assert not (tmp_path / "none").exists()
    with (
        pytest.raises(ValueError, match="is not empty; give --out another one"),
        draft(tmp_path / "run", "run", {"rate": 0.2}, overwrite=False),
    ):
        pass
    assert contents(tmp_path) == before


def interrupt(out, settings, *, overwrite=False):
    with contextlib.suppress(KeyboardInterrupt), draft(out, "run", settings, overwrite=overwrite) as own:
        (own.work / "checkpoints").mkdir()
        (own.work / "checkpoints/batch").write_text("learned")
        raise KeyboardInterrupt


def test_an_interrupted_run_goes_on_and_earlier_results_stay_until_then(tmp_path):
    finish(tmp_path, text="old", extra=["old.png"])
    interrupt(tmp_path, {"rate": 0.2}, overwrite=True)
    assert (tmp_path / "results.json").read_text() == "old"
    with (
        pytest.raises(ValueError, match=r"interrupted run with other settings \(rate\)"),
        draft(tmp_path, "run", {"rate": 0.3}, overwrite=False),
    ):
        pass
    with draft(tmp_path, "run", {"rate": 0.2}, overwrite=True) as own:
        assert own.begun
        (own.folder / "results.json").write_text("new")
        own.publish("kind")
    # What the earlier run wrote and this one did not is gone, so that results of two runs are never mixed.
    assert {p.name for p in tmp_path.iterdir()} == {"results.json", "run.json"}
    assert (tmp_path / "results.json").read_text() == "new"


def test_other_files_stay(tmp_path):
    finish(tmp_path, text="old", extra=["figure.png"])
    (tmp_path / "mine.txt").write_text("precious")
    (tmp_path / "figure.png").write_text("drawn again by hand")
    finish(tmp_path, {"rate": 0.2}, overwrite=True)
    assert (tmp_path / "mine.txt").read_text() == "precious"
    assert (tmp_path / "figure.png").read_text() == "drawn again by hand"


def test_giving_an_interrupted_run_up(tmp_path):
    interrupt(tmp_path, {"rate": 0.2})
    with draft(tmp_path, "run", SETTINGS, overwrite=True) as own:
        assert not own.begun


def test_a_finished_run_is_found_again(tmp_path):
    finish(tmp_path)
    with draft(tmp_path, "run", SETTINGS, overwrite=False) as own:
        assert own.published
    with draft(tmp_path, "run", SETTINGS, overwrite=True) as own:
        assert not own.published


def test_numbered_folders(tmp_path, monkeypatch):
    """The same settings meet their interrupted run again; otherwise every run has a new folder."""
    monkeypatch.chdir(tmp_path)
    finish(None)
    interrupt(None, {"rate": 0.2})
    finish(None)
    with draft(None, "run", {"rate": 0.2}, overwrite=False) as own:
        assert (own.out.name, own.begun) == ("run-2", True)
        with draft(None, "run", {"rate": 0.2}, overwrite=False) as other:
            assert other.out.name == "run-4"
    assert sorted(path.name for path in Path("runs").iterdir()) == ["run-1", "run-2", "run-3"]


def test_death_at_any_moment_of_publishing(tmp_path, monkeypatch):
    """Every change of a file is a moment at which the process can die; the next run completes what is left."""
    finish(tmp_path / "whole", text="old", extra=["old.png"])
    finish(tmp_path / "whole", {"rate": 0.2}, overwrite=True)
    expected = contents(tmp_path / "whole")

    class Death(BaseException):
        pass

    for moment in range(100):
        out = tmp_path / f"moment-{moment}"
        finish(out, text="old", extra=["old.png"])
        left = moment

        def dying(method):
            def changed(*arguments, **options):
                nonlocal left
                left -= 1
                if left < 0:
                    raise Death
                return method(*arguments, **options)

            return changed

        with monkeypatch.context() as patch:
            for name in ("rename", "replace", "unlink", "mkdir"):
                patch.setattr(Path, name, dying(getattr(Path, name)))
            patch.setattr(shutil, "rmtree", dying(shutil.rmtree))
            died = True
            with contextlib.suppress(Death):
                finish(out, {"rate": 0.2}, overwrite=True)
                died = False
        # A reader sees the old results or the new ones, or is told.
        with contextlib.suppress(ValueError, FileNotFoundError):
            assert manifest_of(out)["settings"] in (SETTINGS, {"rate": 0.2})
        with draft(out, "run", {"rate": 0.2}, overwrite=True) as own:
            if not own.published:
                for name in ("results.json", "page.html"):
                    (own.folder / name).write_text("new")
                own.publish("kind", {"more": 1})
        assert contents(out) == expected
        if not died:
            break
    assert 8 < moment < 99

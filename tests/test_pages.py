"""The pages tell the truth: their Python runs, their commands exist, their links lead somewhere."""

import contextlib
import importlib.util
import re
import subprocess
import sys

import numpy as np
import pytest
import typer
from pages import PAGES, ROOT, blocks, commands
from sklearn.datasets import load_digits

from simatch.cli import app

click = typer._click.exceptions  # typer has a copy of its own

# Pages whose Python runs in every test; `make snippets` runs all.
QUICK = ("README.md", "docs/start/install.md")


def _all_or_slow(page):
    return pytest.param(page, marks=() if page in QUICK else pytest.mark.slow)


@pytest.mark.parametrize(
    "page", [_all_or_slow(page) for page in PAGES if blocks(page, "python") and "/tutorials/" not in page]
)
def test_python_runs(page, tmp_path, monkeypatch, untyped):
    """All blocks of a page run, one after the other, in an empty folder and with warnings as errors."""
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "page"}
    for block in blocks(page, "python"):
        if block.runs:
            block.run(namespace)
    if page == "README.md":
        x, net, layers = namespace["x"], namespace["net"], namespace["layers"]
        assert len(layers) == len(namespace["out"].activities)
        assert net.feedforward[0].to_dense().shape == (64, 64)
        assert net.lateral[1].to_dense().shape == (16, 16)
        assert namespace["features"].shape == (len(x), 16)


@pytest.mark.slow
def test_the_first_network_from_the_command_line(tmp_path):
    """The commands of the first page run as they stand, each in a process of its own."""
    page = "docs/start/first.md"
    with contextlib.chdir(tmp_path):
        digits = load_digits()
        blocks(page, "python")[-1].run({"np": np, "digits": digits, "y": digits.target})  # writes the files
    ran = [words for words in commands(page) if words[0] == "simatch" and len(words) > 2]
    for words in ran:
        subprocess.run([sys.executable, "-m", *words], cwd=tmp_path, check=True, capture_output=True)  # noqa: S603
    assert len(ran) >= 4
    assert (tmp_path / "run0" / "network.safetensors").exists()
    assert (tmp_path / "run1" / "index.html").exists()
    assert np.load(tmp_path / "features.npz")["x_train"].shape[0] == 1200


def test_what_is_not_run_is_little():
    """Few blocks are left out, and each says why."""
    left_out = [block for page in PAGES for block in blocks(page, "python") if block.kind == "not run"]
    assert len(left_out) <= 6, [(block.page, block.line, block.what) for block in left_out]
    assert sum(len(blocks(page, "python")) for page in PAGES) >= 40


def _parse(words):
    """Parse a command of the library as the shell would, without running it."""
    command = typer.main.get_command(app)
    context = command.make_context("simatch", list(words[1:]))
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, list(rest), parent=context)


def _exists(words):
    if words[0] == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        targets = [word for word in words[1:] if "=" not in word]
        return all(re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE) for target in targets)
    if words[1:2] == ["-m"]:
        return importlib.util.find_spec(words[2]) is not None
    return True


@pytest.mark.parametrize("page", [page for page in PAGES if list(commands(page))])
def test_commands_parse(page, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    for words in commands(page):
        if words[0] != "simatch" or {"--help", "--version"} & set(words):
            assert _exists(words), " ".join(words)
            continue
        with contextlib.suppress(click.MissingParameter) if len(words) <= 3 else contextlib.nullcontext():
            _parse(words)


def test_a_wrong_command_is_seen():
    with pytest.raises(click.UsageError):
        _parse(["simatch", "train", "digits", "--unitz", "4"])
    assert not _exists(["make", "nonsense"])
    assert not _exists(["python", "-m", "benchmarks.nonsense"])


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(page):
    """Those of other pages are checked when the site is built."""
    text = PAGES[page].read_text(encoding="utf-8")
    paths = re.findall(r"\]\(((?!https?:)[^)#]+)", text)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []

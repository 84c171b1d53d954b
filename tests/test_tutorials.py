"""Tutorials run from top to bottom, and their notebooks and pages are those of the scripts."""

import ast
import json
import re
import runpy
import sys
import tomllib
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "tutorials"
SCRIPTS = sorted(FOLDER.glob("[!_]*.py"))
QUICK = ("credit",)


def cells(script):
    """Cells of a script in Jupytext's percent format: whether each is of code, and its text."""
    for part in re.split(r"^# %%", script.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        kind, _, text = part.partition("\n")
        text = text.strip("\n")
        if "markdown" in kind:
            text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in text.splitlines())
        yield "markdown" not in kind, text


@pytest.mark.parametrize(
    "script",
    [pytest.param(own, marks=[] if own.stem in QUICK else pytest.mark.slow, id=own.stem) for own in SCRIPTS],
)
def test_a_tutorial_runs(script, monkeypatch):
    figures = []
    monkeypatch.setattr(plt, "show", lambda: figures.extend(plt.get_fignums()) or plt.close("all"))
    with plt.rc_context():  # tutorials set a style
        runpy.run_path(str(script))
    assert figures
    assert not plt.get_fignums()  # every figure is shown


def test_extra_names_what_makes_the_pages():
    """What ``_build.py`` imports, and the kernel that it starts."""
    tree = ast.parse((FOLDER / "_build.py").read_text(encoding="utf-8"))
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    project = tomllib.loads((FOLDER.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra = {re.match(r"[\w-]+", line)[0] for line in project["optional-dependencies"]["tutorials"]}
    assert extra == {"simatch", "ipykernel"} | named - sys.stdlib_module_names


def test_there_are_tutorials():
    assert len(SCRIPTS) >= 8


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_notebook_and_page_are_those_of_the_script(script):
    """After an edit, ``make tutorials`` makes both anew."""
    wanted = list(cells(script))
    notebook = json.loads(script.with_suffix(".ipynb").read_text(encoding="utf-8"))
    made = [(cell["cell_type"] == "code", "".join(cell["source"])) for cell in notebook["cells"]]
    assert made == wanted
    assert not any(cell.get("outputs") for cell in notebook["cells"])
    page = script.with_suffix(".md").read_text(encoding="utf-8")
    assert all(text in page for code, text in wanted if code)
    figures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", page)
    assert figures
    assert all((FOLDER / figure).stat().st_size < 200_000 for figure in figures)

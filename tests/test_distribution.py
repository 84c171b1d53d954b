"""Wheel and source distribution hold what they must, and nothing else; both are built offline."""

import email
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)  # noqa: S603
    return folder


@pytest.fixture
def wheel(built):
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as file:
        yield file


@pytest.fixture
def source(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as file:
        yield {name.partition("/")[2] for name in file.getnames()}


def _tracked(folder):
    """Files of a folder that belong to the project."""
    return {
        str(path.relative_to(ROOT))
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_wheel_has_the_package_and_nothing_else(wheel):
    inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert inside == {name.removeprefix("src/") for name in _tracked("src")}
    assert {"simatch/py.typed", "simatch/__main__.py"} < inside
    assert any(name.endswith("/licenses/LICENSE") for name in wheel.namelist())


def test_source_has_what_tests_and_pages_need(source):
    for folder in ("src", "tests", "benchmarks", "docs"):
        assert _tracked(folder) <= source, _tracked(folder) - source
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "CITATION.cff"} <= source
    assert {"Makefile", "mkdocs.yml", "conftest.py", "requirements.lock", "pyproject.toml"} <= source
    assert not {name for name in source if name.startswith((".git/", "site/", "runs/", ".venv/"))}


def test_metadata(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
    metadata = email.message_from_bytes(wheel.read(name))
    assert metadata["Version"] == PROJECT["version"]
    assert metadata["License-Expression"] == "MIT"
    assert set(metadata.get_all("Provides-Extra")) == set(PROJECT["optional-dependencies"])
    text = metadata.get_payload()
    assert "# simatch" in text
    # On a package index, links into the repository would lead nowhere.
    assert re.findall(r"\]\((?!https://)[^)]*\)", text) == []
    (name,) = (name for name in wheel.namelist() if name.endswith("/entry_points.txt"))
    assert b"simatch = simatch.__main__:main" in wheel.read(name)


def test_one_version_everywhere():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {PROJECT['version']}\n" in citation
    assert f"version = {{{PROJECT['version']}}}" in (ROOT / "docs/reference/citing.md").read_text(encoding="utf-8")
    least = PROJECT["requires-python"].removeprefix(">=")
    assert f"Programming Language :: Python :: {least}" in PROJECT["classifiers"]

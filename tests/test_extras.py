"""The core works alone, and each feature that needs more says in one sentence how to get it."""

import importlib.metadata
import itertools
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from simatch._extras import Feature, MissingPackageError
from simatch.console import reported

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
OWNERS = importlib.metadata.packages_distributions()


def named(requirements):
    """Names of the packages that these lines ask for here, without extras."""
    parsed = map(Requirement, requirements)
    return {canonicalize_name(r.name) for r in parsed if not r.marker or r.marker.evaluate({"extra": ""})}


def core():
    """Names of the core's packages, and of all that these need."""
    found, waiting = {"simatch"}, named(PROJECT["dependencies"])
    while waiting:
        name = waiting.pop()
        found.add(name)
        needed = map(Requirement, importlib.metadata.requires(name) or [])
        waiting |= {
            canonicalize_name(r.name) for r in needed if not r.marker or r.marker.evaluate({"extra": ""})
        } - found
    return found


def modules(packages):
    """Modules that these packages install."""
    return {module for module, names in OWNERS.items() if {canonicalize_name(name) for name in names} & packages}


@pytest.fixture(scope="module")
def alone():
    """What is said where nothing but the core can be imported."""
    hidden = set(OWNERS) - modules(core())
    assert {"numba", "rich", "sklearn", "typer"} <= hidden
    command = [sys.executable, str(ROOT / "tests" / "core_alone.py"), ",".join(sorted(hidden))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("feature", "name", "extra"),
    [
        ("SimilarityMatching", "simatch.estimators", "sklearn"),
        ("estimators", "simatch.estimators", "sklearn"),
        ("readout", "simatch.readout", "sklearn"),
        ("data", "simatch.data", "sklearn"),
        ("plot", "simatch.plot", "app"),
        ("report", r"simatch\.\w+", "app"),
        ("runs", r"simatch\.\w+", r"\w+"),  # it stands on others, which speak first
        ("console", "The command line", "app"),
        ("papers", "The command line", "app"),
        ("cli", "The command line", "app"),
    ],
)
def test_sentence(alone, feature, name, extra):
    assert re.fullmatch(
        rf"{name} needs [\w-]+, which is not installed; install it with: pip install 'simatch\[{extra}\]'",
        alone[feature],
    )


def test_command(alone):
    """Usage is what is wrong: exit code 2, and the sentence alone on standard error."""
    assert alone["code"] == 2
    assert alone["stderr"] == f"simatch: {alone['cli']}\n"
    assert "needs typer," in alone["stderr"]


def test_what_a_command_lacks_is_said_as_well(capsys):
    """What is missed only after the command has begun ends it in the same way."""
    with pytest.raises(typer.Exit) as end, reported():
        raise MissingPackageError("Tea needs kettle.")
    assert end.value.exit_code == 2
    assert capsys.readouterr().err == "simatch: Tea needs kettle.\n"


def test_import_is_lean():
    """Importing the library imports nothing of what its extras bring, even where it is installed."""
    brought = modules(named(itertools.chain(*EXTRAS.values())) - core())
    script = "import json, sys, simatch; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603
    assert not brought & set(json.loads(done.stdout))


def test_extras_hold_what_they_say():
    """Nothing but the core is needed twice; `all` brings what every feature needs, and `dev` all of it."""
    assert EXTRAS["all"] == ["simatch[app,native]"]
    assert "simatch[sklearn]" in EXTRAS["app"]
    assert "simatch[all,test]" in EXTRAS["dev"]
    assert not named(PROJECT["dependencies"]) & named(EXTRAS["native"] + EXTRAS["sklearn"] + EXTRAS["app"])


def test_command_is_the_one_that_speaks():
    assert PROJECT["scripts"] == {"simatch": "simatch.__main__:main"}


def test_mistakes_of_our_own_stay_what_they_are():
    with pytest.raises(ModuleNotFoundError, match="simatch") as caught, Feature("Tea", "all"):
        import simatch.nowhere  # noqa: F401  # pyright: ignore[reportMissingImports]
    assert not isinstance(caught.value, MissingPackageError)

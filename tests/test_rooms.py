"""Rooms are entered through their doors, and only from above, as the drawing in docs/design.md shows."""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import simatch

ROOT = Path(__file__).parents[1]
HOUSE = ROOT / "src" / "simatch"
FILES = sorted(path.relative_to(HOUSE) for path in HOUSE.rglob("*.py"))
# The front doors, which lead everywhere.
FRONT = {"__init__", "__main__"}


def floors():
    """Names of rooms, one set a line of the drawing, from the top."""
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    (drawing,) = re.findall(r"^```text\nrooms:[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [set(re.split(r" {2,}", line)[0].split(", ")) for line in drawing.splitlines()]


HEIGHT = {room: -number for number, rooms in enumerate(floors()) for room in rooms}


def room_of(file):
    return file.with_suffix("").parts[0]


def imported(file, source):
    """Dotted names inside `simatch` that a file imports, wherever in the file, each with what it takes from there."""
    package = ("simatch", *file.with_suffix("").parts)[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            where = (*base, *(node.module.split(".") if node.module else ()))
            names = [alias.name for alias in node.names]
            if where == ("simatch",):
                yield from ((name, None) for name in names)
            elif where[0] == "simatch":
                yield from ((".".join(where[1:]), name) for name in names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "simatch":
                    yield alias.name.partition(".")[2], None


def trespasses(file, source):
    """What a file imports though it may not, in words."""
    own = room_of(file)
    if own in FRONT:
        return
    for where, name in imported(file, source):
        room, _, inside = where.partition(".")
        if room == own:
            continue
        if room not in HEIGHT:
            yield f"{file} takes {where or 'simatch'!r}, which is no room"
        elif HEIGHT[room] >= HEIGHT[own]:
            yield f"{file} looks up, or sideways, to {room}"
        elif inside or (name or "").startswith("_"):
            yield f"{file} climbs into {room} for {name or inside!r}; its door is simatch.{room}"


def test_the_drawing_shows_every_room():
    assert set(HEIGHT) == {room_of(file) for file in FILES} - FRONT


@pytest.mark.parametrize("file", FILES, ids=str)
def test_rooms_are_entered_from_above(file):
    assert not list(trespasses(file, (HOUSE / file).read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("file", "source", "complaint"),
    [
        ("network/_grid.py", "from ..learning import learn", "looks up, or sideways, to learning"),
        ("network/_grid.py", "def late():\n    import simatch.cli", "to cli"),
        ("network/connectivity/_dense.py", "from ...relaxation import relax", "to relaxation"),
        ("data/_datasets.py", "from .. import readout", "sideways, to readout"),
        ("report/_story.py", "from ..analysis._tuning import extent", "climbs into analysis for 'extent'"),
        ("report/_story.py", "from ..analysis import _tuning", "climbs into analysis for '_tuning'"),
        ("report/_story.py", "import simatch.analysis._tuning", "climbs into analysis"),
        ("report/_story.py", "import simatch", "takes 'simatch', which is no room"),
        ("report/_story.py", "from .. import relax", "takes 'relax', which is no room"),
    ],
)
def test_trespassers_are_seen(file, source, complaint):
    assert any(complaint in words for words in trespasses(Path(file), source))


@pytest.mark.parametrize(
    "source",
    ["from .. import analysis", "from ..network import Grid", "from ._page import Page", "import numpy.linalg"],
)
def test_guests_are_welcome(source):
    assert not list(trespasses(Path("report/_story.py"), source))


def faces():
    return [simatch, *(importlib.import_module(f"simatch.{room}") for room in sorted(HEIGHT))]


@pytest.mark.parametrize("face", faces(), ids=lambda face: face.__name__)
def test_no_name_hides_a_module(face):
    """What a face offers by the name of one of its modules is that module."""
    for module in pkgutil.iter_modules(getattr(face, "__path__", ())):
        offered = vars(face).get(module.name)
        assert offered is None or inspect.ismodule(offered), f"{face.__name__}.{module.name} hides a module"

"""The public names of the library, read from its sources without importing anything."""

import ast
import dataclasses
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "simatch"


@dataclasses.dataclass(frozen=True)
class Name:
    """A public name: where users find it, and the module that defines it."""

    room: str  # "" for the package itself
    name: str
    module: str  # private module of the room, or the room from which the package takes the name

    @property
    def path(self) -> str:
        """Dotted path under which users import it."""
        return ".".join(filter(None, ("simatch", self.room, self.name)))


def names_of(room: str) -> list[Name]:
    """Public names of a room, in the order of its ``__init__.py``; of the package itself if `room` is empty."""
    tree = ast.parse((SOURCE / room / "__init__.py").read_text(encoding="utf-8"))
    found = {
        alias.name: Name(room, alias.name, node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module  # without it, rooms are imported
        for alias in node.names
        if alias.asname == alias.name
    }
    return list(found.values())


def rooms() -> list[str]:
    """Rooms whose names other code imports, in alphabetical order."""
    folders = sorted(path.parent.name for path in SOURCE.glob("*/__init__.py"))
    return [room for room in folders if not room.startswith("_") and names_of(room)]


def summary(path: Path, function: str = "") -> str:
    """Return the first paragraph of the docstring of a module, or of one of its functions, in one line."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = next((n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == function), tree)
    return " ".join((ast.get_docstring(found) or "").split("\n\n")[0].split())


def module_file(room: str, module: str) -> Path:
    """File of a module of a room, or of a folder in it."""
    file = SOURCE / room / f"{module}.py"
    return file if file.exists() else SOURCE / room / module / "__init__.py"

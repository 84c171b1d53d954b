"""Links in docstrings: names in single backticks lead to their entry, names of pages to the page."""

import re
from typing import Any

import griffe
from public import names_of, rooms

NAMES = {name.name: name.path for room in rooms() for name in names_of(room)}
FRONT = {name.name for name in names_of("")}


class Links(griffe.Extension):
    """Turn ``` `Name` ``` and ``` ``docs/page.md`` ``` in docstrings into links."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite one docstring; `obj` is read from the sources, before anything is rendered."""
        if obj.docstring:
            own = {parameter.name for parameter in getattr(obj, "parameters", [])} | set(obj.members)
            obj.docstring.value = linked(obj.docstring.value, own)


def linked(text: str, own: set[str]) -> str:
    """Return a docstring with links; `own` are names of parameters and members, which are not names of the library."""
    lines = [_with_equations(line) if "quation" in line else line for line in text.split("\n")]
    text = "\n".join(lines)
    text = re.sub(r"``docs/([\w/]+)\.md``", lambda m: f"[{m[1]}](site:{m[1]}.md)", text)
    return re.sub(r"(?<![`\w\[])`(?:simatch\.)?([A-Za-z_]\w*)((?:\.\w+)*)`(?![`\]])", lambda m: _entry(m, own), text)


def _with_equations(line: str) -> str:
    return re.sub(r"(?<!\w)\((\d+a?)\)", r"[(\1)](site:mathematics.md#eq-\1)", line)


def _entry(match: re.Match[str], own: set[str]) -> str:
    name = match[1]
    if name in own or name not in NAMES or not (name in FRONT or name[0].isupper()):
        return match[0]
    return f"[`{name}{match[2]}`][{NAMES[name]}]"

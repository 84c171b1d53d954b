"""Pages of the API reference: one for each room, with every public name."""

import ast
import itertools
from collections.abc import Iterator

from public import SOURCE, Name, module_file, names_of, rooms, summary

# Rooms in which the package `simatch` repeats what users need; the rest is for those who extend the library.
ENGINE = {"network", "relaxation", "learning", "storage"}


def pages() -> Iterator[tuple[str, str]]:
    """Yield the place of each page in the documentation, and its text."""
    yield "reference/api/index.md", _overview()
    for room in rooms():
        yield f"reference/api/{room}.md", _page(room)


def _overview() -> str:
    lines = [
        "# API",
        "",
        "The package `simatch` has the names that most programs need; *rooms*, its folders, define them.",
        "Every public name of every room is on the page of that room.",
        "",
        "| room | subject |",
        "|---|---|",
        *(f"| [`simatch.{room}`]({room}.md) | {summary(SOURCE / room / '__init__.py')} |" for room in rooms()),
        "",
        "## Names in the package",
        "",
        "`import simatch as sm`, then `sm.relax` and so on.",
        "",
    ]
    for room, names in itertools.groupby(sorted(names_of(""), key=lambda n: n.module), key=lambda n: n.module):
        links = ", ".join(f"[`{n.name}`][simatch.{room}.{n.name}]" for n in names)
        lines += [f"**[`{room}`]({room}.md)**: {links}", ""]
    return "\n".join(lines)


def _page(room: str) -> str:
    front = {name.name for name in names_of("") if name.module == room}
    names = names_of(room)
    first = [name for name in names if name.name in front or room not in ENGINE]
    rest = [name for name in names if name not in first]
    lines = [f"# simatch.{room}", "", summary(SOURCE / room / "__init__.py"), ""]
    if front:
        lines += [f"Also in the package itself: {', '.join(f'`sm.{n.name}`' for n in first if n.name in front)}.", ""]
    if room == "papers":
        lines += _reproductions()
    lines += _groups(room, first)
    if rest:
        lines += [
            "## For extensions",
            "",
            "What other rooms use, and what a new term, rule or solver may need. `simatch` itself does not repeat it.",
            "",
            *_groups(room, rest, level=3),
        ]
    return "\n".join(lines)


def _reproductions() -> list[str]:
    """Return a table of the commands of the room `papers`, with their publications."""
    lines = [
        "This room is used from the command line: each of its commands computes the results of a publication and",
        "writes them as a page. The networks and rules themselves are in [`simatch.models`](models.md) and",
        "[`simatch.estimators`](estimators.md); [Results](../../results/index.md) has the numbers.",
        "",
        "| command | publication | what it does |",
        "|---|---|---|",
    ]
    papers = SOURCE / "papers"
    for node in ast.parse((papers / "_reproduce.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
            folder, _, module = node.module.partition(".")
            for name in (alias.name for alias in node.names):
                command = f"reproduce {name.replace('_', '-')}"
                link = f"../commands.md#simatch-{command.replace(' ', '-')}"
                publication = summary(papers / folder / "__init__.py").partition(": ")[0].rstrip(".")
                does = summary(papers / folder / f"{module}.py", name)
                lines.append(f"| [`simatch {command}`]({link}) | {publication} | {does} |")
    return [*lines, ""]


def _groups(room: str, names: list[Name], level: int = 2) -> list[str]:
    """Directives under one heading for each module, with its description as the introduction."""
    lines = []
    for module, group in itertools.groupby(names, key=lambda name: name.module):
        text = summary(module_file(room, module))
        title = text.partition(":")[0].rstrip(".")
        lines += [f"{'#' * level} {title}", ""]
        if text.rstrip(".") != title:
            lines += [text, ""]
        for name in group:
            lines += [f"::: {name.path}", "    options:", f"      heading_level: {level + 1}"]
            # What all estimators can do is written once, in classes that are not public.
            lines += ["      inherited_members: true", ""] if room == "estimators" else [""]
    return lines

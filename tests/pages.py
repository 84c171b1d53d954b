"""Pages of the documentation, the README among them: their Python, and the commands that they name.

A comment ``<!-- first: CODE -->`` before a block of Python is what a reader has already, such as data; a test runs it
first. ``<!-- needs: PACKAGE -->`` leaves the next block out if the package is missing, ``<!-- not run: REASON -->``
always.
"""

import dataclasses
import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
}

_BLOCK = re.compile(
    r"(?:^<!-- (?P<kind>first|needs|not run): (?P<what>.*?) -->\n+)?^```(?P<language>python|sh)\n(?P<code>.*?)^```",
    re.MULTILINE | re.DOTALL,
)


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of code in a page."""

    page: str
    line: int
    language: str
    code: str
    kind: str | None
    what: str | None

    @property
    def runs(self) -> bool:
        """Whether the block can be run here."""
        if self.kind == "needs":
            assert self.what is not None
            return importlib.util.find_spec(self.what) is not None
        return self.kind != "not run"

    def run(self, namespace: dict[str, object]) -> None:
        """Run what comes first, then the block; a traceback names the line of the page."""
        if self.kind == "first":
            assert self.what is not None
            exec(compile(self.what, f"{self.page}: before line {self.line}", "exec"), namespace)  # noqa: S102
        exec(compile("\n" * self.line + self.code, str(ROOT / self.page), "exec"), namespace)  # noqa: S102


def blocks(page: str, language: str) -> list[Block]:
    """Blocks of a page in one language, in their order."""
    text = PAGES[page].read_text(encoding="utf-8")
    return [
        Block(page, text[: m.start("code")].count("\n"), m["language"], m["code"], m["kind"], m["what"])
        for m in _BLOCK.finditer(text)
        if m["language"] == language
    ]


def commands(page: str) -> Iterator[list[str]]:
    """Words of every command that a page names, in blocks of shell and in lines of text."""
    text = PAGES[page].read_text(encoding="utf-8")
    lines = [line for block in blocks(page, "sh") for line in block.code.replace("\\\n", " ").splitlines()]
    lines += [" ".join(span.split()) for span in re.findall(r"(?<!`)`((?:simatch|make|python -m) [^`]+)`", text)]
    for line in lines:
        words = shlex.split(line, comments=True)
        if words and words[0] in ("simatch", "make", "python") and not {"...", "…"} & set(words):
            yield words

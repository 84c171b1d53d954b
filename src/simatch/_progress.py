"""A progress bar: on standard error in a terminal, or below the cell of a notebook."""

import html
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")

# A notebook is told of progress at most every so many seconds.
_REFRESH = 0.1


def tracked(
    items: Iterable[Item],
    total: int | None,
    describe: Callable[[Item], tuple[int, str]],
    *,
    label: str = "learning",
    shown: bool = True,
) -> Iterator[Item]:
    """Yield the items and show progress in a bar, in a notebook, or in a terminal if Rich is installed.

    Parameters
    ----------
    items : iterable
    total : int or None
        Amount of work in all; None if it is unknown.
    describe : callable
        Returns, for an item, the work completed until then and the text beside the bar.
    label : str
        Text before the bar.
    shown : bool
        Whether a bar is shown at all.
    """
    progress = _progress(label) if shown else None
    if progress is None:
        yield from items
        return
    with progress as bar:
        task = bar.add_task(label, total=total, detail="compiling")
        for item in items:
            completed, detail = describe(item)
            bar.update(task, completed=completed, detail=detail)
            yield item


def _progress(label: str) -> Any:
    """Return a bar that is not drawn yet; None where none can be."""
    if _in_notebook():
        return _Cell()
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        return None
    console = Console(stderr=True)
    if not console.is_terminal:
        return None
    columns = TextColumn(label), BarColumn(), TextColumn("{task.fields[detail]}"), TimeRemainingColumn()
    return Progress(*columns, console=console, transient=True)


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return type(shell).__name__ == "ZMQInteractiveShell" or "google.colab" in str(type(shell))


class _Cell:
    """A bar below the cell of a notebook, with the methods of `rich.progress.Progress` that `tracked` calls.

    Rich itself needs the package ipywidgets there, and warns without it; this needs nothing.
    """

    def __enter__(self) -> "_Cell":
        return self

    def add_task(self, label: str, *, total: int | None, detail: str) -> None:
        from IPython.display import HTML, display  # pyright: ignore[reportMissingImports]

        self.html, self.label, self.total, self.drawn = HTML, label, total, time.monotonic()
        self.handle = display(HTML(self._text(0, detail)), display_id=True)

    def update(self, task: None, *, completed: int, detail: str) -> None:
        now = time.monotonic()
        if now - self.drawn >= _REFRESH:
            self.drawn = now
            self.handle.update(self.html(self._text(completed, detail)))

    def __exit__(self, *error: object) -> None:
        self.handle.update(self.html(""))

    def _text(self, completed: int, detail: str) -> str:
        share = "" if self.total is None else f' value="{completed}" max="{self.total}"'
        return f"{html.escape(self.label)} <progress{share}></progress> {html.escape(detail)}"

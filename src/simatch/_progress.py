"""A progress bar on standard error."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")


def tracked(
    items: Iterable[Item],
    total: int | None,
    describe: Callable[[Item], tuple[int, str]],
    *,
    label: str = "learning",
    shown: bool = True,
) -> Iterator[Item]:
    """Yield the items and show progress in a bar, in a terminal or a notebook, if Rich is installed.

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
    """Return a `rich.progress.Progress` that is not drawn yet; None without Rich, a terminal or a notebook."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        return None
    console = Console(stderr=True)
    if not (console.is_terminal or console.is_jupyter):
        return None
    columns = TextColumn(label), BarColumn(), TextColumn("{task.fields[detail]}"), TimeRemainingColumn()
    return Progress(*columns, console=console, transient=True)

"""The table that people read."""

from collections.abc import Callable, Sequence

from rich import box
from rich.table import Table

from .result import Result


def table_of(results: Sequence[Result], earlier: Sequence[Result] = ()) -> Table:
    """Lay out results, beside those of an earlier run if there are any."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("row", no_wrap=True)
    columns: dict[str, Callable[[Result], str]] = {
        "train img/s": lambda r: _number(r.images_per_second),
        "encode img/s": lambda r: _number(r.encode_images_per_second),
        "seconds": lambda r: _number(r.seconds),
        "steps": lambda r: _number(r.steps),
        "error": lambda r: _error(r.error, r.worst_error),
        "share": lambda r: " / ".join(f"{100 * s:.1f} %" for s in (r.share, r.encode_share) if s is not None),
        "memory": lambda r: "" if r.memory_mb is None else f"{r.memory_mb:,.0f} MB",
        "compile": lambda r: "" if r.compile_seconds is None else f"{r.compile_seconds:.1f} s",
        "peer": lambda r: r.peer or "",
        "its img/s": lambda r: _number(r.peer_images_per_second),
        "its seconds": lambda r: _number(r.peer_seconds),
        "its error": lambda r: _error(r.peer_error, r.peer_worst_error),
        "times as fast": lambda r: _number(r.ratio),
    }
    before = {r.name: r for r in earlier}
    if earlier:
        columns["than earlier"] = lambda r: _number(speedup(before.get(r.name), r))
    columns = {name: cell for name, cell in columns.items() if any(cell(r) for r in results)}
    for name in columns:
        table.add_column(name, justify="right")
    for r in results:
        table.add_row(r.name, *(cell(r) for cell in columns.values()))
    return table


def speedup(before: Result | None, after: Result) -> float | None:
    """How many times as fast a row has become; None if it was not measured before."""
    if before is None:
        return None
    if before.seconds and after.seconds:
        return before.seconds / after.seconds
    if before.images_per_second and after.images_per_second:
        return after.images_per_second / before.images_per_second
    return None


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _error(typical: float | None, worst: float | None) -> str:
    return "" if typical is None else f"{typical:.1e}" + (f" ({worst:.0e})" if worst is not None else "")

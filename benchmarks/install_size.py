"""Size of an installation with each extra, from what is installed here: ``python -m benchmarks.install_size``.

Counts the files of the library and of everything that it needs, without pip, tests of this repository and caches.
"""

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

EXTRAS = ("", "native", "sklearn", "app", "all", "data", "docs")


def needed(name: str, extra: str = "") -> Iterator[tuple[str, str]]:
    """Yield the packages that a package needs with an extra, and the extra that it needs of them."""
    for line in importlib.metadata.requires(name) or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield from ((requirement.name, inner) for inner in {"", *requirement.extras})


def packages(extra: str) -> set[str]:
    """Names of all packages of an installation, the library included."""
    seen, todo = set(), [("simatch", extra), ("simatch", "")]
    while todo:
        here = todo.pop()
        if here not in seen:
            seen.add(here)
            todo += needed(*here)
    return {name.lower().replace("_", "-") for name, _ in seen}


def megabytes(name: str) -> float:
    """Size of the files of a package."""
    files = importlib.metadata.files(name) or ()
    paths = (Path(str(file.locate())) for file in files)
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def main() -> None:
    """Print a table."""
    for extra in EXTRAS:
        sizes = {name: megabytes(name) for name in packages(extra)}
        largest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:4]
        label = f"simatch[{extra}]" if extra else "simatch"
        parts = ", ".join(f"{name} {sizes[name]:.0f}" for name in largest)
        print(f"{label:17} {len(sizes):3d} packages {sum(sizes.values()):5.0f} MB: {parts}")  # noqa: T201


if __name__ == "__main__":
    main()

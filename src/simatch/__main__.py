"""Run the command line, as ``simatch`` or ``python -m simatch``."""

import sys

from ._extras import MissingPackageError


def main() -> None:
    """Run the command line, or name the package that it needs and exit with 2."""
    try:
        from .cli import main as run
    except MissingPackageError as error:
        print(f"simatch: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    run()


if __name__ == "__main__":
    main()

"""Run the command line, as ``simatch`` or ``python -m simatch``."""

import gc
import sys

from ._extras import MissingPackageError


def main() -> None:
    """Run the command line, or name the package that it needs and exit with 2."""
    # Packages and compiled programs are hundreds of thousands of objects that stay: to look for garbage among them
    # after every 700 new ones takes a tenth of a short command's time.
    gc.set_threshold(50_000, 10, 10)
    try:
        from .cli import main as run
    except MissingPackageError as error:
        print(f"simatch: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    run()


if __name__ == "__main__":
    main()

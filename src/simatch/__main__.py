"""Run the command line as ``python -m simatch``."""

from .cli import main

if __name__ == "__main__":
    main()

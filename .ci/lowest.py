"""Print the lowest versions that pyproject.toml allows of what the library needs, as constraints for pip."""

import re
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def lowest() -> list[str]:
    """Lines such as ``numpy==2.0``, for the core and every extra that belongs to a feature."""
    extras = PROJECT["optional-dependencies"]
    lines = PROJECT["dependencies"] + extras["native"] + extras["sklearn"] + extras["app"]
    bounds = [re.fullmatch(r"([\w.-]+)>=([\w.]+),<.*", line) for line in lines if not line.startswith("simatch[")]
    return [f"{bound[1]}=={bound[2]}" for bound in bounds if bound]


if __name__ == "__main__":
    print("\n".join(lowest()))  # noqa: T201

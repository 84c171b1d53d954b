"""The README tells the truth: its Python runs and its make targets exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_python_runs():
    """All blocks run, one after the other, and what they say about shapes holds."""
    namespace = {}
    for number, block in enumerate(PYTHON, start=1):
        exec(compile(block, f"README.md, Python block {number}", "exec"), namespace)  # noqa: S102
    x, net, layers = namespace["x"], namespace["net"], namespace["layers"]
    assert len(layers) == len(namespace["out"].activities)
    assert net.feedforward[0].to_dense().shape == (64, 64)
    assert net.lateral[1].to_dense().shape == (16, 16)
    assert namespace["features"].shape == (len(x), 16)


def test_there_is_python_to_run():
    assert len(PYTHON) >= 3


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake (\w+) +#|`make (\w+)`", README))))
def test_make_targets_exist(target):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{''.join(target)}:", makefile, re.MULTILINE)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(((?!https?:)[^)]+)\)", README))))
def test_links_lead_somewhere(path):
    assert (ROOT / path).exists()

"""The progress bar in a notebook, with a stand-in for IPython."""

import sys
import types

import pytest

from simatch import _progress


class ZMQInteractiveShell:
    """What a notebook's kernel calls its shell."""


@pytest.fixture
def shown(monkeypatch):
    """List of what a notebook shows, one text after the other in the same place."""
    texts = []
    handle = types.SimpleNamespace(update=texts.append)
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = ZMQInteractiveShell
    display = types.ModuleType("IPython.display")
    display.HTML = str
    display.display = lambda text, display_id: texts.append(text) or handle
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setattr(_progress, "_REFRESH", 0)
    return texts


def test_a_notebook_shows_a_bar_and_clears_it(shown):
    items = _progress.tracked([1, 2], 2, lambda i: (i, f"cost <{i}>"), label="learning")
    assert list(items) == [1, 2]
    begin, first, second, end = shown
    assert begin == 'learning <progress value="0" max="2"></progress> compiling'
    assert first == 'learning <progress value="1" max="2"></progress> cost &lt;1&gt;'
    assert 'value="2"' in second
    assert end == ""


def test_a_bar_of_unknown_length_is_cleared_after_an_error(shown):
    with pytest.raises(ZeroDivisionError):
        list(_progress.tracked((1 // i for i in (1, 0)), None, lambda i: (i, "")))
    assert shown[0] == "learning <progress></progress> compiling"
    assert shown[-1] == ""


def test_nothing_is_shown_where_nobody_looks(shown, monkeypatch):
    list(_progress.tracked([1], 1, lambda i: (i, ""), shown=False))
    monkeypatch.delitem(sys.modules, "IPython")
    list(_progress.tracked([1], 1, lambda i: (i, "")))
    assert not shown

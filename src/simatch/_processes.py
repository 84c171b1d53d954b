"""Processes that were forked after JAX had begun its threads, in which it waits for ever."""

import os


class _Process:
    used = False
    forked = False


def _after_fork() -> None:
    _Process.forked = _Process.forked or _Process.used


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def check_process() -> None:
    """Raise RuntimeError in a process that was forked from one that had computed: JAX would wait for ever."""
    if _Process.forked:
        raise RuntimeError(
            "This process was forked from one in which JAX had computed, and would wait for ever; start workers with "
            'joblib, or with multiprocessing.get_context("spawn").'
        )
    _Process.used = True

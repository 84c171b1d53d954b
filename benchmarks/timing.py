"""Timing of several tasks in turn."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping

from simatch.papers.obeid2019._mnist import peak_memory

REST = 0.1


@dataclasses.dataclass(frozen=True)
class Laps:
    """Wall times of several tasks that ran in turn.

    Attributes
    ----------
    seconds : dict of str to float
        Median over the rounds, by task.
    compile_seconds : dict of str to float
        First call, before the rounds, less that median; at least 0.
    memory_mb : dict of str to float
        Most memory that the process had held by the end of the first call, in MB. Tasks are first called in their
        order, so that it is a task's own where those before it need less.
    """

    seconds: dict[str, float]
    compile_seconds: dict[str, float]
    memory_mb: dict[str, float]


def in_turn(tasks: Mapping[str, Callable[[], object]], rounds: int) -> Laps:
    """Call every task once to compile it, then all of them in turn, `rounds` times.

    Before each there is a rest, in which the threads of the task before, which wait for more to do, go to sleep.
    """
    first, memory = {}, {}
    for name, task in tasks.items():
        first[name], memory[name] = _seconds(task), 1000 * peak_memory()
    laps = [{name: _seconds(task) for name, task in tasks.items()} for _ in range(rounds)]
    median = {name: statistics.median(lap[name] for lap in laps) for name in tasks}
    return Laps(median, {name: max(first[name] - median[name], 0.0) for name in tasks}, memory)


def _seconds(task: Callable[[], object]) -> float:
    time.sleep(REST)
    began = time.perf_counter()
    task()
    return time.perf_counter() - began

"""Solvers side by side on trained weights: ``python -m benchmarks.solvers``.

For each kind of network, 100 images and each solver: steps from rest until ``|r - r*| / |r*|`` over all of them is
below 1e-2, 1e-3 and 1e-4, and the time to 1e-3 with all that the solver prepares, without any residual; medians of
calls in turn. Below each kind: what warm starts save, and how many steps the sites of a layer need if each may stop
when it is done.
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

import simatch as sm
from simatch.network import Activities
from simatch.relaxation import Iteration, Problem, check_inputs, stage_problem

from .more_solvers import Anderson, Coordinate, Newton
from .networks import KINDS, default_cache
from .reference import solution
from .timing import in_turn

IMAGES, LATER_BATCHES, ERRORS = 100, 60, (1e-2, 1e-3, 1e-4)
NO_RESULT = "not in {}"

EULER, FIXED = sm.Euler(), sm.Euler(step_size=0.5, decay=0.0, smallest=0.5)
COMMON = {"published Euler": EULER, "Euler, step 0.5": FIXED, "Accelerated": sm.Accelerated()}
ONE_POPULATION = {"Anderson(3)": Anderson(), "coordinate descent": Coordinate(), "Newton": Newton()}
SOLVERS: dict[str, dict[str, Iteration]] = {
    "mnist-4": {**COMMON, **ONE_POPULATION},
    "mnist-16": {**COMMON, **ONE_POPULATION},
    "mnist-32": {**COMMON, **ONE_POPULATION},
    "mnist-100": {**COMMON, "Anderson(3)": Anderson()},
    "relu-64": {**COMMON, **ONE_POPULATION},
    "soft-16": {**COMMON, **ONE_POPULATION},
    "subspace-16": {**COMMON, **ONE_POPULATION},
    "faces": {**COMMON, "Anderson(3)": Anderson()},
}


def the_problem(net: sm.Network, inputs: Activities) -> Problem:
    """Describe the relaxation of a network of one stage."""
    (stage,) = net.stages()
    return stage_problem(net, stage, inputs).split()


@eqx.filter_jit
def run(solver: Iteration, net: sm.Network, inputs: Activities, start: Activities, steps: jax.Array) -> Activities:
    """Potentials after a number of steps."""
    problem = the_problem(net, inputs)
    prepared = solver.prepare(problem)
    state = solver.begin(problem, prepared, start)
    state = jax.lax.fori_loop(0, steps, lambda _, s: solver.step(problem, prepared, s), state)
    return solver.potentials(state)


@eqx.filter_jit
def errors_by_step(
    solver: Iteration,
    net: sm.Network,
    inputs: Activities,
    start: Activities,
    truth: Activities,
    most: int,
) -> jax.Array:
    """Relative error over all images after every step."""
    problem = the_problem(net, inputs)
    prepared = solver.prepare(problem)

    def error(state):
        r = problem.activities(solver.potentials(state))
        far = sum(jnp.sum((r[name] - truth[name]) ** 2) for name in r)
        return jnp.sqrt(far / sum(jnp.sum(truth[name] ** 2) for name in r))

    def step(state, _):
        state = solver.step(problem, prepared, state)
        return state, error(state)

    return jax.lax.scan(step, solver.begin(problem, prepared, start), None, length=most)[1]


@eqx.filter_jit
def block_steps(net: sm.Network, inputs: Activities, start: Activities, tolerance: float, most: int) -> jax.Array:
    """Accelerated steps until the defect of each block is its share of what a tolerance allows for the image."""
    problem, solver = the_problem(net, inputs), sm.Accelerated()
    prepared = solver.prepare(problem)

    def step(state, _):
        state = solver.step(problem, prepared, state)
        r = problem.activities(solver.potentials(state))
        force = problem.force(r)
        defect = {name: problem.activations[name](r[name] + force[name]) - r[name] for name in r}
        allowed = tolerance**2 * jnp.sum(problem.inner(r, r), axis=0) / problem.blocks
        return state, problem.inner(defect, defect) > allowed

    return jnp.sum(jax.lax.scan(step, solver.begin(problem, prepared, start), None, length=most)[1], axis=0) + 1


def first_below(errors: np.ndarray, error: float) -> int | None:
    """Return the number of the first step with an error below, if there is one."""
    below = np.flatnonzero(errors < error)
    return int(below[0]) + 1 if below.size else None


def study(name: str, cache: Path, rounds: int) -> dict:
    """Measure all solvers on one kind of network."""
    kind = KINDS[name]
    net = kind.network("trained", cache)
    x = kind.images(max(100 * LATER_BATCHES, 2 * IMAGES), cache)
    inputs = check_inputs(net, x[:IMAGES])
    rest = {layer: jnp.zeros((net.populations[layer].grid.size, IMAGES)) for layer in net.layers}
    truth = split(net, solution(net, x[:IMAGES]))
    rows, tasks = {}, {}
    for label, solver in SOLVERS[name].items():
        most = 3000 if solver is EULER else 400 if solver is FIXED else 200
        errors = np.asarray(errors_by_step(solver, net, inputs, rest, truth, most))
        steps = [first_below(errors, error) for error in ERRORS]
        rows[label] = {"steps": steps, "most": most, "milliseconds": None}
        if steps[1]:
            tasks[label] = partial(_timed, solver, net, inputs, rest, jnp.asarray(steps[1]))
    seconds = in_turn(tasks, rounds).seconds
    for label, taken in seconds.items():
        rows[label]["milliseconds"] = 1e3 * taken
    result = {"solvers": rows, "warm": warm(net, kind, x, truth, rest)}
    if the_problem(net, inputs).blocks > 1:
        own = np.asarray(block_steps(net, inputs, rest, 1e-3, 200))
        result["blocks"] = {"mean": float(own.mean()), "image": float(own.max(axis=0).mean()), "batch": int(own.max())}
    return result


def warm(net: sm.Network, kind, x: np.ndarray, truth: Activities, rest: Activities) -> dict:
    """Accelerated steps to 1e-3 from rest, from other images, and from the same images and earlier weights."""
    later, _ = sm.train(
        net, sm.epochs_of(x, epochs=100 * LATER_BATCHES / len(x)), rate=kind.rate(kind.batches), progress=False
    )
    inputs, truth = check_inputs(later, x[:IMAGES]), split(net, solution(later, x[:IMAGES]))
    starts = {
        "rest": rest,
        "other images": sm.relax(later, x[IMAGES : 2 * IMAGES]).potentials,
        f"same images, {LATER_BATCHES} batches before": sm.relax(net, x[:IMAGES]).potentials,
    }
    steps = {}
    for label, start in starts.items():
        errors = np.asarray(errors_by_step(sm.Accelerated(), later, inputs, start, truth, 200))
        steps[label] = [first_below(errors, error) for error in ERRORS]
    return steps


def split(net: sm.Network, rows: np.ndarray) -> Activities:
    """Cut the rows of a solution into the activities of every layer."""
    ends = np.cumsum([net.populations[layer].grid.size for layer in net.layers])
    parts = np.split(rows.T, ends[:-1])
    return {layer: jnp.asarray(part, jnp.float32) for layer, part in zip(net.layers, parts, strict=True)}


def _timed(*arguments) -> None:
    jax.block_until_ready(run(*arguments))


def show(name: str, result: dict, print_: Callable[..., None]) -> None:
    """Print what was measured on one kind of network."""
    table = Table("solver", *(f"{error:.0e}" for error in ERRORS), "ms to 1e-3", title=name)
    for label, row in result["solvers"].items():
        steps = [str(s or NO_RESULT.format(row["most"])) for s in row["steps"]]
        table.add_row(label, *steps, "" if row["milliseconds"] is None else f"{row['milliseconds']:.1f}")
    for label, found in result["warm"].items():
        table.add_row(f"Accelerated from {label}", *(str(s or NO_RESULT.format(200)) for s in found), "")
    print_(table)
    if blocks := result.get("blocks"):
        print_(
            f"Steps to a residual of 1e-3: a site {blocks['mean']:.1f} (mean), an image {blocks['image']:.1f} "
            f"(its slowest site, mean), the batch {blocks['batch']}"
        )


def main() -> None:
    """Measure the kinds of network that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", choices=[*SOLVERS, []], default=[], help="by default all")
    parser.add_argument("--cache", type=Path, default=default_cache())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    results = {}
    for name in options.kinds or SOLVERS:
        results[name] = study(name, options.cache, options.rounds)
        show(name, results[name], Console().print)
        if options.out:
            options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

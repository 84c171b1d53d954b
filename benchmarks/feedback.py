"""Layers with feedback beside how others settle them: ``python -m benchmarks.feedback [KIND ...]``.

The same trained network and images: this library's default; the published Euler schedule in NumPy, image by image; and
a compiled JAX loop of a fixed number of equal steps, as libraries of predictive coding settle their networks, with the
length and the smallest number of steps (of those tried) whose error is no larger. Errors are those of the activities
against the fixed point in double precision, medians over images.
"""

import statistics
import sys
import time
import warnings
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

import simatch as sm
from simatch.relaxation import check_inputs, stage_problem

from .networks import KINDS, default_cache
from .published import Published
from .reference import relative_error, rows, solution

# Images that relax together, in networks with faces and with digits.
IMAGES, LAPS = {"lfw": 100, "digits": 1000}, 5
LENGTHS, STEPS = (0.05, 0.1, 0.2, 0.4), (20, 50, 100, 125, 150, 175, 200, 400, 800)


def seconds(task: Callable[[], object]) -> float:
    """Median time of a task after a first one, which compiles."""
    task()
    laps = []
    for _ in range(LAPS):
        began = time.perf_counter()
        task()
        laps.append(time.perf_counter() - began)
    return statistics.median(laps)


def looped(net: sm.Network, x: np.ndarray) -> Callable[[float, int], dict[str, jax.Array]]:
    """Return a function of the length and the number of steps that settles all layers in one compiled loop."""
    inputs = check_inputs(net, x)

    @jax.jit
    def settle(inputs, length, steps):
        problem = stage_problem(net, net.stages()[0], inputs).split()

        def step(_, u):
            r = problem.activities(u)
            force = problem.force(r)
            return {name: u[name] + length * (r[name] + force[name] - u[name]) for name in u}

        return problem.activities(jax.lax.fori_loop(0, steps, step, jax.tree.map(jnp.zeros_like, problem.drive)))

    return lambda length, steps: jax.block_until_ready(settle(inputs, length, steps))


def compare(kind: str) -> None:
    """Print a line for each way."""
    count = IMAGES[KINDS[kind].data]
    net, x = KINDS[kind].network("trained", default_cache()), KINDS[kind].images(count, default_cache())
    truth = solution(net, x)

    def show(name: str, per_image: float, error: float) -> None:
        print(f"{kind:12s} {name:28s} {1e3 * per_image:10.3f} ms an image {per_image / ours:7.1f} x  error {error:.1e}")  # noqa: T201

    out = sm.relax(net, x)
    ours = seconds(lambda: jax.block_until_ready(sm.relax(net, x).states)) / count
    error = float(np.median(relative_error(rows(out, net), truth)))
    show("simatch", ours, error)

    loop, found, nearest = looped(net, x), [], np.inf
    for length in LENGTHS:
        for steps in STEPS:
            states = loop(length, steps)
            own = np.concatenate([np.asarray(states[name], float) for name in net.layers]).T
            own_error = float(np.median(relative_error(own, truth)))
            nearest = np.fmin(nearest, own_error)
            if own_error <= error:
                found.append((steps, length, own_error))
                break
    if found:
        steps, length, own_error = min(found)
        per_image = seconds(lambda: loop(length, steps)) / count
        show(f"JAX, {steps} steps of {length:g}", per_image, own_error)
    else:
        per_image = seconds(lambda: loop(LENGTHS[0], STEPS[-1])) / count
        show(f"JAX, {STEPS[-1]} steps, not enough", per_image, nearest)

    published, few = Published.of(net), 3
    began = time.perf_counter()
    settled = [published.settle(image.ravel())[0] for image in x[:few]]
    per_image = (time.perf_counter() - began) / few
    own = np.stack([np.concatenate(layers) for layers in settled])
    show("published schedule, NumPy", per_image, float(np.median(relative_error(own, truth[:few]))))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for kind in sys.argv[1:] or ("faces-0.1", "faces", "digits-deep"):
        compare(kind)

"""How the contrast of two phases tends to the gradient of the loss: ``python -m benchmarks.nudge [FIGURE]``.

A network of 20 inputs, two hidden layers and 5 outputs, in double precision. For each strength beta of the nudge: the
error of the change relative to the gradient of the squared error of the free outputs, which JAX computes through the
fixed point. Theory: in proportion to beta; to its square for the mean of beta and -beta.
"""

import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np

import simatch as sm
from simatch.models import equilibrium
from simatch.report import COLOURS, style

BETAS = tuple(10.0**-k for k in (0, 0.5, 1, 1.5, 2, 2.5, 3))
SIZES = 20, (12, 8), 5
TIGHT = {"tolerance": 1e-13, "max_steps": 20_000}


def errors() -> tuple[np.ndarray, np.ndarray]:
    """Relative errors of the change for every beta, and of the mean of the changes for beta and -beta."""
    rng = np.random.default_rng(0)
    inputs, hidden, outputs = SIZES
    x, y = rng.uniform(size=(50, inputs)), np.eye(outputs)[rng.integers(outputs, size=50)]
    net = equilibrium(inputs, hidden, outputs, activation="tanh").network
    # Weights so small that the energy is convex: there is one fixed point, which the nudge moves smoothly.
    net = net.with_parameters([jax.tree.map(lambda w: 0.5 * w, own) for own in net.parameters])

    def loss(parameters):
        out = sm.relax(net.with_parameters(parameters), x, phase=sm.Phase(["input"]), **TIGHT)
        return jnp.mean(jnp.sum((out.states["output"].T - y) ** 2, axis=1))

    flat = lambda tree: jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])  # noqa: E731
    gradient = flat(jax.grad(loss)(net.parameters))

    def change(beta):
        rule = equilibrium(inputs, hidden, outputs, activation="tanh", beta=beta).rule
        free, nudged = rule.phases
        first = sm.relax(net, x, phase=free, **TIGHT)
        second = sm.relax(net, {"input": x, "label": y}, phase=nudged, start=first, **TIGHT)
        return flat(rule.change(net, (first.states, second.states), None, {}).parameters)

    def error(found):
        return float(jnp.linalg.norm(found + gradient) / jnp.linalg.norm(gradient))

    pairs = [(change(beta), change(-beta)) for beta in BETAS]
    return np.array([error(a) for a, _ in pairs]), np.array([error((a + b) / 2) for a, b in pairs])


def main() -> None:
    """Print the errors, and draw them if a file is named."""
    jax.config.update("jax_enable_x64", True)
    warnings.simplefilter("ignore", sm.ConvergenceWarning)
    one, both = errors()
    for beta, *own in zip(BETAS, one, both, strict=True):
        print("beta {:6.4f}: error {:.2e}, mean of both signs {:.2e}".format(beta, *own))  # noqa: T201
    if len(sys.argv) > 1:
        import matplotlib.pyplot as plt

        with style():
            drawing, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
            ax.loglog(BETAS, one, "o-", color=COLOURS[0], label="one sign")
            ax.loglog(BETAS, both, "o-", color=COLOURS[1], label="mean of both signs")
            small = np.array(BETAS[2:])
            ax.loglog(small, one[2] * small / small[0], ":", color=COLOURS[0], label="in proportion to beta")
            ax.loglog(small, both[2] * (small / small[0]) ** 2, ":", color=COLOURS[1], label="to its square")
            ax.set(xlabel="strength of the nudge, beta", ylabel="error relative to the gradient of the loss")
            ax.legend()
            drawing.savefig(sys.argv[1], dpi=150)


if __name__ == "__main__":
    main()

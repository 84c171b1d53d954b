"""How far the three rules of predictive coding are from back-propagation, in double precision."""

import dataclasses
import functools
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from ...learning import Rule
from ...models import Supervised, predictive, predictive_nudged, predictive_scheduled, predictive_settled
from ...network import Activities, Network, Prediction
from ...relaxation import Status, settle_phases

INPUTS, HIDDEN, OUTPUTS, SAMPLES = 20, (16, 16, 16), 5, 32
BETAS = (1.0, 1e-1, 1e-2, 1e-3, 1e-4)
# Lengths of the errors of the output, relative to the first.
ERRORS = (1.0, 1e-1, 1e-2, 1e-3)


@dataclasses.dataclass(frozen=True)
class Distance:
    """Distance of the changes of a rule from those of back-propagation, all parameters together.

    Attributes
    ----------
    rule : str
    setting : float or None
        beta of the nudge, or the relative size of the error of the output.
    error : float
        Length of the difference, relative to the change of back-propagation.
    cosine : float
    failed : int
        Samples that did not settle.
    """

    rule: str
    setting: float | None
    error: float
    cosine: float
    failed: int


def output_of(net: Network, x: Float[Array, "inputs samples"]) -> Float[Array, "outputs samples"]:
    """Feedforward pass through a chain of predictions."""
    for term in net.terms:
        assert isinstance(term, Prediction)
        x = term.predicted(term.parameters, x)
    return x


def loss(parameters: PyTree, net: Network, x: Array, y: Array) -> Float[Array, ""]:
    """Mean of half of the squared error of the output."""
    return jnp.mean(jnp.sum((y - output_of(net.with_parameters(parameters), x)) ** 2, axis=0)) / 2


def distances(*, betas: Sequence[float] = BETAS, errors: Sequence[float] = ERRORS, seed: int = 0) -> list[Distance]:
    """Compare the rules with back-propagation on one batch and a chain with random weights, in double precision."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(seed)
        build = functools.partial(predictive, INPUTS, HIDDEN, OUTPUTS, seed=seed)
        x = jnp.asarray(rng.normal(size=(INPUTS, SAMPLES)))
        away = rng.normal(size=(OUTPUTS, SAMPLES))
        start = output_of(build().network, x)
        models = [
            *(
                ("settled, output clamped", size, build(learning=predictive_settled), start + size * away)
                for size in errors
            ),
            *(
                ("nudged", beta, build(learning=functools.partial(predictive_nudged, beta=beta)), start + away)
                for beta in betas
            ),
            ("scheduled", None, build(learning=predictive_scheduled), start + away),
        ]
        return [_distance(rule, setting, model, x, y) for rule, setting, model, y in models]


def _distance(rule: str, setting: float | None, model: Supervised, x: Array, y: Array) -> Distance:
    own, failed = _change(model.network, model.rule, {"input": x, model.target: y})
    descent = jax.tree.map(jnp.negative, _gradient(model.network.parameters, model.network, x, y))
    a, b = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]) for tree in (own, descent))
    size = float(np.linalg.norm(b))
    return Distance(
        rule, setting, float(np.linalg.norm(a - b)) / size, float(a @ b) / size / float(np.linalg.norm(a)), int(failed)
    )


_gradient = eqx.filter_jit(jax.grad(loss))


@eqx.filter_jit
def _change(net: Network, rule: Rule, batch: Activities):
    state = rule.init(net)
    out = settle_phases(net, rule.phases, batch, None, jnp.asarray(1e-11), rule.start(net, state, batch))
    worst = jnp.max(jnp.stack([one.status for one in out]), axis=0)
    changed = rule.change(net, tuple(one.states for one in out), state, batch)
    return changed.parameters, jnp.sum(worst >= Status.MAX_STEPS)

"""The compiled loop over batches: relax, then learn, on one device or on several."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, Int, PyTree

from ..network import Network, Weights
from ..relaxation import Solver, Status, settle_phases
from ._batches import Stack
from ._devices import BATCH, averaged
from ._health import figures
from ._learn import Rates, moved
from ._rule import Rule, changed

# Rates of descending and of ascending parameters, batch by batch.
Plan = tuple[Float[Array, " most"], Float[Array, " most"]]


class LearningState(NamedTuple):
    """State of learning besides the network, kept from batch to batch.

    Attributes
    ----------
    rule : pytree
        State of the rule (`simatch.Rule.init`); None for a rule without state.
    transform : pytree
        State of the transformation of the changes; None without a transformation.
    """

    rule: PyTree
    transform: PyTree


class Method(NamedTuple):
    """How a network learns from batches. The compiled program depends on it, except on arrays inside.

    Attributes
    ----------
    rule : Rule
    transform : optax.GradientTransformation or None
    solver : Solver or None
    mesh : Mesh or None
    """

    rule: Rule
    transform: Any
    solver: Solver | None
    mesh: Mesh | None


def step(
    net: Network,
    state: LearningState,
    settled: Any,
    entries: Any,
    rates: Rates,
    method: Method,
    axis: str | None = None,
    weights: Weights = None,
) -> tuple[Network, LearningState, Float[Array, ""]]:
    """Take one training step from the settled phases of a rule. All training goes through this function.

    Parameters
    ----------
    net : Network
    state : LearningState
    settled : tuple of dicts
        Activities in each phase.
    entries : dict
        The batch.
    rates : tuple of two scalar arrays
        Learning rates of descending and of ascending parameters.
    method : Method
    axis : str, optional
        Name of the mesh axis along which the samples are distributed over several devices.
    weights : array of shape (samples,), optional
        Share of each sample in the change, for a rule with such an argument; by default all count alike.

    Returns
    -------
    network, state
        After the step.
    cost : scalar array
        Before the step.
    """
    rule = method.rule.drawn(state.rule)
    changes, rule_state, cost = changed(rule, net, settled, state.rule, entries, weights)
    cost = jnp.asarray(cost, rates[0].dtype)
    if axis is not None:
        changes, cost = averaged((changes, cost), axis)
        rule_state = method.rule.joined(state.rule, rule_state, axis)
    transform_state = state.transform
    if method.transform is not None:
        changes, transform_state = method.transform.update(changes, transform_state, net.parameters)
    return moved(net, changes, rates), LearningState(rule_state, transform_state), cost


@eqx.filter_jit
def learn_batches(
    net: Network,
    state: LearningState,
    stack: Stack,
    rates: Plan,
    count: Int[Array, ""],
    tolerance: Float[Array, ""],
    method: Method,
    real: Int[Array, ""] | None = None,
):
    """Relax and learn, batch after batch, until `count` batches are done or one diverges.

    If `real` is given, only so many samples of each batch count; the others repeat them.

    Returns
    -------
    network, state
        After the last batch that did not diverge.
    done : int array
        Number of batches learned from.
    described : dict
        Largest residual, steps and unconverged samples over all batches; cost and health of the layers on the last one;
        whether all weights are finite.
    """
    if method.mesh is None:
        samples = next(iter(stack.values())).shape[-1]
        weights = None if real is None else (jnp.arange(samples) < real).astype(tolerance.dtype) / real
        learned = _learn_own(net, state, stack, rates, count, tolerance, method, None, weights)
    else:
        weights, learned = None, _learn_shared(net, state, stack, rates, count, tolerance, method)
    parameters, state, done, totals, cost, states = learned
    finite = [jnp.all(jnp.isfinite(w)) for w in jax.tree.leaves(parameters)]
    described = {
        "cost": cost,
        "health": figures(net, states, weights),
        "finite": jnp.all(jnp.stack([*finite, jnp.asarray(True)])),
    }
    return net.with_parameters(parameters), state, done, {**totals, **described}


def _learn_shared(
    net: Network,
    state: LearningState,
    stack: Stack,
    rates: Plan,
    count: Int[Array, ""],
    tolerance: Float[Array, ""],
    method: Method,
):
    """`learn_batches` on the devices of a mesh."""

    def learn_share(stack):
        learned, own, done, totals, cost, states = _learn_own(net, state, stack, rates, count, tolerance, method, BATCH)
        totals = {
            "residual": jax.lax.pmax(totals["residual"], BATCH),
            "steps": jax.lax.psum(totals["steps"], BATCH),
            "unconverged": jax.lax.psum(totals["unconverged"], BATCH),
        }
        return learned, own, done, totals, cost, states

    # A device relaxes its samples on its own, for as many steps as they take, and waits for the others only to average
    # the changes of the weights. With automatic partitioning all devices would exchange a flag at every check of the
    # residual.
    return jax.shard_map(
        learn_share,
        mesh=method.mesh,
        in_specs=P(None, None, BATCH),
        out_specs=(P(), P(), P(), P(), P(), P(None, BATCH)),
        check_vma=False,  # the check rejects loops that start from constants, as those of solvers do
    )(stack)


def _learn_own(
    net: Network,
    state: LearningState,
    stack: Stack,
    rates: Plan,
    count: Int[Array, ""],
    tolerance: Float[Array, ""],
    method: Method,
    axis: str | None = None,
    weights: Weights = None,
):
    """`learn_batches` on one device; `axis` names the mesh axis of the devices that share the batches."""
    rule = method.rule
    phases = rule.phases
    held = [phase.entries(net) for phase in phases]
    # Apart: a slice of one array of both would be taken anew for every weight, in the loop that XLA makes of the step.
    down, up = rates

    def batch(i):
        return {name: x[i] for name, x in stack.items()}

    @jax.jit  # so that the steps inside the loop and after it are traced once
    def learned(parameters, state, settled, i):
        entries = batch(i)
        whole = tuple(
            {**{name: entries[entry] for name, entry in own.items()}, **relaxed}
            for own, relaxed in zip(held, settled, strict=True)
        )
        after, state, cost = step(
            net.with_parameters(parameters), state, whole, entries, (down[i], up[i]), method, axis, weights
        )
        return after.parameters, state, cost

    def body(loop):
        # The step for a batch is taken at the beginning of the next iteration: if a batch diverges, its step is left
        # out, and no copy of the weights before it is needed.
        parameters, state, i, _, totals, settled = loop
        new = lambda *now: learned(*now)[:2]  # noqa: E731
        as_before = lambda parameters, state, *_: (parameters, state)  # noqa: E731
        parameters, state = jax.lax.cond(i > 0, new, as_before, parameters, state, settled, i - 1)
        now = net.with_parameters(parameters)
        start = rule.start(now, state.rule, batch(i))
        out = settle_phases(now, rule.drawn(state.rule).phases, batch(i), method.solver, tolerance, start)
        worst = jnp.max(jnp.stack([one.status for one in out]), axis=0)
        diverged = jnp.any(worst == Status.DIVERGED)
        if axis is not None:
            diverged = jax.lax.psum(diverged.astype(tolerance.dtype), axis) > 0
        residual = jnp.max(jnp.stack([jnp.max(one.residual) for one in out]))
        steps, unconverged = sum(one.steps for one in out), worst >= Status.MAX_STEPS
        totals = {
            "residual": jnp.maximum(totals["residual"], residual),
            "steps": totals["steps"] + _count(steps, weights),
            "unconverged": totals["unconverged"] + _count(unconverged, weights),
        }
        settled = tuple({name: one.states[name] for name in one.relaxed} for one in out)
        return parameters, state, i + jnp.where(diverged, 0, 1), diverged, totals, settled

    def unfinished(loop):
        _, _, i, diverged, _, _ = loop
        return (i < count) & ~diverged

    zero = jnp.zeros((), jnp.int32)
    totals = {"residual": jnp.zeros((), tolerance.dtype), "steps": zero, "unconverged": zero}
    samples = next(iter(stack.values())).shape[-1]
    settled = tuple(
        {name: jnp.zeros((net.populations[name].grid.size, samples), tolerance.dtype) for name in phase.relaxing(net)}
        for phase in phases
    )
    loop = (net.parameters, state, zero, jnp.asarray(False), totals, settled)
    parameters, state, done, diverged, totals, settled = jax.lax.while_loop(unfinished, body, loop)
    as_before = lambda parameters, state, *_: (parameters, state, jnp.asarray(jnp.nan, down.dtype))  # noqa: E731
    parameters, state, cost = jax.lax.cond(diverged, as_before, learned, parameters, state, settled, done - 1)
    return parameters, state, done, totals, cost, settled[0]


def _count(numbers: Any, weights: Weights) -> Int[Array, ""]:
    """Sum over the samples that count."""
    return jnp.sum(numbers if weights is None else jnp.where(weights > 0, numbers, 0), dtype=jnp.int32)

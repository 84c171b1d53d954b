"""One step of learning from settled activities."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, PyTree

from ..network import Activities, Network, in_default_precision, signs_of
from ..relaxation import Phase, Relaxation, Status
from ._limits import check_rate
from ._rates import schedule_of
from ._rule import DEFAULT_RULE, Rule

# Rates of descending and of ascending parameters.
Rates = tuple[Float[Array, ""], Float[Array, ""]]


def moved(net: Network, changes: tuple[PyTree, ...], rates: Rates) -> Network:
    """Return the network with every parameter moved by its change, times the rate of its kind."""
    return net.with_parameters(
        [
            jax.tree.map(
                lambda sign, w, d: w + rates[(sign + 1) // 2].astype(w.dtype) * d, signs_of(term), term.parameters, own
            )
            for term, own in zip(net.terms, changes, strict=True)
        ]
    )


def learn(
    net: Network,
    out: Relaxation | Sequence[Relaxation],
    rate: float | Float[Array, ""] | Mapping[str, Any],
    *,
    ratio: float | None = None,
    rule: Rule | None = None,
) -> Network:
    """Take one step of learning, averaged over the batch.

    A batch of one sample gives the online rule of the paper.

    Parameters
    ----------
    net : Network
    out : Relaxation, or sequence of Relaxation
        Results of `relax` for this network, one for each phase of the rule, in their order.
    rate : float, or mapping with "descending" and "ascending"
        Learning rate eta of equation (11), above 0, for all parameters; or one for the parameters that descend the cost
        (Hebbian) and one for those that ascend it (anti-Hebbian). Inside ``jax.jit``, where arrays have no values yet,
        neither the rate nor divergence is checked.
    ratio : float, optional
        Rate of lateral (ascending) weights over that of feedforward (descending) ones, above 0: lateral weights learn
        by ``ratio * rate * (r_i r_j - L_ij / c)``. 1 by default, at which no component of a linear network is lost; 0.5
        in equations (5) and (11), see equation (20). Not with a mapping, which has a rate for each kind.
    rule : Rule, optional
        `AveragingRule` by default. Only `train` and `training` support rules that keep a state or read further entries
        of a batch.

    Returns
    -------
    Network
        The network with new parameters; `net` itself is unchanged.

    Raises
    ------
    ValueError
        If the rate is out of range or so large that the decay of some weight overshoots, if activities diverged, if
        `out` is not of this network or does not have one relaxation for each phase, or if the rule keeps a state or
        reads further entries of a batch.

    References
    ----------
    Equations (5), (7), (11) and (17) of ``docs/mathematics.md``.

    Examples
    --------
    >>> import jax, simatch as sm
    >>> net = sm.layered(sm.Grid(8, 8), [sm.Layer(units=4, stride=2, radius=2.0)])
    >>> out = sm.relax(net, jax.random.normal(jax.random.key(0), (5, 8, 8)))
    >>> net = sm.learn(net, out, rate=1e-2)
    """
    rule = rule or DEFAULT_RULE
    done = (out,) if isinstance(out, Relaxation) else tuple(out)
    net = in_default_precision(net)
    check_rate(net, rate, ratio, rule)
    if len(done) != len(rule.phases):
        raise ValueError(
            f"The rule has {len(rule.phases)} phases, but {len(done)} relaxations were given; give one for each."
        )
    if rule.init(net) is not None or rule.entries:
        raise ValueError(
            f"{type(rule).__name__} keeps a state from batch to batch, or reads further entries of a batch; use train "
            "or training with it."
        )
    for phase, one in zip(rule.phases, done, strict=True):
        check_states(net, one.states, phase)
        if not isinstance(one.status, Tracer):
            diverged = int(jnp.sum(one.status == Status.DIVERGED))
            if diverged:
                raise ValueError(
                    f"Nothing was learned: the activities of {diverged} of {one.status.size} samples diverged; "
                    "lower the learning rate, the feedback or the scale of the structure constants."
                )
    down, up = schedule_of(cast(Any, rate), ratio)(0)
    entries = {
        entry: one.states[name]
        for phase, one in zip(rule.phases, done, strict=True)
        for name, entry in phase.entries(net).items()
    }
    return _learn(
        net, tuple(one.states for one in done), entries, (jnp.asarray(down, float), jnp.asarray(up, float)), rule
    )


def check_states(net: Network, states: Activities, phase: Phase) -> None:
    """Raise ValueError if activities are not those of a network in a phase."""
    samples = {r.shape[-1] for r in states.values()}
    for name, population in net.populations.items():
        if name in phase.absent:
            continue
        if name not in states:
            raise ValueError(f"The activities of population {name!r} are missing; relax this network itself.")
        if states[name].shape[:-1] != (population.grid.size,):
            raise ValueError(
                f"The activities of population {name!r} have shape {states[name].shape}, but this network has "
                f"{population.grid.size} neurons there; relax this network itself."
            )
    if len(samples) > 1:
        raise ValueError(f"The activities are of different numbers of samples, {sorted(samples)}; relax one batch.")


@eqx.filter_jit
def _learn(net: Network, settled: tuple[Activities, ...], entries: Activities, rates: Rates, rule: Rule) -> Network:
    return moved(net, rule.change(net, settled, None, entries).parameters, rates)

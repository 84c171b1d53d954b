"""A check of the central claim of the paper: local rules follow the gradient of one cost, at every structure and depth.

The same numbers are computed in three ways that share as little code as possible:

- the *rule*: for every synapse the product of its two activities minus a decay, written in NumPy (equation 11);
- the *library's* rule, derived from the energy by automatic differentiation;
- the *gradient*: every weight in turn is moved up and down, the network relaxes again on the whole data set, and the
  difference of the two dual costs is divided by the step. This uses neither a rule nor a derivative, and it includes
  the change of the activities with the weight. By the envelope theorem a rule may leave out this change.
"""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from ...data import load_dataset
from ...learning import PUBLISHED_RATIO, GradientRule, Report, objective, similarity_cost, train
from ...models import Layer, layered
from ...network import Activities, Grid, Network, Pathway, total_cost
from ...relaxation import Accelerated, Relaxation, check_inputs, relax, settle
from ...storage import Checkpoints

Matrix = Float[np.ndarray, "_ _"]
Pairs = Int[np.ndarray, "_ 2"]
# The dual cost is stationary in the activities, so an error of this size in them changes it only by its square.
TOLERANCE = 1e-10
MOST_STEPS = 20000
STEP = 1e-4  # of a weight; truncation and rounding of a central difference are both near 1e-8 of the gradient here
FEEDBACK = 0.3


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """Rule and gradient of one pathway, for the synapses whose gradient was measured.

    Attributes
    ----------
    pathway : str
        Name of the pathway.
    synapses : int
        Number of synapses of the pathway.
    rule, gradient : arrays of shape (measured,)
        Change of every weight at a learning rate of 1 by the rule, and by the gradient: half of the derivative of the
        dual cost, times -1 for feedforward synapses.
    library_error : float
        Length of the difference of the library's rule from the rule here, relative to the latter.
    """

    pathway: str
    synapses: int
    rule: Float[np.ndarray, " measured"]
    gradient: Float[np.ndarray, " measured"]
    library_error: float

    @property
    def cosine(self) -> float:
        """Cosine of the angle between rule and gradient."""
        return float(self.rule @ self.gradient / (np.linalg.norm(self.rule) * np.linalg.norm(self.gradient)))

    @property
    def error(self) -> float:
        """Length of the difference of rule and gradient, relative to the gradient."""
        return float(np.linalg.norm(self.rule - self.gradient) / np.linalg.norm(self.gradient))


@dataclasses.dataclass(frozen=True)
class Point:
    """Costs of one network after some steps of learning from the whole data set.

    Attributes
    ----------
    steps : int
        Number of steps.
    primal, dual : float
        Costs (8) and (9).
    gradient : float
        Length of the derivative of the dual cost in all weights.
    """

    steps: int
    primal: float
    dual: float
    gradient: float

    @property
    def gap(self) -> float:
        """Distance of primal and dual cost."""
        return abs(self.primal - self.dual)


def networks(*, seed: int = 0) -> dict[str, Network]:
    """Return the four kinds of network on 8 by 8 images; the deep ones with feedback."""
    local = Layer(units=2, stride=2, radius=2.0)
    image = Grid(8, 8)
    return {
        "single": layered(image, [Layer(units=4)], seed=seed),
        "structured": layered(image, [local], seed=seed),
        "deep": layered(image, [Layer(units=4), Layer(units=2)], feedback=FEEDBACK, seed=seed),
        "deep structured": layered(
            image, [local, Layer(units=2, stride=2, radius=1.5, lateral_radius=2.0)], feedback=FEEDBACK, seed=seed
        ),
    }


def digits(samples: int, *, seed: int = 0) -> Float[np.ndarray, "samples 8 8"]:
    """Digits that are part of scikit-learn, between 0 and 1, minus the mean of each image."""
    images = np.asarray(load_dataset("digits").x_train, float)
    x = images[np.random.default_rng(seed).permutation(len(images))[:samples]].reshape(-1, 8, 8)
    return (x - x.mean(axis=(1, 2), keepdims=True)) / np.ptp(images)


def compare(
    net: Network, x: Float[np.ndarray, "samples *image"], *, most: int | None = None, seed: int = 0
) -> list[Comparison]:
    """Compare rule and gradient, pathway by pathway, in double precision.

    If `most` is given, so many synapses of each pathway are drawn at random and measured; by default all are.
    """
    rng = np.random.default_rng(seed)
    with jax.enable_x64(True):
        out = relax(net, x, tolerance=TOLERANCE, max_steps=MOST_STEPS)
        rules = local_rules(net, {name: np.asarray(r) for name, r in out.states.items()})
        changes = GradientRule().change(net, (out.states,), None, {}).parameters
        derived = [p.connectivity.to_dense(w) for p, w in zip(net.pathways, changes, strict=True)]
        synapses = [np.argwhere(structure(p) > 0) for p in net.pathways]
        chosen = [_chosen(p, pairs, most, rng) for p, pairs in zip(net.pathways, synapses, strict=True)]
        derivatives = dual_differences(net, x, out, chosen)
    return [
        Comparison(
            pathway=f"{p.pre} to {p.post}" if p.signs < 0 else f"within {p.post}",
            synapses=len(pairs),
            rule=rule[tuple(some.T)],
            gradient=p.signs * derivative / 2,
            library_error=float(np.linalg.norm(own - rule) / np.linalg.norm(rule)),
        )
        for p, pairs, some, rule, own, derivative in zip(
            net.pathways, synapses, chosen, rules, derived, derivatives, strict=True
        )
    ]


def _chosen(pathway: Pathway, pairs: Pairs, most: int | None, rng: np.random.Generator) -> Pairs:
    # A lateral weight and its mirror image are the same number.
    free = pairs if pathway.signs < 0 else pairs[pairs[:, 0] <= pairs[:, 1]]
    return free if most is None else free[np.sort(rng.permutation(len(free))[:most])]


def structure(pathway: Pathway) -> Matrix:
    """Structure constants c of a pathway; 0 where no synapse exists."""
    c = jax.tree.map(lambda w, s: jnp.ones_like(w) * s, pathway.weights, pathway.connectivity.structure)
    return np.asarray(pathway.scale) * pathway.connectivity.to_dense(c)


def local_rules(net: Network, r: dict[str, Float[np.ndarray, "neurons samples"]]) -> list[Matrix]:
    """Equation (11) for a chain of layers, written in NumPy: outer products of activities minus a decay.

    The result is the mean of the changes for single samples.
    """
    gamma = {p.pre: p.feedback for p in net.feedforward}
    changes = []
    for pathway in net.pathways:
        height = net.layers.index(pathway.post) + 1 - len(net.layers)  # p - P
        below = next(p for p in net.feedforward if p.post == pathway.post)
        factor = (gamma.get(pathway.post) or below.feedback) ** height if len(net.layers) > 1 else 1.0
        c, weights = structure(pathway), np.asarray(pathway.to_dense(), float)
        exists = c > 0
        together = r[pathway.post] @ r[pathway.pre].T / r[pathway.pre].shape[1]
        heard = 1 + gamma.get(pathway.post, 0.0) if pathway.signs > 0 else 1.0
        decay = np.divide(weights, heard * c, out=np.zeros_like(weights), where=exists)
        eta = 0.5 if pathway.signs > 0 else 1.0
        changes.append(np.where(exists, eta * factor * (together - decay), 0))
    return changes


def dual_differences(
    net: Network, x: Float[np.ndarray, "samples *image"], out: Relaxation, chosen: list[Pairs]
) -> list[Float[np.ndarray, " measured"]]:
    """Central differences of the dual cost in the chosen weights of every pathway; the network relaxes again for each.

    A lateral weight moves together with its mirror image, because the matrix is symmetric, and gets half of the effect.
    """
    numbers, own, mirrored, start = [], [], [], 1.0
    for pathway, pairs in zip(net.pathways, chosen, strict=True):
        shape = pathway.connectivity.post.size, pathway.connectivity.pre.size
        # Every synapse gets a number, by which it is found in the layout of its connectivity.
        numbers.append(pathway.connectivity.gather(start + np.arange(np.prod(shape), dtype=float).reshape(shape)))
        own.append(start + np.ravel_multi_index(tuple(pairs.T), shape))
        other = pairs if pathway.signs < 0 else pairs[:, ::-1]
        mirrored.append(start + np.ravel_multi_index(tuple(other.T), shape))
        start += np.prod(shape)
    a, b = np.concatenate(own), np.concatenate(mirrored)
    inputs = check_inputs(net, x)
    differences = np.asarray(_differences(net, inputs, out.potentials, tuple(numbers), jnp.asarray(a), jnp.asarray(b)))
    return np.split(differences / np.where(a == b, 1, 2), np.cumsum([len(pairs) for pairs in chosen])[:-1])


@eqx.filter_jit
def _differences(
    net: Network,
    inputs: Activities,
    potentials: Activities,
    numbers: tuple[PyTree, ...],
    own: Float[Array, " measured"],
    mirrored: Float[Array, " measured"],
) -> Float[Array, " measured"]:
    def difference(pair: tuple[Array, Array]) -> Array:
        def cost(size: Array) -> Array:
            move = jax.tree.map(lambda w, n: w + size * ((n == pair[0]) | (n == pair[1])), net.weights, numbers)
            moved = net.with_weights(move)
            settled = settle(moved, inputs, Accelerated(), jnp.asarray(TOLERANCE), MOST_STEPS, potentials)
            return 2 * total_cost(moved, settled.states)

        down, up = jax.lax.map(cost, jnp.array([-STEP, STEP]))
        return (up - down) / (2 * STEP)

    return jax.lax.map(difference, (own, mirrored))


def learning(
    net: Network,
    x: Float[np.ndarray, "samples *image"],
    *,
    steps: int,
    rate: float,
    points: int = 40,
    work: Path | None = None,
) -> tuple[Network, list[Point]]:
    """Learn by the local rules from the whole data set, and measure costs and gradient at about `points` steps.

    Parameters
    ----------
    net : Network
    x : array of samples
    steps : int
    rate : float
    points : int
    work : Path, optional
        Folder in which the run is kept while it learns.

    Returns
    -------
    network : Network
        The network after 1/20 of the points.
    points : list of Point
    """
    every = max(1, steps // points)
    early = every * max(1, -(-steps // every) // 20)
    with jax.enable_x64(True):
        found, begun, networks = [_point(net, x, 0)], 0, []
        for name, until in (("early", early), ("late", steps)):
            checkpoints = None if work is None else Checkpoints(work / name)
            notes: dict[str, Any] = {} if checkpoints is None else checkpoints.notes

            def observe(now: Network, report: Report, notes=notes, begun=begun) -> None:
                notes.setdefault("points", []).append(dataclasses.asdict(_point(now, x, begun + report.batches)))

            net, _ = train(
                net,
                (x for _ in range(until - begun)),
                rate=rate,
                ratio=PUBLISHED_RATIO,
                rule=GradientRule(),
                report_every=every,
                tolerance=1e-8,
                progress=False,
                observe=observe,
                checkpoints=checkpoints,
            )
            networks.append(net)
            found += [Point(**own) for own in notes.get("points", [])]
            begun = until
    return networks[0], found


def _point(net: Network, x: np.ndarray, steps: int) -> Point:
    out = relax(net, x, tolerance=TOLERANCE, max_steps=MOST_STEPS)
    change = GradientRule().change(net, (out.states,), None, {}).parameters
    length = 2 * float(jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(change))))
    return Point(steps, similarity_cost(net, out), objective(net, out), length)


@dataclasses.dataclass(frozen=True, eq=False)
class Claim:
    """Results for one kind of network.

    Attributes
    ----------
    name : str
        Kind of the network.
    before, during : list of Comparison
        Comparisons with the initial weights, and after 1/20 of the steps. At the end of learning the gradient vanishes.
    points : list of Point
        Costs over learning.
    """

    name: str
    before: list[Comparison]
    during: list[Comparison]
    points: list[Point]


def gradients(
    *,
    samples: int,
    most: int | None,
    steps: int,
    rate: float,
    seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
    work: Path | None = None,
) -> Iterator[Claim]:
    """Check the claim for every kind of network: rules against gradients, and both costs over learning.

    The folder `work` keeps what was learned, so that the same run goes on from there after an interruption.
    """
    x = digits(samples, seed=seed)
    with jax.enable_x64(True):
        kinds = networks(seed=seed)
    for name, net in kinds.items():
        say(f"{name}: moving every weight" if most is None else f"{name}: moving {most} weights a pathway")
        before = compare(net, x, most=most, seed=seed)
        say(f"{name}: learning")
        own = None if work is None else work / name.replace(" ", "-")
        early, points = learning(net, x, steps=steps, rate=rate, work=own)
        say(f"{name}: moving weights again, during learning")
        during = compare(early, x, most=most, seed=seed)
        yield Claim(name, before, during, points)

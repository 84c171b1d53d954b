"""The linear cases of the paper, whose optimum is known: angles between what a network learns and this optimum."""

import dataclasses

import jax
import numpy as np
import scipy.linalg
from jaxtyping import Float

from ...learning import AveragingRule, RegressionRule, train
from ...models import multiview_network
from ...network import Network

SAMPLES, COMPONENTS, PASSES, CLASSES = 400, 2, 400, 4
Views = dict[str, Float[np.ndarray, "samples _"]]


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How near a linear network came to its optimum.

    Attributes
    ----------
    case : str
    angle : float
        Largest angle between the learned subspace and that of the optimum, in radians.
    eigenvalues : float
        Largest relative error of the eigenvalues of the lateral weights.
    """

    case: str
    angle: float
    eigenvalues: float


def agreements(seed: int = 0) -> list[Agreement]:
    """Learn both cases from synthetic data in double precision, in batches of all samples."""
    rng = np.random.default_rng(seed)
    x, z = _labelled(rng)
    a, b = _correlated(rng)
    with jax.enable_x64(True):
        return [
            _agreement("labels whitened, input weighted: joint principal components", {"x": x, "z": z}, ["z"], seed),
            _agreement("two views, both whitened: canonical correlations", {"a": a, "b": b}, ["a", "b"], seed),
        ]


def _agreement(case: str, views: Views, whitened: list[str], seed: int) -> Agreement:
    sizes = {name: view.shape[1] for name, view in views.items()}
    net = multiview_network(
        sizes, COMPONENTS, regularisers=dict.fromkeys(whitened, "whiten"), activation="linear", seed=seed
    )
    net, _ = train(
        net,
        views,
        rule=RegressionRule(AveragingRule()),
        epochs=PASSES,
        batch_size=SAMPLES,
        tolerance=1e-9,
        progress=False,
    )
    values, vectors = _optimum(views, whitened)
    learned = np.linalg.eigvalsh(net.lateral[0].to_dense())
    return Agreement(
        case,
        float(np.max(scipy.linalg.subspace_angles(_map(net, views).T, vectors))),
        float(np.max(np.abs(learned / values - 1))),
    )


def _map(net: Network, views: Views) -> Float[np.ndarray, "components inputs"]:
    """Linear map from all inputs, stacked, to the units."""
    weights = [pathway.to_dense() for pathway in net.pathways if pathway.pre in views]
    return np.linalg.solve(net.lateral[0].to_dense(), np.hstack(weights))


def _optimum(views: Views, whitened: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Largest generalised eigenvalues and vectors of the covariance, against that of the whitened inputs alone."""
    joint = np.hstack(list(views.values()))
    covariance = joint.T @ joint / len(joint)
    own = scipy.linalg.block_diag(
        *(v.T @ v / len(v) if name in whitened else np.eye(v.shape[1]) for name, v in views.items())
    )
    values, vectors = scipy.linalg.eigh(covariance, own)
    return values[-COMPONENTS:], vectors[:, -COMPONENTS:]


def _labelled(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Inputs with a mean by class, and one-hot labels of unequal frequencies."""
    y = rng.choice(CLASSES, SAMPLES, p=[0.4, 0.3, 0.2, 0.1])
    x = 1.5 * rng.normal(size=(CLASSES, 6))[y] + rng.normal(size=(SAMPLES, 6)) * np.linspace(0.3, 2, 6)
    return x, np.eye(CLASSES)[y]


def _correlated(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two views with two directions in common, mixed."""
    common = rng.normal(size=(SAMPLES, COMPONENTS))
    a = np.hstack([common + 0.4 * rng.normal(size=common.shape), rng.normal(size=(SAMPLES, 4))])
    b = np.hstack([common * [1, -1] + 0.8 * rng.normal(size=common.shape), rng.normal(size=(SAMPLES, 3))])
    return a @ rng.normal(size=(6, 6)), b @ rng.normal(size=(5, 5))

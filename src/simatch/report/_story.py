"""Figures of a run: features of its units, similarity matrices of its layers, and the course of learning."""

import dataclasses

import matplotlib.figure
import numpy as np
from jaxtyping import Float, Int

from .. import analysis
from ..learning import Certificate, Report, encode
from ..network import Network
from ._figures import curves, mosaic, overview, similarity_matrices
from ._page import Figure

MOST_SEEN, MOST_COMPARED = 2000, 200


@dataclasses.dataclass(frozen=True, eq=False)
class Story:
    """Features and similarities of a network, computed once for all figures.

    Attributes
    ----------
    features : dict of str to array of shape (count, height, width, channels)
        By title: receptive fields of the first layer, reverse correlations of the layers above.
    matrices : dict of str to array of shape (samples, samples)
        By title: similarity matrices of the input and of every layer.
    labels : array of shape (samples,), or None
        Classes of the samples of the matrices.
    reports : list of Report
    history : list of (int, Certificate)
        Number of samples seen, and the distance from the optimum of learning at that time.
    titles : dict of str to str
        Title of each layer by its name.
    """

    features: dict[str, Float[np.ndarray, "_ _ _ _"]]
    matrices: dict[str, Float[np.ndarray, "samples samples"]]
    labels: np.ndarray | None
    reports: list[Report]
    history: list[tuple[int, Certificate]]
    titles: dict[str, str]

    @classmethod
    def of(
        cls,
        network: Network,
        reports: list[Report],
        history: list[tuple[int, Certificate]],
        x: Float[np.ndarray, "samples height width channels"],
        labels: Int[np.ndarray, " samples"] | None = None,
        classes: tuple[str, ...] = (),
        *,
        seed: int = 0,
    ) -> "Story":
        """Compute features and similarities of a trained network on preprocessed samples.

        Parameters
        ----------
        network : Network
            A chain with one input, as `simatch.layered` makes them.
        reports : list of Report
        history : list of (int, Certificate)
            Number of samples seen, and the distance from the optimum at that time, from before learning to after it.
        x : array of shape (samples, height, width, channels)
            Preprocessed samples; at most the first 2,000 are used.
        labels : int array of shape (samples,), optional
        classes : tuple of str
            Names of the classes.
        seed : int
            Seed of the choice of samples for the similarity matrices, at least 0.

        Returns
        -------
        Story
        """
        titles = {name: f"Layer {i}" for i, name in enumerate(network.layers, start=1)}
        few = x[:MOST_SEEN]
        activities = dict(
            zip(
                network.layers,
                _by_layer(network, encode(network, few, layers=network.layers, batch_size=MOST_COMPARED)),
                strict=True,
            )
        )
        features = {}
        for name, title in titles.items():
            first = name == network.layers[0]
            images = (
                analysis.receptive_fields(network.feedforward[0])
                if first
                else analysis.reverse_correlation(activities[name], few)
            )
            chosen = _spread(images, network.populations[name].grid.units)
            features[f"{title}: {'weights' if first else 'mean input, weighted by activity'}"] = _near(chosen)
        if labels is None or len(np.unique(labels[:MOST_SEEN])) < 2:
            chosen, names = np.arange(min(MOST_COMPARED, len(few))), None
        else:
            kinds = np.unique(labels[:MOST_SEEN])[:10]
            chosen = analysis.class_samples(labels[:MOST_SEEN], 20, seed=seed)
            chosen = chosen[np.isin(labels[chosen], kinds)]
            names = labels[chosen] if not classes else np.array(classes)[labels[chosen]]
            if names.dtype.kind == "U" and all(str(n).isdecimal() and len(str(n)) < 19 for n in names):
                names = names.astype(int)
        states = {"Input": few, **{titles[name]: r for name, r in activities.items()}}
        matrices = {title: analysis.similarity(r[chosen]) for title, r in states.items()}
        return cls(features, matrices, names, reports, history, titles)

    def contrast(self) -> dict[str, float] | None:
        """Similarity contrast of the classes (`analysis.similarity_contrast`) by title; None without labels."""
        if self.labels is None:
            return None
        return {title: analysis.similarity_contrast(m, self.labels) for title, m in self.matrices.items()}

    def figures(self) -> list[Figure]:
        """Draw the figures of a page."""
        sorted_by = "" if self.labels is None else ", sorted by class"
        return [
            Figure(
                "features",
                mosaic(self.features, note=_key(next(iter(self.features.values())).shape[-1])),
                "What units respond to. First layer: the weights of each unit on the image, or on the part of it that "
                "the unit sees if that is small. Layers above: the mean of the inputs, each weighted by the activity "
                "that it elicits (reverse correlation).",
            ),
            Figure(
                "similarities",
                similarity_matrices(self.matrices, self.labels),
                f"Similarity of every pair of {len(next(iter(self.matrices.values())))} samples{sorted_by}, in the "
                "input and in each layer, on one colour scale.",
            ),
            Figure(
                "learning",
                curves(self.reports, self.history, titles=self.titles),
                "Over the samples learned from. Above, on held-out samples: learning descends the dual cost in the "
                "feedforward weights and ascends it in the lateral ones; at the optimum it equals the primal cost. The "
                "distance from the optimum is the sum over all pathways of the difference between their shares of the "
                "two, relative to the primal cost; part of it is due to the choice of the samples. Below: the largest "
                "residual of the neural dynamics; and how many activities are near a bound and how many units never "
                "respond.",
                format="svg",
            ),
        ]

    def overview(self) -> matplotlib.figure.Figure:
        """Draw features, similarity matrices and costs in one figure."""
        return overview(self.features, self.matrices, self.labels, self.history)


def _key(channels: int) -> str:
    """How to read the colours of features with so many channels."""
    if channels == 3:
        return (
            "mid grey: 0; a positive weight brightens its colour, a negative one darkens it; light grey: no synapse; "
            "each scaled by its largest"
        )
    mean = "" if channels == 1 else f"mean of {channels} channels; "
    return f"{mean}red: positive, white: 0, blue: negative, grey: no synapse; each scaled by its largest"


def _by_layer(network: Network, features: np.ndarray) -> list[np.ndarray]:
    ends = np.cumsum([network.populations[name].grid.size for name in network.layers])
    return np.split(features, ends[:-1], axis=1)


def _near(images: np.ndarray) -> np.ndarray:
    """Cut images to windows of one size around what is not 0, if that is at most half of their height and width."""
    rows, columns = (_window(np.asarray(images.any(axis=axes))) for axes in ((2, 3), (1, 3)))
    if 2 * rows.shape[1] > images.shape[1] or 2 * columns.shape[1] > images.shape[2]:
        return images
    return images[np.arange(len(images))[:, None, None], rows[:, :, None], columns[:, None, :]]


def _window(seen: np.ndarray) -> np.ndarray:
    """For each row, indices that include all places where it is true, as many for every row."""
    first, after = seen.argmax(axis=1), seen.shape[1] - seen[:, ::-1].argmax(axis=1)
    size = int(np.max((after - first)[seen.any(axis=1)], initial=1))
    return np.minimum(first, seen.shape[1] - size)[:, None] + np.arange(size)


def _spread(images: np.ndarray, units: int, most: int = 96) -> np.ndarray:
    """Features of all units of some sites, which are spread evenly over the layer."""
    sites = len(images) // units
    count = max(1, min(sites, most // units))
    chosen = np.linspace(0, sites - 1, count + 2)[1:-1].round().astype(int) if count < sites else np.arange(sites)
    return images.reshape(sites, units, *images.shape[1:])[chosen].reshape(-1, *images.shape[1:])[:most]

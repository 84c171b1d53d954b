"""The estimators with defaults only, beside scikit-learn in the same run: ``python -m benchmarks.defaults``.

Nothing is tuned: every estimator of either library has its defaults, except for the number of components and the seed.
"""

import argparse
import ast
import importlib.util
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets, decomposition
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA, IncrementalPCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import normalized_mutual_info_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from simatch.data import load_dataset
from simatch.estimators import DeepSimilarityMatching, SimilarityMatching
from simatch.readout import LinearReadout

# Without the types that scikit-learn's loaders have for their other forms of call.
DATASETS: Any = datasets
DECOMPOSITION: Any = decomposition
# What was measured, with which method, the figure, and seconds.
Row = tuple[str, str, str, float]
SEEDS = 3
FITS = 3
PACKAGES = ("sklearn", "scipy", "numpy", "matplotlib")


def mnist(count: int = 60_000) -> tuple[np.ndarray, np.ndarray]:
    """Pixels between 0 and 1, a row for each training image, and labels."""
    data = load_dataset("mnist")
    assert data.y_train is not None
    return data.x_train[:count].reshape(count, -1).astype(np.float32), data.y_train[:count]


def texts(count: int = 203) -> tuple[np.ndarray, np.ndarray]:
    """TF-IDF of so many long docstrings of each of four packages, found without importing them, and the packages."""
    documents, labels = [], []
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        own = list(_docstrings(Path(spec.origin).parent))
        chosen = np.random.default_rng(0).permutation(len(own))[:count]
        documents += [own[i] for i in chosen]
        labels += [package] * len(chosen)
    vectors = TfidfVectorizer(stop_words="english", max_features=7000).fit_transform(documents)
    return vectors.toarray(), np.array(labels)


def _docstrings(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*.py")):
        if "tests" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                text = ast.get_docstring(node)
                if text and len(text) > 800:
                    yield text


def captured(filters: np.ndarray, x: np.ndarray) -> float:
    """Share of the largest variance that so many dimensions can have, for the space that the rows of `filters` span."""
    x = x - x.mean(axis=0)
    moments = (x.T @ x).astype(float)
    span = np.linalg.qr(np.asarray(filters, float).T).Q
    return float(np.trace(span.T @ moments @ span) / np.sum(np.linalg.eigvalsh(moments)[-len(filters) :]))


def subspace(x: np.ndarray, components: int, name: str) -> Iterator[Row]:
    """Rows of one data set: the share of the optimal variance, and the median of seconds of some fits."""
    x = x - x.mean(axis=0)
    methods = {
        "SimilarityMatching": SimilarityMatching(components, random_state=0),
        "IncrementalPCA": IncrementalPCA(components),
        "PCA": PCA(components),
    }
    for method, estimator in methods.items():
        if method == "SimilarityMatching":
            estimator.fit(x)  # compiles
        seconds = float(np.median([_seconds(lambda own=estimator: own.fit(x)) for _ in range(FITS)]))
        size = float(np.sqrt(np.mean(x**2)))
        # Responses to unit vectors, less that to 0, which analyses that centre have.
        responses = estimator.transform(np.vstack([np.zeros(x.shape[1]), size * np.eye(x.shape[1])]).astype(x.dtype))
        share = captured((responses[1:] - responses[0]).T, x)
        yield f"{name} to {components}, share of the optimal variance", method, f"{share:.4f}", seconds


def mnist_16() -> Iterator[Row]:
    """784 pixels to 16 components."""
    return subspace(mnist()[0], 16, "MNIST")


def mnist_64() -> Iterator[Row]:
    """784 pixels to 64 components."""
    return subspace(mnist()[0], 64, "MNIST")


def digits() -> Iterator[Row]:
    """64 pixels to 8 components."""
    return subspace(DATASETS.load_digits().data / 16, 8, "digits")


def text(components: int = 20) -> Iterator[Row]:
    """Which package a docstring is from, read out of a few features of its TF-IDF vector."""
    x, y = texts()
    train, test = train_test_split(np.arange(len(x)), random_state=0, stratify=y)
    methods = {
        "SimilarityMatching": SimilarityMatching(components, random_state=0),
        "TruncatedSVD": TruncatedSVD(components, random_state=0),
        "NMF": DECOMPOSITION.NMF(components, random_state=0, init="nndsvda"),
    }
    for method, estimator in methods.items():
        seconds = _seconds(lambda own=estimator: own.fit(x[train]))
        score = _readout(estimator.transform(x[train]), y[train], estimator.transform(x[test]), y[test])
        shape = f"{x.shape[0]} x {x.shape[1]}"
        yield f"TF-IDF {shape} to {components}, accuracy of a readout", method, f"{score:.3f}", seconds


def clusters() -> Iterator[Row]:
    """Normalised mutual information of the most active of 10 units and the label, averaged over the seeds."""
    for name, (x, y) in {
        "digits": (DATASETS.load_digits().data / 16, DATASETS.load_digits().target),
        "MNIST, 10,000": mnist(10_000),
    }.items():
        yield from clustered(x, y, name)


def clustered(x: np.ndarray, y: np.ndarray, name: str, seeds: int = SEEDS) -> Iterator[Row]:
    """Rows of one data set."""
    centred = x - x.mean(axis=0)
    methods: dict[str, tuple[np.ndarray, Callable]] = {
        "SimilarityMatching, relu": (
            x,
            lambda s, own: SimilarityMatching(10, activation="relu", random_state=s).fit_transform(own).argmax(1),
        ),
        "the same, centred": (
            centred,
            lambda s, own: SimilarityMatching(10, activation="relu", random_state=s).fit_transform(own).argmax(1),
        ),
        "MiniBatchNMF": (x, lambda s, own: DECOMPOSITION.MiniBatchNMF(10, random_state=s).fit_transform(own).argmax(1)),
        "KMeans": (x, lambda s, own: KMeans(10, random_state=s).fit_predict(own)),
    }
    for method, (data, found) in methods.items():
        began = time.perf_counter()
        scores = [normalized_mutual_info_score(y, found(seed, data)) for seed in range(seeds)]
        seconds = (time.perf_counter() - began) / seeds
        yield f"{name} to 10 clusters, NMI", method, f"{np.mean(scores):.3f}", seconds


def untrained() -> Iterator[Row]:
    """Readout of learned features beside features of the same network before learning."""
    images, labels = mnist(12_000)
    scaled = StandardScaler().fit_transform
    data = {
        "wine": (scaled(DATASETS.load_wine().data), DATASETS.load_wine().target, SEEDS),
        "breast cancer": (scaled(DATASETS.load_breast_cancer().data), DATASETS.load_breast_cancer().target, SEEDS),
        "digits": (DATASETS.load_digits().data / 16, DATASETS.load_digits().target, SEEDS),
        "MNIST, 10,000": (images, labels, 1),
    }
    estimators = {
        "SimilarityMatching": SimilarityMatching(),
        "SimilarityMatching, relu": SimilarityMatching(activation="relu"),
        "DeepSimilarityMatching": DeepSimilarityMatching(),
    }
    for name, (x, y, seeds) in data.items():
        for method, estimator in estimators.items():
            scores = np.mean([versus_untrained(estimator, x, y, seed) for seed in range(seeds)], axis=0)
            yield f"{name}, readout before and after learning", method, f"{scores[0]:.3f}  {scores[1]:.3f}", np.nan


def versus_untrained(estimator: Any, x: np.ndarray, y: np.ndarray, seed: int) -> tuple[float, float]:
    """Accuracy of a readout of the network before learning, and after it."""
    share = 2000 if len(x) > 10_000 else 0.5
    train, test = train_test_split(np.arange(len(x)), test_size=share, random_state=seed, stratify=y)
    before: Any = clone(estimator)
    before.set_params(random_state=seed)
    before.network_, before.unit_, _ = before._initial(before._validated(x[train], reset=True))
    after: Any = clone(estimator)
    after.set_params(random_state=seed).fit(x[train])
    first, last = (
        _readout(own.transform(x[train]), y[train], own.transform(x[test]), y[test]) for own in (before, after)
    )
    return first, last


def deep() -> Iterator[Row]:
    """Error of a linear readout of the deep estimator's features, 10,000 images to learn from and 10,000 to test."""
    data = load_dataset("mnist")
    assert data.y_train is not None
    assert data.y_test is not None
    assert data.x_test is not None
    train, test = (a.reshape(len(a), -1)[:10_000] for a in (data.x_train, data.x_test))
    y, y_test = data.y_train[:10_000], data.y_test[:10_000]
    estimator = DeepSimilarityMatching(random_state=0)
    seconds = _seconds(lambda: estimator.fit(train))
    for method, own, own_test in (
        ("DeepSimilarityMatching", estimator.transform(train), estimator.transform(test)),
        ("pixels", train, test),
    ):
        error = 1 - np.mean(LinearReadout().fit(own, y).predict(own_test) == y_test)
        yield "MNIST, 10,000, error of a linear readout", method, f"{100 * error:.1f} %", seconds
        seconds = np.nan


def _readout(x: np.ndarray, y: np.ndarray, x_test: np.ndarray, y_test: np.ndarray) -> float:
    """Accuracy of logistic regression on standardised features."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x, y).score(x_test, y_test)


def _seconds(task: Callable[[], object]) -> float:
    began = time.perf_counter()
    task()
    return time.perf_counter() - began


ROWS: dict[str, Callable[[], Iterator[Row]]] = {
    own.__name__: own for own in (digits, text, clusters, untrained, deep, mnist_16, mnist_64)
}


def main() -> None:
    """Print the rows, and the warnings in between."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=ROWS, help="a row; may be repeated")
    for name in parser.parse_args().only or ROWS:
        for what, method, value, seconds in ROWS[name]():
            print(f"{what:58} {method:26} {value:>14} {seconds:8.2f} s", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()

"""Estimators that learn from streams: written to a folder and read, with what learning goes on from."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import simatch as sm
from simatch.estimators import (
    ContrastivePCA,
    KernelSimilarityMatching,
    NonnegativeICA,
    OnlineCCA,
    OnlineSFA,
    load,
    save,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 4)) @ RNG.normal(size=(4, 4))
SECOND, KINDS = X[:, :3] + RNG.normal(size=(200, 3)), np.arange(200) % 2
ESTIMATORS = {
    "canonical": (OnlineCCA(2, random_state=0), (SECOND,)),
    "slow": (OnlineSFA(2, random_state=0), ()),
    "contrastive": (ContrastivePCA(2, random_state=0), (KINDS,)),
    "kernel": (KernelSimilarityMatching(5, max_iter=2, random_state=0), ()),
    "sources": (NonnegativeICA(3, algorithm="interneurons", random_state=0), ()),
}


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.filterwarnings("ignore::UserWarning")  # few rows
def test_a_saved_estimator_goes_on_alike(name, method, tmp_path):
    estimator, others = ESTIMATORS[name]
    if (name, method) == ("sources", "fit"):
        estimator = estimator.set_params(max_iter=1)
    rows = slice(0, 120), slice(120, 200)
    getattr(estimator, method)(*(part[rows[0]] for part in (X, *others)))
    save(estimator, tmp_path / "it")
    again = load(tmp_path / "it")
    assert again.get_params() == estimator.get_params()
    np.testing.assert_array_equal(again.transform(X), estimator.transform(X))
    for own in (estimator, again):
        own.partial_fit(*(part[rows[1]] for part in (X, *others)))
    np.testing.assert_array_equal(again.transform(X), estimator.transform(X))
    assert again.n_samples_seen_ == estimator.n_samples_seen_
    if hasattr(estimator, "components_"):
        np.testing.assert_array_equal(again.components_, estimator.components_)


def test_a_kernel_given_as_an_object_cannot_be_saved(tmp_path):
    matching = KernelSimilarityMatching(3, kernel=sm.RadialKernel(1.0), max_iter=1, random_state=0)
    with pytest.raises(NotFittedError):
        save(matching, tmp_path / "it")
    with pytest.raises(ValueError, match=r"kernel=.* cannot be written"):
        save(matching.fit(X), tmp_path / "it")
    assert not (tmp_path / "it").exists()

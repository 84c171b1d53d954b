"""Every public function that takes arrays, with every kind of array: a right result, or a clear error.

The table is the page docs/inputs.md; ``python tests/test_inputs_table.py`` writes it anew.
"""

import dataclasses
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jaxtyping
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

import simatch as sm
from simatch import analysis
from simatch.data import Preprocessing
from simatch.estimators import DeepSimilarityMatching, SimilarityMatching
from simatch.learning import health, recalibrated
from simatch.readout import LinearReadout, choose_cost

PAGE = Path(__file__).parents[1] / "docs" / "inputs.md"

# Small whole numbers, which every type of number can hold.
X = np.random.default_rng(0).integers(0, 6, size=(12, 4)).astype(np.float32)
X[np.arange(12), np.arange(12) % 4] += 3
Y = np.arange(12) % 2
NET = sm.layered(4, [sm.Layer(units=2, activation="linear")])
# A power of two, by which numbers are scaled without rounding.
FACTOR = np.float32(2.0**100)


class Tensor:
    """What an array of another library offers: no more than its conversion."""

    def __init__(self, array):
        self._array = array

    def __array__(self, dtype=None, copy=None):
        return np.array(self._array, dtype=dtype)


def with_value(value):
    def spoiled(x):
        x = np.array(x, np.float32)
        x.flat[x.size // 2] = value
        return x

    return spoiled


def strided(x):
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


def frozen(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def masked(x):
    hidden = np.zeros(x.shape, bool)
    hidden.flat[1] = True
    return np.ma.masked_array(x, hidden)


def matrix_only(make):
    return lambda x: make(x) if x.ndim == 2 else None


# What is passed instead of a plain array of float32, and what the result must then be.
SAME, REFUSED, ANY = "same", "refused", "any"
KINDS: dict[str, tuple[Callable[[np.ndarray], Any], str]] = {
    "NaN": (with_value(np.nan), REFUSED),
    "infinity": (with_value(np.inf), REFUSED),
    "masked": (masked, REFUSED),
    "complex": (lambda x: x + 1j, REFUSED),
    "wrong rank": (lambda x: x.ravel()[0], REFUSED),
    "empty": (lambda x: x[:0], REFUSED),
    "one sample": (lambda x: x[:1], ANY),
    "constant": (np.ones_like, ANY),
    "huge": (lambda x: x * FACTOR, "scaled up"),
    "tiny": (lambda x: x / FACTOR, "scaled down"),
    "integers": (lambda x: x.astype(np.uint8), SAME),
    "float16": (lambda x: x.astype(np.float16), SAME),
    "float64": (lambda x: x.astype(np.float64), SAME),
    "strided": (strided, SAME),
    "read-only": (frozen, SAME),
    "list": (lambda x: x.tolist(), SAME),
    "DataFrame": (matrix_only(pd.DataFrame), SAME),
    "sparse": (matrix_only(scipy.sparse.csr_array), SAME),
    "tensor": (Tensor, SAME),
}


@dataclasses.dataclass(frozen=True)
class Case:
    """A function of one array.

    `degree` is the power with which its result grows with its argument; None if the result is no power, and near that
    of zeros for a tiny argument.
    """

    use: Callable[[Any], Any]
    argument: np.ndarray = dataclasses.field(default_factory=lambda: X)
    degree: float | None = None
    blind: bool = False  # whether it passes on values without a look at them


def images(x=X):
    return x.reshape(12, 2, 2, 1)


def weights(net):
    return [p.weights for p in net.pathways]


def costs(found):
    return found.primal, found.dual


def trained(x, **settings):
    return weights(sm.train(NET, x, rate=0.1, progress=False, **settings)[0])


def matching(**settings):
    settings = {"max_iter": 1, "tol": 0, "random_state": 0, **settings}
    return SimilarityMatching(2, **settings)


def deep(**settings):
    return DeepSimilarityMatching([3, 2], max_iter=1, tol=0, random_state=0, **settings)


MATCHING, DEEP, READOUT = matching().fit(X), deep().fit(X), LinearReadout().fit(X, Y)
ALIGNED = Preprocessing(mean_image=True, scale=1.0).fit(images())
SQUARE = np.minimum(X @ X.T, 200)
OUT = X[:, :2]

CASES: dict[str, Case] = {
    "relax": Case(lambda x: sm.relax(NET, x).states["layer1"], degree=1),
    "encode": Case(lambda x: sm.encode(NET, x), degree=1),
    "objective": Case(lambda x: sm.objective(NET, x)),
    "similarity_cost": Case(lambda x: sm.similarity_cost(NET, x)),
    "credit": Case(lambda x: sm.credit(NET, x).total()),
    "certificate": Case(lambda x: costs(sm.certificate(NET, x))),
    "train": Case(trained),
    "train (held_out)": Case(lambda x: trained(X, held_out=x)),
    "train (batches)": Case(lambda x: trained([x])),
    "training": Case(lambda x: weights(next(sm.training(NET, [x], rate=0.1))[0])),
    "epochs_of": Case(
        lambda x: np.sort(np.asarray(list(sm.epochs_of(x, batch_size=12))), axis=1), degree=1, blind=True
    ),
    "calibrate": Case(lambda x: weights(sm.calibrate(NET, x, batches=2))),
    "learning.recalibrated": Case(lambda x: weights(recalibrated(NET, x))),
    "sized": Case(lambda x: weights(sm.sized(NET, x))),
    "imprinted": Case(lambda x: weights(sm.imprinted(sm.layered(4, [sm.Layer(units=2, activation="relu")]), x))),
    "learning.health": Case(lambda x: health(NET, {"layer1": x})["layer1"].size, OUT.T.copy(), degree=1, blind=True),
    "Dense": Case(lambda x: sm.Dense(sm.Grid(1, 1, 4), sm.Grid(1, 1, 12), x).structure, degree=1),
    "Sparse": Case(lambda x: sm.Sparse(sm.Grid(1, 1, 4), sm.Grid(1, 1, 12), x).structure, degree=1),
    "SimilarityMatching.fit": Case(lambda x: matching().fit(x).components_, degree=0),
    "SimilarityMatching.partial_fit": Case(lambda x: matching().partial_fit(x).network_, degree=0),
    "SimilarityMatching.transform": Case(MATCHING.transform, degree=1),
    "SimilarityMatching.score": Case(MATCHING.score, degree=0),
    "SimilarityMatching.inverse_transform": Case(MATCHING.inverse_transform, OUT, degree=1),
    "DeepSimilarityMatching.fit": Case(lambda x: weights(deep().fit(x).network_), degree=0),
    "DeepSimilarityMatching.partial_fit": Case(lambda x: weights(deep().partial_fit(x).network_), degree=0),
    "DeepSimilarityMatching.transform": Case(DEEP.transform, degree=1),
    "DeepSimilarityMatching.score": Case(DEEP.score, degree=0),
    "LinearReadout.fit": Case(lambda x: LinearReadout(C=1e-2).fit(x, Y).coef_),
    "LinearReadout.decision_function": Case(READOUT.decision_function),
    "LinearReadout.predict": Case(READOUT.predict),
    "LinearReadout.score": Case(lambda x: READOUT.score(x, Y)),
    "readout.choose_cost": Case(lambda x: list(choose_cost(LinearReadout(), x, Y, X, Y, [1e-2])[1].values())),
    "Preprocessing.fit": Case(lambda x: Preprocessing(scale=1.0).fit(x).factor_, images(), degree=-1),
    "Preprocessing.fit_transform": Case(Preprocessing(scale=1.0, own_mean=True).fit_transform, images(), degree=0),
    "Preprocessing.transform": Case(ALIGNED.transform, images()),
    "analysis.similarity": Case(analysis.similarity, degree=0),
    "analysis.similarity (inner)": Case(lambda x: analysis.similarity(x, "inner"), degree=2),
    "analysis.similarity_contrast": Case(lambda x: analysis.similarity_contrast(x, Y), SQUARE, degree=1),
    "analysis.similarity_contrast (labels)": Case(lambda y: analysis.similarity_contrast(SQUARE, y), Y.astype("f4"), 0),
    "analysis.class_samples": Case(analysis.class_samples, Y.astype("f4"), 0),
    "analysis.reverse_correlation": Case(lambda r: analysis.reverse_correlation(r, X), degree=0),
    "analysis.reverse_correlation (inputs)": Case(lambda x: analysis.reverse_correlation(X, x), degree=1),
    "analysis.orientation_selectivity": Case(analysis.orientation_selectivity, degree=0),
    "analysis.sparseness": Case(analysis.sparseness, degree=0),
    "analysis.phase_scrambled": Case(analysis.phase_scrambled, images(), degree=1),
    "analysis.occluded": Case(lambda x: analysis.occluded(x, 1), images(), degree=1),
    "analysis.extent": Case(lambda x: analysis.extent(x, np.ones((12, 2))), (images() > 2)[..., 0].astype("f4"), 0),
}


def flat(result: Any) -> np.ndarray:
    return np.concatenate([np.ravel(np.asarray(leaf, float)) for leaf in jax.tree.leaves(result)])


def outcome(use: Callable[[Any], Any], x: Any) -> tuple[np.ndarray | Exception, bool]:
    """The result or the error, and whether a warning said that samples did not settle."""
    with warnings.catch_warnings(record=True) as given, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        try:
            return flat(use(x)), any("converge" in str(w.message) or "settled" in str(w.message) for w in given)
        except Exception as error:
            return error, False


def fault(error: Exception) -> str:
    """What is wrong with an error as an answer to a user's mistake; nothing if it is clear."""
    where = traceback.extract_tb(error.__traceback__)[-1].filename.replace("\\", "/")
    if not ("/simatch/" in where or "/sklearn/" in where):
        return f"raised in {where}: "
    if not isinstance(error, ValueError | TypeError | ArithmeticError):
        return f"a {type(error).__name__}: "
    return ""


def expected(case: Case, kind: str) -> np.ndarray | None:
    """The right result, from the plain array; None if it is not known."""
    wanted = KINDS[kind][1]
    power = {SAME: 0, "scaled up": 1, "scaled down": -1}.get(wanted)
    if power == 0 or (power is not None and case.degree is not None):
        return flat(case.use(case.argument)) * float(FACTOR) ** (power * (case.degree or 0))
    if wanted != "scaled down":
        return None
    near = outcome(case.use, np.zeros_like(case.argument))[0]
    return None if isinstance(near, Exception) else near


def judged(case: Case, kind: str) -> str:
    """The cell of the table: right, warned, as given, refused with a message, or what is wrong."""
    make, wanted = KINDS[kind]
    argument = make(case.argument)
    if argument is None:
        return "none"
    found, warned = outcome(case.use, argument)
    if isinstance(found, Exception):
        wrong = fault(found) or ("refused: " if wanted == SAME and kind != "sparse" else "")
        return f"WRONG: {wrong}{found}" if wrong else f"refused: {str(found).splitlines()[0]}"
    if wanted == REFUSED:
        return "as given" if case.blind else "WRONG: not refused"
    right = expected(case, kind)
    if right is None:
        return "right" if np.isfinite(found).all() else "WRONG: not finite"
    size = max(float(np.abs(right).max()), sys.float_info.min)
    if found.shape == right.shape and np.allclose(found, right, rtol=1e-4, atol=1e-5 * size):
        return "right"
    return "warned" if warned and kind == "tiny" else "WRONG: another result"


def table() -> dict[str, dict[str, str]]:
    jaxtyping.config.update("jaxtyping_disable", True)  # users pass what beartype would refuse in tests
    try:
        return {name: {kind: judged(case, kind) for kind in KINDS} for name, case in CASES.items()}
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


# What is said, word for word, for some functions; messages of scikit-learn change with its version.
QUOTED = "relax", "analysis.similarity", "Preprocessing.fit"
MARKS = {"right": "✓", "refused": "✗", "warned": "!", "as given": "=", "none": "–", "WRONG": "?"}
INTRODUCTION = """# Inputs

What every public function that takes an array does with every kind of array. `tests/test_inputs_table.py` makes this
page by calling each function with each kind, and fails if a cell is neither right nor a clear error. Do not edit it;
`python tests/test_inputs_table.py` writes it anew.

| mark | meaning |
|---|---|
| ✓ | the result for the same numbers in a contiguous array of float32, multiplied if they are huge or tiny |
| ✗ | refused with an error that says what is wrong, before anything has changed |
| ! | a result that is not right, with a warning that says so |
| = | passed on or described as given: the function does not look at the values |
| – | there is no such array: a sparse matrix or a DataFrame has two axes |

Huge and tiny numbers are those of the plain array times 2^100 and 2^-100. The results of one sample and of a constant
array are finite. "tensor" is an object of another library that offers only `__array__`, as those of PyTorch do.
"masked" is a NumPy array with masked values, which NumPy would take for numbers. A "wrong rank" is a single number.
"""


def page(cells: dict[str, dict[str, str]]) -> str:
    lines = [INTRODUCTION, f"| function | {' | '.join(KINDS)} |", "|---" * (len(KINDS) + 1) + "|"]
    for name, row in cells.items():
        lines.append(f"| `{name}` | {' | '.join(MARKS[cell.partition(':')[0]] for cell in row.values())} |")
    lines += ["", "## What is said"]
    for name in QUOTED:
        lines += ["", f"`{name}`:", ""]
        for kind, cell in cells[name].items():
            mark, _, message = cell.partition(": ")
            lines += [f"- {kind}: {message}"] if mark == "refused" else []
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def cells() -> dict[str, dict[str, str]]:
    return table()


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_array(name, cells):
    wrong = {kind: cell for kind, cell in cells[name].items() if cell.startswith("WRONG")}
    assert not wrong


def test_the_page_is_up_to_date(cells):
    assert PAGE.read_text(encoding="utf-8") == page(cells), "run python tests/test_inputs_table.py"


def test_a_wrong_result_would_be_seen():
    assert judged(Case(lambda x: np.nan_to_num(np.asarray(x))), "NaN") == "WRONG: not refused"
    assert judged(Case(lambda x: np.asarray(x) ** 2), "integers") == "right"
    assert judged(Case(lambda x: 100 * np.asarray(x)), "integers") == "WRONG: another result"  # uint8 overflows
    assert judged(Case(lambda x: x.mean()), "list").startswith("WRONG: raised in")
    assert judged(Case(lambda x: np.square(np.asarray(x), dtype="f4"), degree=2), "tiny") == "WRONG: another result"
    assert judged(Case(lambda x: {}[0]), "huge").startswith("WRONG")


if __name__ == "__main__":
    PAGE.write_text(page(table()), encoding="utf-8")

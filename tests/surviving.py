"""Long runs that other processes kill: ``python tests/surviving.py FOLDER`` trains by command, table and estimator.

Called again with the same folder it goes on where it was killed. Everything is small, and a checkpoint is written at
every report.
"""

import os
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from simatch.estimators import SimilarityMatching, save
from simatch.storage import _checkpoints


def made(folder: Path) -> Path:
    """Folder with a small data set in place of MNIST, and a file of the same images."""
    data = folder / "data"
    if not (data / "mnist.npz").is_file():
        data.mkdir(exist_ok=True)
        digits = load_digits()
        x = np.kron(digits.images[:600], np.ones((3, 3)))
        x = np.pad(x, ((0, 0), (2, 2), (2, 2))).astype(np.uint8) * 15
        y = digits.target[:600]
        np.savez(data / "own.npz", x=x[:400, ::2, ::2], y=y[:400])
        np.savez(data / "new.npz", x_train=x[:500], y_train=y[:500], x_test=x[500:], y_test=y[500:])
        (data / "new.npz").replace(data / "mnist.npz")
    return data


def commands(folder: Path, data: Path) -> list[list[str]]:
    """Commands of the run."""
    train = ["train", str(data / "own.npz"), "--units", "3", "--stride", "7", "--radius", "5", "--epochs", "8"]
    mnist = ["reproduce", "mnist", "--units", "4", "--seeds", "1", "--samples", "3000"]
    return [
        [*train, "--batch-size", "20", "--no-compare", "--out", str(folder / "train")],
        [*mnist, "--out", str(folder / "mnist")],
    ]


def main() -> None:
    """Do everything that is left."""
    _checkpoints.EVERY = 0.0
    folder = Path(sys.argv[1])
    os.environ["SIMATCH_DATA"] = str(made(folder))
    from simatch.cli import app

    for command in commands(folder, Path(os.environ["SIMATCH_DATA"])):
        app(command, standalone_mode=False)
    X = load_digits().data - load_digits().data.mean(axis=0)
    settings = {"random_state": 0, "batch_size": 40, "max_iter": 8, "tol": 0, "activation": "tanh"}
    fitted = SimilarityMatching(5, checkpoints=folder / "fit", **settings).fit(X)
    save(fitted, folder / "estimator", overwrite=True)


if __name__ == "__main__":
    main()

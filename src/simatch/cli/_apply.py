"""``simatch encode`` and ``simatch predict``: a finished run applied to new data."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ..console import Json, Overwrite, cache_compiled_programs, conclude, progress, reported

Run = Annotated[Path, typer.Argument(help="Folder of a finished run, or of a saved estimator.", show_default=False)]
Data = Annotated[str, typer.Argument(help="New data, as in `simatch train`.", show_default=False)]
ToFile = Annotated[
    Path, typer.Option(help="File for the result; .npz gets all parts with their labels, .npy needs data of one part.")
]


def encode_command(
    run: Run,
    data: Data,
    out: ToFile = Path("features.npz"),
    layer: Annotated[
        list[str] | None, typer.Option(help="Layers whose activities are joined; repeat it. [default: the last]")
    ] = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Encode new data with the network of a finished run, after the preprocessing that was fitted there.

    The file has the features of every part of the data under the name of the part (x_train, x_test), one row for each
    sample, and the labels if there are any.
    """
    with reported():
        _apply(run, data, out, overwrite, json, functools.partial(_features, layers=layer), "features", "x")


def predict_command(
    run: Run, data: Data, out: ToFile = Path("classes.npz"), overwrite: Overwrite = False, json: Json = False
) -> None:
    """Predict the classes of new data with the linear readout of a finished run.

    The file has the names of the predicted classes of every part of the data (y_train, y_test). If the data have
    labels, the error is told.
    """
    with reported():
        _apply(run, data, out, overwrite, json, _classes, "classes", "y")


def _apply(
    run: Path,
    data: str,
    out: Path,
    overwrite: bool,
    json: bool,
    applied: Callable[[Any, np.ndarray], np.ndarray],
    what: str,
    letter: str,
) -> None:
    from ..data import load_dataset

    _check_file(out, overwrite)
    cache_compiled_programs()
    model = _model(run)
    progress(f"Loading {data}.")
    dataset = load_dataset(data)
    parts = {"train": (dataset.x_train, dataset.y_train)}
    if dataset.x_test is not None:
        parts["test"] = (dataset.x_test, dataset.y_test)
    if out.suffix == ".npy" and len(parts) > 1:
        raise ValueError(f"The data have {len(parts)} parts, but {str(out)!r} can hold one; give --out a .npz file.")
    results, numbers = {}, {}
    for part, (x, y) in parts.items():
        progress(f"{len(x):,} samples of the part {part!r}.")
        found = results[f"{letter}_{part}"] = applied(model, x)
        numbers[part] = {"samples": len(x), "shape": list(found.shape)}
        names = None if y is None else np.asarray(dataset.classes)[y]
        if letter == "x" and names is not None:
            results[f"y_{part}"] = names
        if letter == "y" and names is not None:
            wrong = 100 * float(np.mean(found != names))
            numbers[part]["error_percent"] = wrong
            typer.echo(f"{part}: {wrong:.2f} % of {len(x):,} samples have another label", err=json)
    _write(out, results)
    conclude(f"{what.capitalize()}: {out}", {"out": str(out), "parts": numbers}, json=json)


def _check_file(out: Path, overwrite: bool) -> None:
    if out.suffix not in (".npy", ".npz"):
        raise ValueError(f"Results are written as .npy or .npz, not {out.suffix!r}; give --out such a name.")
    if not out.parent.is_dir():
        raise ValueError(f"There is no folder {str(out.parent)!r}; make it, or give --out another one.")
    if out.exists() and not overwrite:
        raise ValueError(f"The file {str(out)!r} exists; give --out another name, or add --overwrite.")


def _model(run: Path) -> Any:
    """Return the model or the estimator in a folder."""
    from .. import estimators, runs
    from ..storage import manifest_of

    if manifest_of(run).get("kind") in estimators.CLASSES:
        return estimators.load(run)
    return runs.Model.load(run)


def _features(model: Any, x: np.ndarray, *, layers: list[str] | None) -> np.ndarray:
    from ..runs import Model

    if isinstance(model, Model):
        return model.encode(x, layers)
    if not hasattr(model, "transform"):
        raise ValueError(f"A {type(model).__name__} predicts classes and has no features; use `simatch predict`.")
    if layers:
        raise ValueError("An estimator has the activities of its last layer only; leave --layer out.")
    return model.transform(x.reshape(len(x), -1))


def _classes(model: Any, x: np.ndarray) -> np.ndarray:
    from ..runs import Model

    if isinstance(model, Model):
        return model.predict(x)
    if not hasattr(model, "predict"):
        raise ValueError(f"A {type(model).__name__} has no readout; use `simatch encode`.")
    return np.asarray(model.predict(x.reshape(len(x), -1)), str)


def _write(out: Path, results: dict[str, np.ndarray]) -> None:
    import io

    from ..storage import write_atomically

    content = io.BytesIO()
    if out.suffix == ".npy":
        np.save(content, next(iter(results.values())), allow_pickle=False)
    else:
        np.savez(content, allow_pickle=False, **results)
    write_atomically(out, content.getvalue())

"""``simatch reproduce multiview``."""

import dataclasses
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...console import Json, Out, Overwrite, Quick, Seed, command_line, progress, reported
from .._command import published

if TYPE_CHECKING:
    from ...report import Figure, Page
    from ...storage import Draft
    from . import _labels as experiment

PUBLISHED = 1.6
TITLES = {False: "without labels", True: "with labels"}
REMARKS = (
    (
        "The published error, 1.6 % with and without labels, is that of 50 convolutional filters of 6 x 6 pixels, "
        "which share weights, pooled over 2 x 2 sites. Here every unit is connected to the whole image, so that the "
        "two are not comparable."
    ),
    (
        "Features are activities that settle without the label, also after learning with labels. The readout is a "
        "linear support vector machine on all training images; for the learning curve it is fitted on fewer."
    ),
    (
        "Own answers: the linear output of the network, which learns by least squares from activities without the "
        "label, while the network learns."
    ),
    (
        "Class contrast: mean cosine similarity of test images of the same class minus that of different classes, in "
        "the features without the label."
    ),
    "Angles are in radians, between the subspace of a linear network and that of the generalised eigenproblem.",
)


def multiview(
    out: Out = None, quick: Quick = False, seed: Seed = 0, overwrite: Overwrite = False, json: Json = False
) -> None:
    """Learn features of digits from images alone and from images with labels, which are one more input.

    Units connected to whole images of MNIST, or of the smaller digits with --quick, beside the published error of
    convolutional filters. Linear networks are compared with the eigenvectors that they should find.
    """
    with reported():
        from . import _labels as experiment

        setting = experiment.QUICK if quick else experiment.Setting()
        settings = {"quick": quick, "seed": seed, **dataclasses.asdict(setting)}
        published(
            lambda own, say: _computed(own, setting, seed, say),
            out,
            "multiview",
            settings,
            overwrite=overwrite,
            json=json,
        )


def _computed(
    own: "Draft", setting: "experiment.Setting", seed: int, say: Callable[[str], None]
) -> "tuple[Page, dict[str, Any]]":
    from ...data import load_dataset
    from ...report import Page, Table, provenance
    from ...storage import Checkpoints
    from . import _labels as experiment
    from ._linear import agreements

    began = time.perf_counter()
    images = experiment.Images.of(load_dataset(setting.data), seed)
    trained = {}
    for labels, title in TITLES.items():
        progress(f"{setting.units} units, {title}: learning from {len(images.x):,} images.")
        checkpoints = Checkpoints(own.work / title.replace(" ", "-"))
        trained[title] = experiment.learned(setting, images, labels=labels, seed=seed, checkpoints=checkpoints)
        say(f"{title}: {trained[title].error:.2f} % test error, {trained[title].seconds:.0f} s")
    pixels = experiment.pixels_error(images)
    progress("Linear networks, beside their eigenvectors.")
    checks = agreements(seed)
    numbers = {
        "rows": [
            {
                "features": title,
                "test_error_percent": one.error,
                "train_error_percent": one.train_error,
                "own_error_percent": one.own_error,
                "class_contrast": one.contrast,
                "seconds": one.seconds,
                "unconverged_samples": one.unconverged,
                "curve": one.curve,
            }
            for title, one in trained.items()
        ],
        "pixels_error_percent": pixels,
        "published_error_percent": PUBLISHED,
        "linear": [dataclasses.asdict(check) for check in checks],
        "settings": dataclasses.asdict(setting),
        "seed": seed,
        "seconds": time.perf_counter() - began,
    }
    first, second = trained.values()
    page = Page(
        title="Labels as one more input",
        lead=f"{setting.units} units with lateral synapses learn from {len(images.x):,} images, alone or together with "
        "the label, which is an input of whitened synapses. Without the label again, a linear readout of their "
        f"activities errs on {first.error:.2f} % of the test images after learning without labels, and on "
        f"{second.error:.2f} % after learning with them; of the pixels, on {pixels:.2f} %.",
        columns=(
            "features",
            "test error",
            "training error",
            "own answers, test error",
            "published, convolutional",
            "class contrast",
            "learning",
            "not settled",
        ),
        rows=[
            *(
                (
                    title,
                    f"{one.error:.2f} %",
                    f"{one.train_error:.2f} %",
                    "-" if one.own_error is None else f"{one.own_error:.2f} %",
                    f"{PUBLISHED:.1f} %" if setting.data == "mnist" else "-",
                    f"{one.contrast:.2f}",
                    f"{one.seconds:.0f} s",
                    f"{one.unconverged:,}",
                )
                for title, one in trained.items()
            ),
            ("pixels", f"{pixels:.2f} %", *("-",) * 6),
        ],
        tables=[
            Table(
                "Linear networks and their exact optimum",
                ("case", "angle of the subspaces", "largest relative error of an eigenvalue of the lateral weights"),
                [(check.case, f"{check.angle:.1e}", f"{check.eigenvalues:.1e}") for check in checks],
            )
        ],
        figures=_figures(setting, images, trained, seed),
        settings={**dataclasses.asdict(setting), "seed": seed, "seconds": f"{numbers['seconds']:.0f}"},
        provenance=provenance(command_line()),
        remarks=REMARKS,
    )
    return page, numbers


def _figures(
    setting: "experiment.Setting", images: "experiment.Images", trained: "dict[str, experiment.Learned]", seed: int
) -> "list[Figure]":
    import numpy as np

    from ... import analysis
    from ...report import Figure, learning_curves, mosaic, similarity_rows
    from . import _labels as experiment

    chosen = analysis.class_samples(images.y_test, setting.a_class, seed=seed)
    x, y = images.x_test[chosen], images.y_test[chosen]
    targets = np.eye(images.targets.shape[1], dtype=np.float32)[y]
    before = experiment.model(setting, images, seed).network
    plain, labelled = (one.network for one in trained.values())
    matrices = {
        "without labels": {
            "images": analysis.similarity(x),
            "before learning": analysis.similarity(experiment.features(before, x)),
            "after learning": analysis.similarity(experiment.features(plain, x)),
        },
        "with labels": {
            "images and labels": analysis.similarity(np.hstack([x, _whitened(targets, setting.label_weight)])),
            "after, label absent": analysis.similarity(experiment.features(labelled, x)),
            "after, label present": analysis.similarity(experiment.with_label(labelled, x, targets)),
        },
    }
    fields = {title: analysis.receptive_fields(one.network.feedforward[0]) for title, one in trained.items()}
    return [
        Figure(
            "learning",
            learning_curves(
                {title: [one.curve] for title, one in trained.items()}, error="test error of a linear readout, %"
            ),
            "Test error of a linear readout of the features, without labels in both cases, over the passes.",
            format="svg",
        ),
        Figure(
            "similarities",
            similarity_rows(matrices, y),
            f"Cosine similarity of every pair of {len(x)} test images, sorted by class. Labels make the activities of "
            "a class alike while the network learns; without the label less of it remains.",
        ),
        Figure(
            "fields",
            mosaic(fields, note="red: positive, white: 0, blue: negative; each scaled by its largest"),
            "Weights of units on the image.",
        ),
    ]


def _whitened(targets: Any, weight: float) -> Any:
    """One-hot labels times the inverse root of their covariance, as they count in the similarity."""
    import numpy as np

    return targets * np.sqrt(weight / targets.shape[1] / targets.mean(axis=0))

"""``simatch reproduce kernel``."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...console import Json, Out, Overwrite, Quick, Seed, command_line, progress, reported
from .._command import published

if TYPE_CHECKING:
    from ...report import Page
    from ...storage import Draft

PUBLISHED = "97.5 %"


def kernel(
    out: Out = None, quick: Quick = False, seed: Seed = 0, overwrite: Overwrite = False, json: Json = False
) -> None:
    """Match a kernel of half moons and of digits by units with landmarks, and read the digits out linearly.

    Sixteen units learn a radial kernel of two moons, beside Nystroem and the best map of this rank. Then 800 units
    learn the third power of the cosine of MNIST images without labels; with --quick, 60 units that of smaller digits.
    After an interruption the same command resumes.
    """
    with reported():
        from ._kernel import QUICK, Setting

        settings = {"quick": quick, "seed": seed, **dataclasses.asdict(QUICK if quick else Setting())}
        published(_computed, out, "kernel", settings, overwrite=overwrite, json=json)


def _computed(own: "Draft", say: Callable[[str], None]) -> "tuple[Page, dict[str, Any]]":
    from ...data import load_dataset
    from ...report import Figure, Page, mosaic, provenance
    from ...storage import Checkpoints
    from . import _kernel_figures as draw
    from ._kernel import Setting, digits, moons

    quick, seed = own.settings["quick"], own.settings["seed"]
    setting = Setting(**{f.name: own.settings[f.name] for f in dataclasses.fields(Setting)})
    progress("Half moons: learning a radial kernel.")
    two = moons(seed)
    say(f"Half moons: {two.error:.3f} from the kernel; Nystroem {two.nystroem_error:.3f}; best {two.best:.3f}")
    progress(f"{setting.data}: {setting.units} units learn a kernel without labels.")
    images = digits(setting, load_dataset(setting.data), seed, checkpoints=Checkpoints(own.work / "digits"))
    say(f"{setting.data}: linear readout {100 - images.error:.2f} % right, of pixels {100 - images.pixels_error:.2f} %")
    rows = [
        ("moons, distance from the kernel", two.error, f"{two.nystroem_error:.3f}", f"{two.best:.3f}", "figure"),
        ("moons, linear readout right, %", two.readout, f"{two.plain:.1f} (points)", "", ""),
        (
            f"{setting.data}, linear readout right, %",
            100 - images.error,
            f"{100 - images.pixels_error:.2f} (pixels)",
            "",
            "" if quick else PUBLISHED,
        ),
        (f"{setting.data}, distance from the kernel", images.kernel_error, "", "", ""),
        (f"{setting.data}, seconds of learning", images.learning, "", "", ""),
        (f"{setting.data}, seconds of encoding and reading out", images.reading, "", "", ""),
    ]
    numbers = {
        "moons": {name: getattr(two, name) for name in ("error", "nystroem_error", "best", "plain", "readout")},
        "digits": {f.name: getattr(images, f.name) for f in dataclasses.fields(images) if f.name != "landmarks"},
        "published_right_percent": 97.5,
        "settings": own.settings,
    }
    page = Page(
        title="Activities that match a kernel",
        lead=f"The dot products of {two.activities.shape[1]} activities are {100 * two.error:.1f} % from a radial "
        f"kernel of two moons; no map of this rank is nearer than {100 * two.best:.1f} %. A linear readout of "
        f"{setting.units} units that learned from images without labels is right on {100 - images.error:.2f} % of the "
        "test images.",
        columns=("measure", "network", "beside it", "best of this rank", "published"),
        rows=[(title, f"{value:.2f}" if value > 1 else f"{value:.3f}", *rest) for title, value, *rest in rows],
        figures=[
            Figure(
                "moons",
                draw.activities(two),
                "Left: points of both moons, and the landmarks that the units have learned. Right: the activity of "
                "each unit; most respond to a piece of one moon.",
            ),
            Figure(
                "kernels",
                draw.kernels(two),
                "The kernel of points along the moons, the dot products of the activities, and those of features of "
                "scikit-learn's Nystroem with as many random landmarks.",
            ),
            Figure(
                "spectra",
                draw.spectra(two),
                "Eigenvalues of the kernel and of both approximations, which have as many as there are units.",
                format="svg",
            ),
            Figure(
                "landmarks",
                mosaic({"Landmarks": images.landmarks[..., None]}, note="each scaled by its largest magnitude"),
                "Landmarks of units that learned from images.",
            ),
        ],
        settings=own.settings,
        provenance=provenance(command_line()),
        remarks=(
            "Distance: the norm of the difference of both matrices over that of the kernel, for test images of 2,000.",
            "Beside the network on the moons: Nystroem, on random rows; a readout of the points themselves.",
            (
                f"The published {PUBLISHED} are of images 50,000 to 60,000 with a readout of 3,000 labels a class; "
                "ours of the standard test set with all training labels."
            ),
            "A readout does not need a matched kernel: that of the images is not matched by the end of learning.",
        ),
    )
    return page, numbers

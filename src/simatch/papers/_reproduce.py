"""``simatch reproduce``: the results of publications, one command for each, and a better network."""

import typer

from .bahroun2023._multiview_command import multiview
from .lipshutz2022._sources_command import sources
from .lipshutz2023._compartments_command import compartments
from .luther2022._kernel_command import kernel
from .obeid2019._faces_command import faces
from .obeid2019._gradients_command import gradients
from .obeid2019._mnist_best_command import mnist_best
from .obeid2019._mnist_command import mnist
from .obeid2019._toy_command import toy
from .qin2021._contrast_command import contrastive
from .song2020._predictive_command import predictive

reproduce = typer.Typer(
    name="reproduce",
    help="Reproduce the results of publications, one command for each, as a page with figures and numbers.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
"""The command ``simatch reproduce``."""
reproduce.command()(faces)
reproduce.command()(gradients)
reproduce.command()(mnist)
reproduce.command()(mnist_best)
reproduce.command()(toy)
reproduce.command()(contrastive)
reproduce.command()(compartments)
reproduce.command()(kernel)
reproduce.command()(multiview)
reproduce.command()(predictive)
reproduce.command()(sources)

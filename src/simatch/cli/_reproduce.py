"""``simatch reproduce``: what the paper shows, one command each, and a better network."""

import typer

from ._faces import faces
from ._gradients import gradients
from ._mnist import mnist
from ._mnist_best import mnist_best
from ._toy import toy

reproduce = typer.Typer(
    name="reproduce",
    help="Reproduce what the paper shows, one command each, as a page with figures and numbers.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
reproduce.command()(faces)
reproduce.command()(gradients)
reproduce.command()(mnist)
reproduce.command()(mnist_best)
reproduce.command()(toy)

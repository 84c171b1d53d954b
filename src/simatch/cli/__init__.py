"""The command ``simatch``."""

import sys
from typing import Annotated

from .._extras import Feature

with Feature("The command line", extra="app"):
    import typer

    from ..papers import reproduce
    from ._apply import encode_command, predict_command
    from ._demo import demo
    from ._info import info
    from ._train import train
    from ._versions import versions

EPILOG = """
Examples:

  simatch demo

  simatch train mnist --units 4 --stride 2 --radius 4

  simatch train faces.npz --units 8 --units 16 --stride 2 --radius 6 --feedback 0.1

  simatch train --config runs/mnist-1/settings.toml

  simatch info runs/mnist-1/network.safetensors

  simatch encode runs/mnist-1 new-images.npy --out features.npy
"""

app = typer.Typer(
    name="simatch",
    help="Neural networks that learn by local rules: structured and deep similarity matching.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo)
app.command()(train)
app.command()(info)
app.command(name="encode")(encode_command)
app.command(name="predict")(predict_command)
app.add_typer(reproduce)


def _version(wanted: bool) -> bool:
    if wanted:
        typer.echo(versions())
        raise typer.Exit
    return wanted


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print versions, for a bug report.")
    ] = False,
) -> None:
    """Neural networks that learn by local rules: structured and deep similarity matching."""


def main() -> None:
    """Run the command line."""
    try:
        app()
    except KeyboardInterrupt:
        typer.echo("simatch: interrupted.", err=True)
        sys.exit(130)

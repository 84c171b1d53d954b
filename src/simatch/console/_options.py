"""Options that several commands have in common."""

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path | None, typer.Option(help="Folder for page, figures and numbers. [default: a new one in runs]")]
KeptOut = Annotated[
    Path | None, typer.Option(help="Folder for results and to resume from. [default: one for these settings in runs]")
]
Quick = Annotated[bool, typer.Option("--quick", help="A smaller version, which takes seconds to minutes.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace earlier results in --out.")]
Json = Annotated[bool, typer.Option("--json", help="End with one JSON object on standard output.")]

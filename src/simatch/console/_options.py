"""Options that several commands have in common."""

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path | None, typer.Option(help="Folder for page, figures and numbers. [default: a new one in runs]")]
"""Option ``--out`` of a command that writes a page."""
KeptOut = Annotated[
    Path | None, typer.Option(help="Folder for results and to resume from. [default: one for these settings in runs]")
]
"""Option ``--out`` of a command that can be resumed."""
Quick = Annotated[bool, typer.Option("--quick", help="A smaller version, which takes seconds to minutes.")]
"""Option ``--quick``."""
Seed = Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")]
"""Option ``--seed``."""
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace earlier results in --out.")]
"""Option ``--overwrite``."""
Json = Annotated[bool, typer.Option("--json", help="End with one JSON object on standard output.")]
"""Option ``--json``."""

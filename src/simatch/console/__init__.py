"""Common parts of the commands: error messages, options, and output on the console."""

from .._extras import Feature

with Feature("The command line", extra="app"):
    from ._console import cache_compiled_programs as cache_compiled_programs
    from ._console import command_line as command_line
    from ._console import conclude as conclude
    from ._console import drafted as drafted
    from ._console import fail as fail
    from ._console import percent as percent
    from ._console import progress as progress
    from ._console import reported as reported
    from ._console import resumable as resumable
    from ._options import Json as Json
    from ._options import KeptOut as KeptOut
    from ._options import Out as Out
    from ._options import Overwrite as Overwrite
    from ._options import Quick as Quick
    from ._options import Seed as Seed

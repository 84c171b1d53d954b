"""The rows of the table by name.

``python -m benchmarks.rows measure ROW`` is the process of one row, ``python -m benchmarks.rows prepare KIND STAGE``
one that trains a network for it. Options come as JSON on standard input, results go as one line of JSON to standard
output.
"""

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial

from .network_rows import network_rows
from .networks import KINDS, Stage
from .nmf import nmf_row
from .published_rows import published_rows
from .pynsm_rows import pynsm_rows
from .result import Options, Result
from .subspace import subspace_row


@dataclasses.dataclass(frozen=True)
class Row:
    """What is measured in one process.

    Attributes
    ----------
    measure : callable
        From the options to one or more results.
    kinds, stage
        Networks that must have been trained before, in another process, and how far.
    quick : bool
        Whether it is part of a quick run.
    """

    measure: Callable[[Options], Sequence[Result]]
    kinds: Sequence[str] = ()
    stage: Stage = "trained"
    quick: bool = False


def _network(name: str, kind: str, stage: Stage, *, quick: bool = False, **how) -> tuple[str, Row]:
    return name, Row(partial(network_rows, networks={name: kind}, stage=stage, **how), (kind,), stage, quick)


def _scaling() -> tuple[str, Row]:
    """Images of two and four times the side."""
    networks = {"scaling-28": "mnist-16", "scaling-56": "mnist-16-56", "scaling-112": "mnist-16-112"}
    measure = partial(network_rows, networks=networks, stage="early")
    return "scaling", Row(measure, tuple(networks.values()), "early")


def _published(units: int, stage: Stage, *, quick: bool = False, **how) -> tuple[str, Row]:
    name, kind = f"published-{units}-{stage}", f"mnist-{units}"
    return name, Row(partial(published_rows, name=name, kind_name=kind, stage=stage, **how), (kind,), stage, quick)


ROWS: dict[str, Row] = dict(
    [
        _network("digits-4-trained", "digits-4", "trained", batches=2),
        _network("mnist-4-early", "mnist-4", "early"),
        _network("mnist-4-trained", "mnist-4", "trained", quick=True),
        _network("mnist-4-online", "mnist-4", "trained", batches=1000, batch_size=1, encode=False, quick=True),
        _network("mnist-16-early", "mnist-16", "early"),
        _network("mnist-16-trained", "mnist-16", "trained"),
        _network("mnist-32-early", "mnist-32", "early"),
        _network("mnist-32-trained", "mnist-32", "trained"),
        _network("mnist-100-early", "mnist-100", "early"),
        _network("mnist-100-trained", "mnist-100", "trained"),
        _scaling(),
        _network("faces-trained", "faces", "trained", batches=5),
        _network("relu-64-trained", "relu-64", "trained", quick=True),
        _published(4, "early", peer_images=5, batches=30, online=1000),
        _published(4, "trained", peer_images=5, batches=30, online=1000, quick=True),
        _published(16, "early", peer_images=2, batches=10),
        _published(16, "trained", peer_images=2, batches=10),
        ("pynsm", Row(pynsm_rows, ("relu-64",))),
        ("nmf", Row(nmf_row, ("relu-64",))),
        ("subspace", Row(subspace_row)),
    ]
)


def main() -> None:
    """Do what the command line says."""
    verb, *names = sys.argv[1:]
    options = Options(**json.loads(sys.stdin.read()))
    if verb == "prepare":
        kind, stage = names
        KINDS[kind].network(stage, options.folder)  # pyright: ignore[reportArgumentType]
    else:
        (name,) = names
        results = ROWS[name].measure(options)
        sys.stdout.write(json.dumps([dataclasses.asdict(result) for result in results]) + "\n")


if __name__ == "__main__":
    main()

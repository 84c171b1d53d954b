"""Loading the data of a run."""

from typing import TYPE_CHECKING

from ..console import cache_compiled_programs, progress

if TYPE_CHECKING:
    from ..data import Dataset


def loaded(name: str) -> "Dataset":
    """Load a data set, and say so and what there is to know about it."""
    from ..data import load_dataset

    cache_compiled_programs()
    progress(f"Loading {name}.")
    dataset = load_dataset(name)
    if dataset.note:
        progress(dataset.note)
    return dataset

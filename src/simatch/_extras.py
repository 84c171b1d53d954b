"""What to say where a package that only some features need is not installed."""

import dataclasses
from types import TracebackType

# Names of packages to install, where they are not those of the modules.
_PACKAGES = {"PIL": "pillow", "sklearn": "scikit-learn", "tomli_w": "tomli-w"}


class MissingPackageError(ModuleNotFoundError):
    """A feature needs a package that is not installed; the message says how to get it."""


@dataclasses.dataclass(frozen=True)
class Feature:
    """Something that needs more than the core: import what it needs inside ``with Feature(...):``.

    Attributes
    ----------
    name : str
        As the first words of a sentence.
    extra : str
        Which of the extras in ``pyproject.toml`` brings all that it needs.

    Examples
    --------
    >>> from simatch._extras import Feature
    >>> with Feature("Tea", extra="kitchen"):
    ...     import kettle
    Traceback (most recent call last):
    simatch._extras.MissingPackageError: Tea needs kettle, which is not installed; install it with:
        pip install 'simatch[kitchen]'
    """

    name: str
    extra: str

    def __enter__(self) -> None:
        """Nothing is to be done before an import."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Turn a missing package into a sentence; what a feature inside this one has said already stays."""
        if not isinstance(error, ModuleNotFoundError) or isinstance(error, MissingPackageError):
            return
        module = (error.name or "").partition(".")[0]
        if module == "simatch":
            return  # a mistake in this package
        package = _PACKAGES.get(module, module)
        raise MissingPackageError(
            f"{self.name} needs {package}, which is not installed; "
            f"install it with: pip install 'simatch[{self.extra}]'",
            name=error.name,
        ) from error

"""Error messages for optional packages that are not installed."""

import dataclasses
from types import TracebackType

# Names of packages to install, if they differ from the names of the modules.
_PACKAGES = {"PIL": "pillow", "sklearn": "scikit-learn", "tomli_w": "tomli-w"}


class MissingPackageError(ModuleNotFoundError):
    """A feature needs a package that is not installed; the message says how to install it."""


@dataclasses.dataclass(frozen=True)
class Feature:
    """A feature that needs optional packages; import them inside ``with Feature(...):``.

    Attributes
    ----------
    name : str
        Name of the feature, with which the error message begins.
    extra : str
        The extra in ``pyproject.toml`` that installs all packages of the feature.

    Raises
    ------
    MissingPackageError
        On leaving the ``with`` block, if a package could not be imported in it.

    Examples
    --------
    >>> from simatch._extras import Feature
    >>> with Feature("Plotting", extra="plots"):
    ...     import absent_package
    Traceback (most recent call last):
    simatch._extras.MissingPackageError: Plotting needs absent_package, which is not installed; install it with:
        pip install 'simatch[plots]'
    """

    name: str
    extra: str

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Turn the error of a missing package into a `MissingPackageError`; keep one that a nested feature raised."""
        if not isinstance(error, ModuleNotFoundError) or isinstance(error, MissingPackageError):
            return
        module = (error.name or "").partition(".")[0]
        if module == "simatch":
            return  # a module of this package is missing, which no installation would repair
        package = _PACKAGES.get(module, module)
        raise MissingPackageError(
            f"{self.name} needs {package}, which is not installed; "
            f"install it with: pip install 'simatch[{self.extra}]'",
            name=error.name,
        ) from error

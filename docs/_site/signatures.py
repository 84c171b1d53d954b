"""Signatures of classes whose `__init__` is generated from their fields, which the sources do not show."""

import dataclasses
import importlib
import inspect
from typing import Any

import griffe


class Signatures(griffe.Extension):
    """Give dataclasses, Equinox's modules among them, the signature that they have when the library is imported."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Look at all classes of the package once its sources are read."""
        for module in _modules(pkg):
            for found in module.classes.values():
                if not found.is_alias and "__init__" not in found.members:
                    _complete(found)


def _modules(module: griffe.Module) -> list[griffe.Module]:
    return [module, *(inner for part in module.modules.values() if not part.is_alias for inner in _modules(part))]


def _complete(found: griffe.Class) -> None:
    real = getattr(importlib.import_module(found.module.path), found.name, None)
    if not dataclasses.is_dataclass(real) or "__dataclass_params__" not in vars(real):
        return
    fields = {field.name: field for field in dataclasses.fields(real)}
    parameters = [
        griffe.Parameter(
            name,
            kind=griffe.ParameterKind(parameter.kind.description),
            annotation=_annotation(found, name),
            default=None if parameter.default is inspect.Parameter.empty else _default(fields.get(name), parameter),
        )
        for name, parameter in inspect.signature(real).parameters.items()
    ]
    init = griffe.Function(
        "__init__", parameters=griffe.Parameters(griffe.Parameter("self"), *parameters), returns="None"
    )
    found.set_member("__init__", init)


def _annotation(found: griffe.Class, name: str) -> Any:
    """Annotation of a field where it is written, in the class or the nearest of those it extends."""
    for place in [found, *found.mro()]:
        if name in place.attributes:
            return place.attributes[name].annotation
    return None


def _default(field: dataclasses.Field[Any] | None, parameter: inspect.Parameter) -> str:
    """Default value as users would write it; `...` for one that is made anew for each object."""
    if field is not None and field.default is dataclasses.MISSING:
        return "..."
    return repr(parameter.default)

"""Objects that are as before if a change of them fails."""

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
Result = TypeVar("Result")


def unchanged_if_failed(
    method: Callable[Concatenate[Any, P], Result],
) -> Callable[Concatenate[Any, P], Result]:
    """Give an object its attributes of before if a method of it raises anything, Ctrl-C among them.

    Attributes are replaced by the methods that use this, never changed in place.
    """

    @functools.wraps(method)
    def safe(self: Any, *args: P.args, **kwargs: P.kwargs) -> Result:
        before = dict(vars(self))
        try:
            return method(self, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    return safe

"""Callbacks of scikit-learn, which has them from version 1.9 on; with earlier ones nobody can register any."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sklearn.callback import CallbackSupportMixin
else:
    try:
        from sklearn.callback import CallbackSupportMixin
    except ModuleNotFoundError:

        class _NoContext:
            """A task that nobody listens to."""

            def subcontext(self, **_: Any) -> "_NoContext":
                return self

            def call_on_fit_task_begin(self, **_: Any) -> None:
                pass

            def call_on_fit_task_end(self, **_: Any) -> bool:
                return False

        class CallbackSupportMixin:
            """What an estimator inherits instead."""

            def _init_callback_context(self, **_: Any) -> _NoContext:
                return _NoContext()

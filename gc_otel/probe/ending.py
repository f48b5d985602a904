"""What ended the main thread, asked at exit of what CPython leaves lying about.

``sys.excepthook`` is not touched: a program sees it, replaces it, chains it.  Before CPython calls the hook for
an exception that nobody caught it stores the exception in ``sys.last_type`` and ``sys.last_traceback``
(PyErr_PrintEx), and there they still are when the functions of :mod:`atexit` run.  Others store
there what they have *caught*: pytest a failed test, an interactive console a line's error.  Their traceback begins in a frame
that somebody called; that of an exception which went through everything begins in the outermost frame of all.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as in gc_otel/__init__.py
if TYPE_CHECKING:
    from types import TracebackType

_qualified_name_of = type.__dict__["__qualname__"].__get__


def unhandled_exception() -> str:
    """The qualified name of the class of what nobody caught, such as ``app.errors.Lost``; never its message; else ``""``."""
    kind: object = getattr(sys, "last_type", None)
    traceback: TracebackType | None = getattr(sys, "last_traceback", None)
    if not isinstance(kind, type):
        return ""
    if traceback is None:  # no frame was ever entered: the program itself is not Python
        return class_name(kind) if issubclass(kind, SyntaxError) else ""
    is_outermost = type(traceback).__name__ == "traceback" and traceback.tb_frame.f_back is None
    return class_name(kind) if is_outermost else ""


def class_name(kind: type) -> str:
    """``module.Class``, or ``Class`` for a builtin; nothing of a metaclass's own is called."""
    name = str(_qualified_name_of(kind))
    module = type.__dict__["__dict__"].__get__(kind).get("__module__")
    return name if module in (None, "builtins") or not isinstance(module, str) else f"{module}.{name}"

"""The optional C extension, or the reason why it is not there."""

from __future__ import annotations

TYPE_CHECKING = False  # as in gc_otel/__init__.py
if TYPE_CHECKING:
    from types import ModuleType


def load() -> tuple[ModuleType | None, str]:
    """The extension module and ``""``, or None and why it cannot be used."""
    try:
        from gc_otel._native import _ext
    except ImportError as error:
        return None, str(error)
    return _ext, ""

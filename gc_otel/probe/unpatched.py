"""What gevent replaces, as it was: a greenlet's lock cannot be taken in its hub, nor by a real thread."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as in gc_otel/__init__.py
if TYPE_CHECKING:
    from typing import Any


def unpatched(module: str, name: str) -> Any:
    """A function of the standard library as it was before gevent replaced it."""
    monkey = sys.modules.get("gevent.monkey")
    return getattr(__import__(module), name) if monkey is None else monkey.get_original(module, name)

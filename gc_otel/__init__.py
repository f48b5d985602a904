"""gc_otel: a flight recorder for CPython's garbage collector and memory.

    from gc_otel import GcInstrumentor
    GcInstrumentor().instrument()

Importing this package imports neither OpenTelemetry nor psutil; the names
below are loaded when they are first used.
"""

from __future__ import annotations

from gc_otel._version import __version__

TYPE_CHECKING = False  # typing costs a recorded process 10 ms; type checkers know the name
if TYPE_CHECKING:
    from typing import Any

    from gc_otel.config import Config
    from gc_otel.errors import GcOtelError
    from gc_otel.flight.snapshot import Snapshot
    from gc_otel.instrumentor import GcInstrumentor

__all__ = ["Config", "GcInstrumentor", "GcOtelError", "Snapshot", "__version__"]

_HOMES = {
    "Config": "gc_otel.config",
    "GcInstrumentor": "gc_otel.instrumentor",
    "GcOtelError": "gc_otel.errors",
    "Snapshot": "gc_otel.flight.snapshot",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

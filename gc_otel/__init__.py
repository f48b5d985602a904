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
    from gc_otel.heap.census import Census, take_census
    from gc_otel.heap.cycles import Cycles, find_cycles
    from gc_otel.heap.graph import show_backrefs, show_refs
    from gc_otel.heap.paths import Holders, find_holders
    from gc_otel.heap.refcount import refcount
    from gc_otel.instrumentor import GcInstrumentor
    from gc_otel.measuring import Measured, measure
    from gc_otel.sample.show import show_memory

__all__ = [
    "Census",
    "Config",
    "Cycles",
    "GcInstrumentor",
    "GcOtelError",
    "Holders",
    "Measured",
    "Snapshot",
    "__version__",
    "find_cycles",
    "find_holders",
    "measure",
    "refcount",
    "show_backrefs",
    "show_memory",
    "show_refs",
    "take_census",
]

_HOMES = {
    "Census": "gc_otel.heap.census",
    "Config": "gc_otel.config",
    "Cycles": "gc_otel.heap.cycles",
    "GcInstrumentor": "gc_otel.instrumentor",
    "GcOtelError": "gc_otel.errors",
    "Holders": "gc_otel.heap.paths",
    "Snapshot": "gc_otel.flight.snapshot",
    "find_cycles": "gc_otel.heap.cycles",
    "Measured": "gc_otel.measuring",
    "find_holders": "gc_otel.heap.paths",
    "measure": "gc_otel.measuring",
    "refcount": "gc_otel.heap.refcount",
    "show_backrefs": "gc_otel.heap.graph",
    "show_memory": "gc_otel.sample.show",
    "show_refs": "gc_otel.heap.graph",
    "take_census": "gc_otel.heap.census",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

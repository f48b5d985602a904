"""What a recorder is, native or Python, and what it says of itself in the header.

Everything in the observed process imports this; the Python recorder itself
(:mod:`gc_otel.flight.python_recorder`) only where it is used.
"""

from __future__ import annotations

import sys
import time

TYPE_CHECKING = False  # typing's own costs 10 ms that the observed process would pay; type checkers know the name
if TYPE_CHECKING:
    from typing import Any, Protocol
else:
    Protocol = object


class Recorder(Protocol):
    """What writes every collection of this interpreter into a mapping."""

    def record_phase(self, phase: str, info: dict[str, Any]) -> None:
        """The gc callback."""

    def install(self) -> None:
        """Append the callback to ``gc.callbacks``."""

    def uninstall(self) -> bool:
        """Take the callback out; False while a collection runs: call again."""

    def begin_own_work(self) -> None:
        """Collections of this thread are our own doing from here on."""

    def end_own_work(self) -> None:
        """Until here."""

    def compare_clocks(self) -> None:
        """Find anew how to read a clock fast; called on every round of the monitor."""


class MappingLike(Protocol):
    """The memory of a flight file: the native ``Mapping`` or its twin."""

    @property
    def alive(self) -> bool:
        """Whether this process may touch the cells."""

    def view(self) -> memoryview:
        """A writable memoryview of bytes; BufferError when closed or inherited."""

    def close(self) -> None:
        """Unmap, as soon as the last view handed out is released."""


def python_duration_clock() -> str:
    """Which of ``layout.DURATION_CLOCKS`` the Python recorder uses here."""
    if sys.version_info >= (3, 15):
        return "cpython"
    return "thread_cpu" if hasattr(time, "thread_time_ns") else "monotonic"


def gc_mode() -> str:
    """Which of ``layout.GC_MODES`` this interpreter's collector is.

    CPython 3.14.0 to 3.14.4 collect incrementally; 3.14.5 went back to generations.
    """
    if "t" in getattr(sys, "abiflags", ""):
        return "freethreaded"
    if (3, 14, 0) <= sys.version_info[:3] <= (3, 14, 4):
        return "incremental"
    return "generational"

"""What went wrong with us: noted where `gc-otel doctor` finds it, or told in one line."""

from __future__ import annotations

import struct
import sys
import time
from _thread import allocate_lock  # threading costs 5 ms more

from gc_otel.flight import layout
from gc_otel.flight.file import write_text
from gc_otel.flight.layout import FAULTS
from gc_otel.flight.recorder import MappingLike

_COUNT, _LAST, _TEXT = (FAULTS.offset_in_entry(name) * layout.CELL_BYTES for name in ("count", "last_unix_ns", "text"))


class FaultLog:
    """Counts faults by their text in the faults block; the first 16 different ones are kept."""

    def __init__(self, mapping: MappingLike) -> None:
        self._mapping = mapping
        # Tried, never waited for: a note may come from any thread at any moment.
        self._lock = allocate_lock()

    def note(self, where: str, error: BaseException) -> None:
        """Note one fault; lost only when another thread is noting at this very moment."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._write(f"{where}: {type(error).__name__}: {error}")
        except (BufferError, ValueError):
            pass  # the mapping was closed: nobody is left to read it
        finally:
            self._lock.release()

    def _write(self, text: str) -> None:
        view = self._mapping.view()
        raw = text.encode("utf-8", "replace")[: layout.FAULT_TEXT_BYTES].decode("utf-8", "ignore").encode()
        for entry in range(layout.FAULT_ENTRIES):
            offset = FAULTS.offset_bytes + entry * FAULTS.stride_cells * layout.CELL_BYTES
            (count,) = struct.unpack_from("=Q", view, offset + _COUNT)
            known = bytes(view[offset + _TEXT : offset + _TEXT + layout.FAULT_TEXT_BYTES]).rstrip(b"\0")
            if count == 0 or known == raw:
                write_text(view, offset + _TEXT, layout.FAULT_TEXT_BYTES, text)
                struct.pack_into("=QQ", view, offset + _COUNT, count + 1, time.time_ns())
                return


def say(line: str) -> None:
    """One line on standard error.

    Not a warning, which ``-W error`` would turn into the program's end, and not a
    log record, which needs a handler that nobody has set up yet.
    """
    try:
        print(line.rstrip(), file=sys.stderr)
    except (OSError, ValueError, AttributeError):  # closed, full, or None: there is nobody to tell
        return


def remedy_of(error: Exception) -> str:
    """What to do about it, where the error says so."""
    return str(getattr(error, "remedy", ""))

"""Flight files of processes that lived for a moment, written fast: no process is started."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

from gc_otel.flight import layout

#: What each of them counted, by generation.
COLLECTIONS = (3, 2, 1)
_BUCKET = 4


class BriefLives:
    """Writes files of the dead into a folder, each with a name, a pid and an instance of its own; as their last process wrote them."""

    def __init__(self, folder: Path, template: bytes, first_pid: int = 100_000) -> None:
        cells = bytearray(template[: layout.GC.offset_bytes])
        cells.extend(bytes(layout.GENERATION.offset_bytes + layout.GENERATION.size_bytes - layout.GC.offset_bytes))
        put(cells, layout.HEADER.cell("state"), layout.STATES.index("exited"))
        for generation, count in enumerate(COLLECTIONS):
            put(cells, layout.GENERATION.cell("collections", generation), count)
            put(cells, layout.GENERATION.cell("collected", generation), 10 * count)
            put(cells, layout.GENERATION.cell("duration_sum_ns", generation), 700_000 * count)
            put(cells, layout.GENERATION.cell("buckets", generation) + _BUCKET, count)
        self._folder, self._cells, self._pid = folder, cells, first_pid
        self.written = 0

    def live_and_die(self, *, exit_code: int = 0) -> int:
        """One more; its pid."""
        self.written += 1
        self._pid += 1
        cells = self._cells
        created = time.time_ns()
        put(cells, layout.HEADER.cell("pid"), self._pid)
        put(cells, layout.HEADER.cell("created_unix_ns"), created)
        put(cells, layout.HEADER.cell("exited_unix_ns"), created + 50_000_000)
        put(cells, layout.HEADER.cell("exit_code"), exit_code)
        temporary = self._folder / "brief.flight-new"
        with temporary.open("wb") as file:
            file.write(cells)
            file.truncate(layout.FILE_BYTES)
        os.rename(temporary, self._folder / f"{self._pid}-{created:x}.flight")
        return self._pid


def put(cells: bytearray, cell: int, value: int) -> None:
    """Write one cell."""
    struct.pack_into("=Q", cells, cell * layout.CELL_BYTES, value)

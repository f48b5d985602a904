"""A flight file that nobody writes any more, copied whole."""

from __future__ import annotations

from gc_otel.flight import layout


class Still:
    """The file of a dead process, as a source to read (:class:`gc_otel.flight.source.Source`).

    A section that its writer died in will never hold still.  Of the others than the recorder's the cells are taken as they are, some
    perhaps of the write before; the recorder's stays odd, so that no collection is counted by halves.
    """

    atomic = False

    def __init__(self, raw: bytes) -> None:
        cells = bytearray(raw)
        for block in (layout.MONITOR, layout.MEMORY, layout.CENSUS, layout.CYCLES, layout.MEASURES):
            first = block.cell("sequence") * layout.CELL_BYTES
            if len(raw) >= first + layout.CELL_BYTES:
                cells[first : first + layout.CELL_BYTES] = bytes(layout.CELL_BYTES)
        self._raw = bytes(cells)

    def copy(self, offset_bytes: int, size_bytes: int) -> bytes:
        """A copy of that part; shorter when the file was truncated."""
        return self._raw[offset_bytes : offset_bytes + size_bytes]

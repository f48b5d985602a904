"""Bytes of a flight file, wherever they are, and how cells are read out of them.

Every byte is hostile: text is made printable, and a number is only a number.
"""

from __future__ import annotations

import struct
import sys
import time
from typing import Final, Protocol

from gc_otel.errors import NotAFlightFile, NotConsistent
from gc_otel.flight import layout
from gc_otel.flight.layout import Block
from gc_otel.flight.still import Still

_ATTEMPTS: Final = 200
_PATIENCE_S: Final = 0.0005


class Source(Protocol):
    """Bytes of a flight file, wherever they are.

    ``atomic``: a copy cannot be interrupted by the writer, because both hold the GIL.
    Without that, a copy is believed only between two equal sequence
    numbers, which a process that collects at every allocation would never see of itself.
    """

    @property
    def atomic(self) -> bool:
        """See above."""

    def copy(self, offset_bytes: int, size_bytes: int) -> bytes:
        """A copy of that part; shorter when the file has been truncated."""


class Cells:
    """One entry of a block, field by field."""

    __slots__ = ("_block", "_cells", "_first")

    def __init__(self, block: Block, cells: tuple[int, ...], first: int = 0) -> None:
        self._block, self._cells, self._first = block, cells, first

    def number(self, name: str) -> int:
        """A cell as it is."""
        return self._cells[self._first + self._block.offset_in_entry(name)]

    def signed(self, name: str) -> int:
        """A cell that may be negative."""
        value = self.number(name)
        return value - 2**64 if value >= 2**63 else value

    def known(self, name: str) -> int | None:
        """A number, or None where it is ABSENT."""
        value = self.number(name)
        return None if value == layout.ABSENT else value

    def row(self, name: str, length: int) -> tuple[int, ...]:
        """The cells of a field."""
        first = self._first + self._block.offset_in_entry(name)
        return self._cells[first : first + length]

    def text(self, name: str) -> str:
        """UTF-8 up to the first NUL, made printable."""
        length = layout.text_bytes(self._block, name) // layout.CELL_BYTES
        raw = struct.pack(f"={length}Q", *self.row(name, length))
        decoded = raw.split(b"\0", 1)[0].decode("utf-8", "replace")
        return (
            decoded if decoded.isprintable() else "".join(letter if letter.isprintable() else "�" for letter in decoded)
        )

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """A word of a table by its index; the first where there is none."""
        index = self.number(name)
        return choices[index] if index < len(choices) else choices[0]


def unpack(raw: bytes, size_bytes: int) -> tuple[int, ...]:
    """The cells of that many bytes; NotAFlightFile when there are fewer."""
    if len(raw) < size_bytes:
        raise NotAFlightFile(f"truncated: {len(raw)} of {size_bytes} bytes")
    return struct.unpack(f"={size_bytes // layout.CELL_BYTES}Q", raw[:size_bytes])


def copy_block(source: Source, block: Block) -> tuple[int, ...]:
    """All cells of a block, consistent or not."""
    return unpack(source.copy(block.offset_bytes, block.size_bytes), block.size_bytes)


def copy_consistent(source: Source, offset_bytes: int, size_bytes: int) -> tuple[bytes, bool]:
    """Copy a section that begins with its sequence cell; the flag is False when it never held still."""
    raw = b""
    for attempt in range(1 if isinstance(source, Still) else _ATTEMPTS):
        before = b"" if source.atomic else source.copy(offset_bytes, layout.CELL_BYTES)
        raw = source.copy(offset_bytes, size_bytes)
        inside = raw[: layout.CELL_BYTES]
        after = inside if source.atomic else source.copy(offset_bytes, layout.CELL_BYTES)
        if after == inside and before in (b"", inside) and not int.from_bytes(inside, sys.byteorder) & 1:
            return raw, True
        if attempt > 2:
            time.sleep(_PATIENCE_S)  # a writer in Python may wait for the GIL that this thread holds
    return raw, False


def read_section(source: Source, block: Block) -> Cells:
    """A block that begins with its sequence; NotConsistent when it never held still."""
    raw, consistent = copy_consistent(source, block.offset_bytes, block.size_bytes)
    if not consistent:
        raise NotConsistent(f"the {block.name} block did not hold still")
    return Cells(block, unpack(raw, block.size_bytes))

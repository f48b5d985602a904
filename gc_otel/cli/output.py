"""What the commands share in saying things: colour, units for people, tables, JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from gc_otel.service.status import Status

_COLORS: Final = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}

UNKNOWN: Final = "-"


def wants_color(stream: TextIO) -> bool:
    """Only on a terminal that can, and not where NO_COLOR is set."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Style:
    """Colours text, or leaves it as it is."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._on = wants_color(sys.stdout if stream is None else stream)

    def __call__(self, color: str, text: str) -> str:
        """``text`` in one of the colours of this module; an empty name colours nothing."""
        return f"\x1b[{_COLORS[color]}m{text}\x1b[0m" if self._on and color else text


def printable(text: str) -> str:
    """Without control characters: names of files and services are whatever somebody wrote there."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def bytes_text(size_bytes: int | None) -> str:
    """Such as ``48.2 MiB``."""
    if size_bytes is None:
        return UNKNOWN
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def pause_text(duration_ns: int | None) -> str:
    """A pause: microseconds to seconds, three digits, such as ``0.21 ms``."""
    if duration_ns is None:
        return UNKNOWN
    if duration_ns >= 1_000_000_000:
        return f"{duration_ns / 1e9:.2f} s"
    if duration_ns >= 100_000_000:
        return f"{duration_ns / 1e6:.0f} ms"
    return f"{duration_ns / 1e6:.1f} ms" if duration_ns >= 10_000_000 else f"{duration_ns / 1e6:.2f} ms"


def time_text(duration_ns: int | None) -> str:
    """A long time, such as an uptime: its two largest units."""
    if duration_ns is None:
        return UNKNOWN
    seconds = duration_ns // 1_000_000_000
    for unit, size, smaller, smaller_size in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if seconds >= size:
            return f"{seconds // size}{unit} {seconds % size // smaller_size}{smaller}"
    return f"{seconds}s"


def share_text(share: float | None) -> str:
    """A part of one, as percent."""
    if share is None:
        return UNKNOWN
    return f"{share * 100:.2f} %" if share < 0.1 else f"{share * 100:.1f} %"


def count_text(count: int | None) -> str:
    """With commas between thousands."""
    return UNKNOWN if count is None else f"{count:,}"


def exporter_text(status: Status) -> str:
    """Who the exporter service is, and what it has done."""
    scrapes = "1 scrape" if status.scrapes == 1 else f"{count_text(status.scrapes)} scrapes"
    ending = ", ending with the last process" if status.is_ending else ""
    return f"pid {status.pid}, up {time_text(time.time_ns() - status.since_unix_ns)}, {scrapes}{ending}"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: frozenset[str]) -> list[str]:
    """Lines of a table; columns named in ``right`` are aligned to the right."""
    cells = [list(headings), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    return ["  ".join(_aligned(row, headings, widths, right)).rstrip() for row in cells]


def _aligned(row: Sequence[str], headings: Sequence[str], widths: Sequence[int], right: frozenset[str]) -> list[str]:
    return [
        cell.rjust(width) if heading in right else cell.ljust(width)
        for cell, heading, width in zip(row, headings, widths, strict=True)
    ]


def print_lines(text: str) -> None:
    """Lines with names in them that a program chose."""
    print("\n".join(printable(line) for line in text.split("\n")))


def print_json(value: object, *, indent: int | None = 2) -> None:
    """JSON in ASCII: what a terminal shows of a hostile name is its escapes."""
    print(json.dumps(value, indent=indent), flush=True)

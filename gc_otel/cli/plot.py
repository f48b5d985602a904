"""A line over time in a terminal, drawn with eighths of a block, or with plain letters where the encoding has no blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gc_otel.cli.output import bytes_text, time_text

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_LETTERS: Final = " #"
_AXIS_COLUMNS: Final = 11


def plot_bytes(
    points: Sequence[tuple[int, int]], *, columns: int, rows: int, limit_bytes: int | None = None, plain: bool = False
) -> list[str]:
    """Sizes over time (``(unix_ns, bytes)``, in order), from zero to the highest, or to the limit where that is near.

    Each column shows the highest size of its time; one without a sample, which is a gap, is empty.  Empty without points.
    """
    if not points or columns < _AXIS_COLUMNS + 2 or rows < 1:
        return []
    width = columns - _AXIS_COLUMNS
    heights = _highest_by_column(points, width)
    top = max(size for _, size in points)
    if limit_bytes is not None and top <= limit_bytes <= 2 * top:
        top = limit_bytes
    marks = _LETTERS if plain else _BLOCKS
    lines = []
    for row in range(rows - 1, -1, -1):
        label = bytes_text(top * (row + 1) // rows) if row in (rows - 1, rows // 2 - 1) or rows == 1 else ""
        bar = "".join(_cell(size, row, rows, top, marks) for size in heights)
        lines.append(f"{label:>{_AXIS_COLUMNS - 2}} {'|' if plain else '┤'}{bar}".rstrip())
    first, last = points[0][0], points[-1][0]
    ago = f"{time_text(last - first)} before"
    lines.append(" " * _AXIS_COLUMNS + ago + "the end".rjust(max(8, width - len(ago))))
    return lines


def _highest_by_column(points: Sequence[tuple[int, int]], width: int) -> list[int]:
    first, last = points[0][0], points[-1][0]
    span = max(1, last - first)
    heights = [0] * width
    for at_ns, size in points:
        column = min(width - 1, max(0, (at_ns - first) * width // span))
        heights[column] = max(heights[column], size)
    # Samples are rarer than columns: what is between two of them is as it was at the earlier.
    gap = max(1, -(-width // len(points)) + 1)
    since = gap
    for column, height in enumerate(heights):
        since = 0 if height else since + 1
        if not height and column and since <= gap:
            heights[column] = heights[column - 1]
    return heights


def _cell(size: int, row: int, rows: int, top: int, marks: str) -> str:
    steps = len(marks) - 1
    filled = size * rows * steps // max(1, top) - row * steps
    return marks[min(steps, max(0, filled))]

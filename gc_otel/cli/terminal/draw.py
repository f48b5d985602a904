"""Small pictures of text: sparklines, bars, a line over time.  Pure; one letter is one column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_LEVELS: Final = "▁▂▃▄▅▆▇█"
_PARTS: Final = " ▏▎▍▌▋▊▉█"

#: Below this share of the largest value a difference is no shape.
_FLAT: Final = 0.01


def thinned(values: Sequence[int | None], most: int) -> list[int | None]:
    """At most so many, the last among them, spread evenly; each stands for the largest around it."""
    if len(values) <= most:
        return list(values)
    made: list[int | None] = []
    for at in range(most):
        part = values[at * len(values) // most : (at + 1) * len(values) // most]
        made.append(max((each for each in part if each is not None), default=None))
    return made


def sparkline(values: Sequence[int | None], columns: int) -> str:
    """The shape between its least and its largest; what is not known is a blank, and what hardly moves is flat."""
    shown = thinned(values, columns)
    known = [value for value in shown if value is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    if high - low <= _FLAT * high:
        return "".join(" " if value is None else _LEVELS[3] for value in shown)
    return "".join(
        " " if value is None else _LEVELS[round((value - low) / (high - low) * (len(_LEVELS) - 1))] for value in shown
    )


def bar(share: float, columns: int) -> str:
    """A bar of that part of the columns, to an eighth of one; what is not nothing is seen."""
    eighths = round(max(0.0, min(1.0, share)) * columns * 8)
    if share > 0:
        eighths = max(1, eighths)
    whole, rest = divmod(eighths, 8)
    return (_PARTS[8] * whole + (_PARTS[rest] if rest else "")).ljust(columns)


def histogram(labels: Sequence[str], counts: Sequence[int], columns: int) -> list[str]:
    """A line for each label that is not above or below all that there is: label, bar, count, share."""
    used = [at for at, count in enumerate(counts) if count]
    if not used:
        return []
    total, most = sum(counts), max(counts)
    width = max(len(label) for label in labels)
    return [
        f"{labels[at]:>{width}} {bar(counts[at] / most, columns)} {counts[at]:>9,} {100 * counts[at] / total:5.1f} %"
        for at in range(used[0], used[-1] + 1)
    ]


def plot(values: Sequence[int | None], columns: int, rows: int, *, low: float, high: float) -> list[str]:
    """Filled columns between ``low`` and ``high``, the top row first."""
    shown = thinned(values, columns)
    span = max(high - low, 1e-9)
    steps = [None if value is None else round((value - low) / span * rows * 8) for value in shown]
    lines = []
    for row in range(rows - 1, -1, -1):
        line = ""
        for step in steps:
            inside = -1 if step is None else min(8, step - row * 8)
            line += " " if inside <= 0 else _LEVELS[inside - 1]
        lines.append(line)
    return lines

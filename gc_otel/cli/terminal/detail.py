"""One process, as text: its pauses by length, an hour of its memory, its last collections.  Pure."""

from __future__ import annotations

import time
from typing import Final

from gc_otel.cli.output import UNKNOWN, bytes_text, count_text, pause_text, share_text, table, time_text
from gc_otel.cli.terminal import draw
from gc_otel.cli.terminal.columns import growth_text, state_text
from gc_otel.flight.layout import DURATION_BOUNDS_NS
from gc_otel.flight.snapshot import Event
from gc_otel.service.figures import histogram
from gc_otel.service.watching import View

_PLOT_ROWS: Final = 8
_EVENTS_MOST: Final = 12
_LABEL_COLUMNS: Final = 10
_HOUR_NS: Final = 3600 * 1_000_000_000
_HEADINGS: Final = ("AGO", "PAUSE", "GEN", "FREED", "UNCOLLECTABLE", "WHY")
_RIGHT: Final = frozenset({"AGO", "PAUSE", "GEN", "FREED", "UNCOLLECTABLE"})


def title(view: View) -> str:
    """Who it is, in a line."""
    identity = view.snapshot.identity
    return (
        f"{identity.service_name}  pid {view.label}  {identity.program}  Python {identity.python_version}, "
        f"{identity.recorder} recorder  up {time_text(view.process.uptime_ns)}  {state_text(view)}"
    )


def summary(view: View) -> list[str]:
    """The last minute and now, in two lines."""
    lately, about = view.lately, "" if view.lately is None or not view.lately.pauses.is_estimate else "~"
    first = "no collections known"
    if lately is not None:
        pauses = lately.pauses
        first = (
            f"last {time_text(lately.window_ns)}: {count_text(pauses.collections)} collections, p50 {about}{pause_text(pauses.p50_ns)}, "
            f"p99 {about}{pause_text(pauses.p99_ns)}, longest {about}{pause_text(pauses.max_ns)}, {share_text(lately.share_in_gc)} of the time"
        )
    limit = "no limit known" if view.limit_bytes is None else f"limit {bytes_text(view.limit_bytes)}"
    growth = f"growth {growth_text(view.growth_bytes_per_h)} an hour"
    memory = f"RSS {bytes_text(view.rss_bytes)}, USS {bytes_text(view.uss_bytes)}, {limit}, {growth}"
    return [first, f"{memory}, {count_text(view.allocated_blocks)} blocks"]


def pauses(view: View, columns: int) -> list[str]:
    """All pauses since recording began, by length."""
    counts = histogram(view.snapshot.collector.generations)
    labels = [f"≤ {pause_text(bound)}" for bound in DURATION_BOUNDS_NS]
    labels.append(f"> {pause_text(DURATION_BOUNDS_NS[-1])}")
    lines = draw.histogram(labels, counts, max(8, columns - _LABEL_COLUMNS - 22))
    return ["Pauses since recording began", *(lines or ["none yet"])]


def memory(view: View, columns: int) -> list[str]:
    """RSS over its history, between its least and its largest."""
    values = [point.rss_bytes for point in view.points]
    known = [value for value in values if value is not None]
    if not known:
        return ["Memory", "no history yet"]
    low, high = min(known), max(known)
    span_ns = view.points[-1].unix_ns - view.points[0].unix_ns
    margin = max((high - low) * 0.05, high * 0.005)
    width = max(8, columns - _LABEL_COLUMNS - 2)
    lines = draw.plot(values, width, _PLOT_ROWS, low=low - margin, high=high + margin)
    labels = [bytes_text(high), *[""] * (_PLOT_ROWS - 2), bytes_text(low)]
    drawn = min(width, len(values))
    begin = f"{time_text(span_ns)} ago"
    axis = f"{begin}{'now'.rjust(max(4, drawn - len(begin)))}"
    return [
        "Memory (RSS)",
        *(f"{label:>{_LABEL_COLUMNS}} {line}" for label, line in zip(labels, lines, strict=True)),
        f"{'':>{_LABEL_COLUMNS}} {axis}",
    ]


def latest(view: View) -> list[str]:
    """The last collections, newest first."""
    events = view.snapshot.collector.latest[-_EVENTS_MOST:][::-1]
    if not events:
        return ["Last collections", "none yet"]
    now_ns = (
        view.process.seen_unix_ns - view.snapshot.identity.monotonic_to_unix_ns if view.is_gone else time.monotonic_ns()
    )
    return ["Last collections", *table(_HEADINGS, [_row(event, now_ns) for event in events], right=_RIGHT)]


def _row(event: Event, now_ns: int) -> list[str]:
    why = "gc.collect()" if event.explicit else "automatic"
    return [
        time_text(max(0, now_ns - event.start_ns)),
        pause_text(event.duration_ns),
        str(event.generation),
        count_text(event.collected),
        count_text(event.uncollectable) if event.uncollectable else UNKNOWN,
        "caused by gc_otel's own publishing" if event.own else why,
    ]

"""Leak hunt: is it a leak, of what kind, and when does it end?"""

from __future__ import annotations

from typing import Final

from grafana import leak_kind
from grafana.board import Board, annotate_processes, link_to_process
from grafana.labels import (
    BY_INSTANCE,
    BY_PROCESS,
    INSTANCE_LEGEND,
    PROCESS_LEGEND,
    SELECTED,
    VARIABLES,
    limit_bytes,
    pick,
    used_bytes,
)
from grafana.leak_kind import WINDOW, growth, unattributed
from grafana.leak_words import DO_NEXT, READ_ME
from grafana.names import DURATION, GENERATION
from grafana.panels import Builder, column, columns, dashed, figure, graph, queries, query, rising, rows, words
from grafana.scales import FULL, time_to_limit

UID: Final = "gc-otel-leak"

_SUBQUERY: Final = f"{WINDOW}:1m"
WINDOWS: Final = ("5m", "15m", "1h", "3h", "6h", "12h")

_HOUR: Final = 3600
_MIB: Final = 1 << 20


def build() -> Board:
    """The dashboard."""
    board = Board(
        UID,
        "Leak hunt",
        "Is memory leaking, of what kind is it, and how long will it hold?",
        span="12h",
        variables=VARIABLES,
    )
    board.choose("window", "Growth over", WINDOWS, "3h")
    board.choose("floor", "Floor of", ("1m", "5m", "30m", "1h"), "30m")
    annotate_processes(board)
    _verdict(board)
    _evidence(board)
    leak_kind.put(board)
    return board


def _verdict(board: Board) -> None:
    board.row("At a glance")
    used, limit = used_bytes(BY_INSTANCE), limit_bytes(BY_INSTANCE)
    board.put(
        6,
        4,
        figure(
            "Fastest growth",
            "Slope of the fastest target's memory floor over the chosen time, per hour. Around zero is healthy. Look next at: Growth, whether it holds.",
            "bytes",
            f"max(deriv({_floor()}[{_SUBQUERY}])) * {_HOUR}",
            steps=rising(2 * _MIB, 20 * _MIB),
            decimals=1,
        ),
        figure(
            "Limit reached in",
            "When the line through the chosen time meets the limit, for the target that is first. Empty: nothing grows, or no limit is known. "
            "Look next at: Memory floor.",
            "s",
            time_to_limit("min", _SUBQUERY),
            steps=((None, "red"), (4 * _HOUR, "orange"), (24 * _HOUR, "green")),
            decimals=1,
            none="not growing",
        ),
        figure(
            "Memory against limit",
            "The fullest target. Growth matters the more, the fuller it is. Look next at: Limit reached in.",
            "percentunit",
            f"max({used} / {limit})",
            steps=FULL,
            decimals=0,
            none="no limit known",
        ),
        figure(
            "Uncollectable objects",
            "Objects that the collector found unreachable and could not free, since recording began. Anything above zero is a leak by itself: "
            "gc.garbage holds them. Look at what extension made them.",
            "short",
            f"sum({pick('cpython.gc.uncollectable_objects')})",
            steps=rising(1),
        ),
    )
    board.put(
        12,
        13,
        words("How to read this", "Three questions, in their order, and the panels that answer them.", READ_ME),
        words("What to do next", "Commands that exist, and what each kind of leak asks for.", DO_NEXT),
    )
    board.put(24, 9, _suspects())


def _floor() -> str:
    return f"min_over_time(({used_bytes(BY_INSTANCE)})[$floor:1m])"


def _suspects() -> Builder:
    rss = growth("process.memory.usage")
    panel = rows(
        "Suspects",
        "The ten processes whose memory grows fastest, per hour; younger ones than the chosen time are left out. Unattributed is what the new blocks do not "
        "explain: near RSS, the leak is native or of large buffers; around zero, objects are kept. Look next at: What grew.",
        query(f"topk(10, {rss} * {_HOUR})", "", "A", as_table=True),
        query(f"{growth('cpython.memory.allocated_blocks')} * {_HOUR} and topk(10, {rss})", "", "B", as_table=True),
        query(f"{unattributed()} * {_HOUR} and topk(10, {rss})", "", "C", as_table=True),
        query(f"sum by ({BY_PROCESS}) ({pick('process.uptime')}) and topk(10, {rss})", "", "D", as_table=True),
    )
    titles = {
        "job": "Job",
        "service_name": "Service",
        "instance": "Instance",
        "process_pid": "PID",
        "Value #A": "RSS / h",
        "Value #B": "Blocks / h",
        "Value #C": "Unattributed / h",
        "Value #D": "Uptime",
    }
    panel = columns(panel, titles, hidden=("cluster", "namespace"), join=True, sort="RSS / h")
    panel = column(panel, "RSS / h", "bytes", steps=rising(2 * _MIB, 20 * _MIB), decimals=1)
    panel = column(panel, "Blocks / h", "short", decimals=0)
    panel = column(panel, "Unattributed / h", "bytes", steps=rising(2 * _MIB, 20 * _MIB), decimals=1)
    return column(panel, "Uptime", "s", decimals=1)


def _evidence(board: Board) -> None:
    board.row("Is it a leak?")
    panel = graph(
        "Memory floor",
        "The least that each target used within the time of the floor, half an hour or so: bursts, jobs and the collector's sawtooth fall away, what remains was kept. Rising from floor to "
        "floor for six hours and more is a leak. Look next at: Growth.",
        "bytes",
        *queries((f"topk(10, {_floor()})", INSTANCE_LEGEND), (f"min({limit_bytes(BY_INSTANCE)})", "smallest limit")),
        many=True,
    )
    slope = graph(
        "Growth",
        "Slope of the floor over the chosen time, per hour. A warm-up falls to zero; a step is a hump as wide as the window; a leak is a level line. "
        "Look next at: What grew, for its kind.",
        "bytes",
        *queries((f"topk(10, deriv({_floor()}[{_SUBQUERY}]) * {_HOUR})", INSTANCE_LEGEND)),
        steps=rising(2 * _MIB, 20 * _MIB),
        lowest=None,
        many=True,
    )
    board.put(12, 9, dashed(panel, "smallest limit", "red"), slope)
    board.put(12, 8, _time_left(), _full_collections())


def _time_left() -> Builder:
    return graph(
        "Limit reached in",
        "Time left by each target's slope over the chosen time. A line that falls by an hour an hour is a leak on its way; one that jumps about "
        "is noise. Look next at: Memory floor.",
        "h",
        *queries((f"bottomk(10, {time_to_limit('', _SUBQUERY)} / {_HOUR} < 48)", INSTANCE_LEGEND)),
        steps=((None, "red"), (4, "orange"), (24, "transparent")),
        decimals=0,
        many=True,
    )


def _full_collections() -> Builder:
    full = f'{GENERATION}="2", {SELECTED}'
    classic_sum, classic_count = f"rate({DURATION}_sum{{{full}}}[30m])", f"rate({DURATION}_count{{{full}}}[30m])"
    native = f"rate({DURATION}{{{full}}}[30m])"
    mean = (
        f"topk(10, sum by ({BY_PROCESS}) ({classic_sum} or histogram_sum({native}))"
        f" / (sum by ({BY_PROCESS}) ({classic_count} or histogram_count({native})) > 0))"
    )
    return graph(
        "Mean full collection",
        "How long a full collection takes, over half an hour. It visits every tracked object: when it rises for hours with the floor, more and more "
        "objects live. It needs no sampling and no census. Compare with Blocks in What grew.",
        "s",
        *queries((mean, PROCESS_LEGEND)),
        many=True,
    ).data_links([link_to_process()])

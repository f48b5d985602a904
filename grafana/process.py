"""Python process: one worker, everything that is known of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from grafana import process_system
from grafana import thresholds as at
from grafana.board import Board, annotate_processes
from grafana.labels import (
    BY_INSTANCE,
    BY_PROCESS,
    PROCESS_LEGEND,
    VARIABLES,
    either,
    limit_bytes,
    pick,
    quantile,
    seconds_in_gc,
)
from grafana.names import GENERATION
from grafana.panels import Builder, column, columns, dashed, figure, graph, queries, query, rising, rows
from grafana.scales import FULL, PAUSE, SHARE

UID: Final = "gc-otel-process"
_GENERATION_LEGEND: Final = f"generation {{{{{GENERATION}}}}}"
_RATE: Final = "[$__rate_interval]"


def build() -> Board:
    """The dashboard."""
    board = Board(
        UID,
        "Python process",
        "One process: choose it by instance, and by PID where one page has several. With more than one selected, lines are per process.",
        span="3h",
        variables=VARIABLES,
    )
    annotate_processes(board)
    _who(board)
    _collector(board)
    _memory(board)
    process_system.put(board)
    return board


def _who(board: Board) -> None:
    board.row("Who")
    numbers = (
        (
            "Uptime",
            (
                "Time since the youngest of the selected processes began. Shorter than you expect: it was restarted. Look next at: Memory, "
                "just before the blue mark."
            ),
            "s",
            f"min({pick('process.uptime')})",
            {"decimals": 1},
        ),
        (
            "Time in GC",
            "Share of the time spent collecting. Below 1 % is healthy, above 10 % requests wait. Look next at: Pauses by generation.",
            "percentunit",
            f"max({seconds_in_gc(BY_PROCESS)})",
            {"steps": SHARE, "decimals": 1},
        ),
        (
            "Resident memory",
            "RSS: physical memory in use, shared pages included. Compare with the limit in Memory.",
            "bytes",
            f"max({pick('process.memory.usage')})",
            {"decimals": 1},
        ),
        (
            "Allocated blocks",
            "Small blocks that Python objects hold. When RSS rises and this does not, memory is not Python's. Look next at: Leak hunt.",
            "short",
            f"max({pick('cpython.memory.allocated_blocks')})",
            {"decimals": 1},
        ),
        (
            "Automatic collection",
            "Whether gc is enabled: off after gc.disable(). Off for long, every cycle stays in memory. Look next at: Memory.",
            "bool_on_off",
            f"min({either('cpython.gc.enabled')})",
            {"steps": ((None, "orange"), (1, "green"))},
        ),
        (
            "Cost of recording",
            (
                "CPU time that gc_otel itself takes, as a share of one core. Above 2 % something is wrong: gc-otel doctor. "
                "Look next at: Overhead by component."
            ),
            "percentunit",
            f"sum(rate({pick('gc_otel.overhead.time')}{_RATE})) / count({pick('process.uptime')})",
            {"steps": rising(at.OVERHEAD_RATIO.value), "decimals": 2},
        ),
    )
    board.put(
        4, 4, *(figure(title, description, unit, expr, **more) for title, description, unit, expr, more in numbers)
    )
    board.put(24, 6, _recorders())


def _recorders() -> Builder:
    uptime = f"sum by ({BY_PROCESS}) ({pick('process.uptime')})"
    info = f"max by ({BY_PROCESS}, gc_otel_version, gc_otel_recorder, gc_otel_duration_clock, cpython_gc_mode) ({either('gc_otel.recorder.info')})"
    panel = rows(
        "Recorder",
        "Which recorder each process has, what clock it measures by, and how its collector works. native measures exactly; python "
        "overstates pauses while threads compete. Mode incremental or free-threaded gives generations another meaning. Look next at: Collector.",
        query(f"{uptime} * on ({BY_PROCESS}) group_right () {info}", "", as_table=True),
    )
    titles = {
        "job": "Job",
        "service_name": "Service",
        "instance": "Instance",
        "process_pid": "PID",
        "gc_otel_recorder": "Recorder",
        "gc_otel_duration_clock": "Clock",
        "cpython_gc_mode": "Collector",
        "gc_otel_version": "gc_otel",
        "Value": "Uptime",
    }
    return column(columns(panel, titles, hidden=("cluster", "namespace")), "Uptime", "s", decimals=1)


def _collector(board: Board) -> None:
    board.row("Collector")
    board.put(
        8,
        9,
        graph(
            "Pauses by generation",
            "p99 of each generation's duration, and the median of all. Generation 2 is the one that grows with the heap. "
            "Look next at: Collections, whether there are more of them or longer ones.",
            "s",
            *queries(
                (quantile(0.99, GENERATION, totals=False), f"p99 {_GENERATION_LEGEND}"),
                (quantile(0.5, "", totals=False), "median"),
                exemplar=True,
            ),
            steps=PAUSE,
        ),
        graph(
            "Collections",
            "Collections a second. Generation 2 more than once in some seconds, and all the time, is a storm. "
            "Look next at: Explicit collections on the Python service dashboard.",
            "cps",
            *queries((f"sum by ({GENERATION}) (rate({pick('cpython.gc.collections')}{_RATE}))", _GENERATION_LEGEND)),
        ),
        graph(
            "Objects collected",
            "Objects freed by the collector a second: garbage cycles that reference counting left. High and steady: the program makes cycles, "
            "and pays for them here. Uncollectable ones stay for good: gc.garbage holds them.",
            "cps",
            *queries(
                (f"sum by ({GENERATION}) (rate({pick('cpython.gc.collected_objects')}{_RATE}))", _GENERATION_LEGEND),
                (f"sum(rate({pick('cpython.gc.uncollectable_objects')}{_RATE}))", "uncollectable"),
            ),
        ),
    )
    board.put(8, 7, *_pending())


def _pending() -> Iterator[Builder]:
    for generation, title, description in (
        (
            0,
            "Pending, generation 0",
            (
                "Allocations less deallocations since the last young collection, and the threshold that starts the next. A sawtooth below the "
                "dashed line is normal; flat above it: disabled, or deferred. Look next at: Automatic collection."
            ),
        ),
        (
            1,
            "Pending, generation 1",
            (
                "Young collections since the last of generation 1, and its threshold. A threshold in the thousands was set by the program "
                "to make full collections rare. Look next at: Collections."
            ),
        ),
        (
            2,
            "Pending, generation 2",
            (
                "Collections of generation 1 since the last full one, and its threshold. Above the dashed line and waiting is normal: CPython waits until a "
                "quarter more objects are there. Look next at: Allocated blocks."
            ),
        ),
    ):
        where = f'{GENERATION}="{generation}"'
        panel = graph(
            title,
            description,
            "short",
            *queries(
                (f"sum by ({BY_PROCESS}) ({pick('cpython.gc.pending', where)})", PROCESS_LEGEND),
                (f"max({pick('cpython.gc.threshold', where)})", "threshold"),
            ),
            many=True,
            narrow=True,
        )
        yield dashed(panel, "threshold", "red")


def _memory(board: Board) -> None:
    board.row("Memory")
    parts = (
        ("process.memory.usage", "resident"),
        ("process.memory.pss", "proportional"),
        ("process.memory.uss", "unique"),
        ("process.memory.swap", "swapped"),
    )
    limit = limit_bytes(BY_INSTANCE)
    panel = graph(
        "Memory",
        "Resident (RSS), proportional (PSS: shared pages divided), unique (USS: what would come back) and swapped memory, and the limit. Unique near "
        "resident: nothing is shared, and preloading would save memory. Look next at: Memory against limit.",
        "bytes",
        *queries(*((f"sum({pick(metric)})", title) for metric, title in parts), (f"max({limit})", "limit")),
    )
    board.put(
        12,
        8,
        dashed(panel, "limit", "red"),
        graph(
            "Memory against limit",
            "Each process's own resident memory as a share of the limit that it shares with its neighbours. One near 100 % is about to be killed; many at "
            "a fifth each are as near. Look next at: Memory and limit on the Python service dashboard.",
            "percentunit",
            *queries(
                (
                    f"sum by ({BY_PROCESS}) ({pick('process.memory.usage')}) / on ({BY_INSTANCE}) group_left () {limit}",
                    PROCESS_LEGEND,
                )
            ),
            steps=FULL,
            many=True,
        ),
    )
    board.put(
        12,
        7,
        graph(
            "Blocks",
            "sys.getallocatedblocks(). A floor that rises for hours: objects are kept. Look next at: the Leak hunt dashboard.",
            "short",
            *queries((f"sum by ({BY_PROCESS}) ({pick('cpython.memory.allocated_blocks')})", PROCESS_LEGEND)),
            many=True,
        ),
        graph(
            "Address space",
            "Virtual memory: promised, not used. It matters only where RLIMIT_AS limits it, or when it rises without end: maps that are never given back. "
            "Compare with Memory.",
            "bytes",
            *queries((f"sum by ({BY_PROCESS}) ({pick('process.memory.virtual')})", PROCESS_LEGEND)),
            many=True,
        ),
    )

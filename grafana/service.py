"""Python service: is the collector stopping requests, and will memory hold?"""

from __future__ import annotations

from typing import Final

from grafana import service_memory
from grafana import thresholds as at
from grafana.board import Board, annotate_processes, link_to_process
from grafana.labels import (
    BY_INSTANCE,
    BY_PROCESS,
    NOT_CLEAN,
    PROCESS_LEGEND,
    SELECTED,
    VARIABLES,
    counted,
    durations_in_steps,
    ended,
    limit_bytes,
    pick,
    quantile,
    seconds_in_gc,
    service_seconds_in_gc,
    used_bytes,
)
from grafana.names import GENERATION
from grafana.panels import events, figure, graph, heat, queries, query, rising
from grafana.scales import FULL, PAUSE, SHARE, time_to_limit

UID: Final = "gc-otel-service"

_GENERATION_LEGEND: Final = f"generation {{{{{GENERATION}}}}}"
_RATE: Final = "[$__rate_interval]"


def build() -> Board:
    """The dashboard."""
    board = Board(
        UID,
        "Python service",
        "Garbage collection and memory of a service, all its processes together.",
        span="6h",
        variables=VARIABLES,
    )
    annotate_processes(board)
    _now(board)
    _pauses(board)
    _time(board)
    _collections(board)
    service_memory.put(board)
    _processes(board)
    return board


def _now(board: Board) -> None:
    board.row("Now")
    used, limit = used_bytes(BY_INSTANCE), limit_bytes(BY_INSTANCE)
    board.put(
        3,
        4,
        figure(
            "Time in GC",
            "Share of the time that the process which suffers most spends collecting; nothing else of it runs meanwhile. "
            "Below 1 % is healthy, above 10 % requests wait visibly. Look next at: Time in GC by generation, then Explicit collections.",
            "percentunit",
            f"max({seconds_in_gc(BY_PROCESS)})",
            steps=SHARE,
            decimals=1,
        ),
        figure(
            "p99 pause",
            "Of a hundred collections 99 were shorter, all processes together, estimated within the histogram's buckets. "
            "Above 100 ms users notice. Look next at: Pauses, and which generation they belong to.",
            "s",
            quantile(0.99, ""),
            steps=PAUSE,
            decimals=1,
        ),
        figure(
            "Longest pause",
            "The upper bound of the bucket that the longest collection of the time shown fell into: it was at most this long. "
            "A single long one is a full collection of a large heap. Look next at: p99 by generation.",
            "s",
            quantile(1, ""),
            steps=PAUSE,
            calc="max",
        ),
        figure(
            "Memory / limit",
            "Physical memory of the fullest target as a share of the limit that binds it: cgroup, or the machine. At 100 % the kernel kills. "
            "Look next at: Memory against limit, then the Leak hunt dashboard.",
            "percentunit",
            f"max({used} / {limit})",
            steps=FULL,
            decimals=0,
            none="no limit known",
        ),
    )
    _who(board)


def _who(board: Board) -> None:
    board.put(
        3,
        4,
        figure(
            "Limit in",
            "When the line through the last three hours would reach the limit; empty while memory does not grow. A warm-up bends, a leak does not: "
            "look at Growth per hour before you believe it, and next at the Leak hunt dashboard.",
            "s",
            time_to_limit("min"),
            steps=((None, "red"), (4 * 3600, "orange"), (24 * 3600, "green")),
            decimals=1,
            none="not growing",
        ),
        figure(
            "Processes",
            "Recorded processes. Fewer than configured: some died or are not recorded; `gc-otel ps` on the host says which. "
            "Look next at: Started within the hour.",
            "short",
            f"count({pick('process.uptime')})",
        ),
        figure(
            "Started within the hour",
            "Processes younger than an hour. After a deploy all of them; without one somebody restarts them: a recycling server, a probe, "
            "the OOM killer. Look next at: Deaths by reason, and Memory against limit just before them.",
            "short",
            f"count({pick('process.uptime')} < 3600) or vector(0)",
        ),
        figure(
            "Died badly, 1 h",
            "Processes that ended within the hour, and neither by themselves nor because they were asked to. Any is one too many: each lost the requests "
            "that it was at. Only an exporter service counts deaths. Look next at: Deaths by reason.",
            "short",
            ended("1h", "", NOT_CLEAN),
            steps=rising(0.5, 3),
            decimals=0,
            none="not counted",
        ),
    )


def _pauses(board: Board) -> None:
    board.row("Pauses")
    board.put(
        12,
        9,
        heat(
            "Pauses",
            "How many collections took how long. A stable service has a thick band at the bottom (young collections) and few cells above. A band that "
            "climbs over hours is a growing heap: look at Mean full collection on the Leak hunt dashboard.",
            durations_in_steps(),
        ),
        graph(
            "Pause quantiles",
            "Quantiles of a collection's duration. p50 is a young collection; p99 and the longest are full ones, and they are what a request "
            "in a hundred meets. Look next at: p99 by generation.",
            "s",
            *queries(
                (quantile(1, ""), "longest, at most"),
                (quantile(0.99, ""), "p99"),
                (quantile(0.9, ""), "p90"),
                (quantile(0.5, ""), "p50"),
                exemplar=True,
            ),
            steps=PAUSE,
        ),
    )


def _time(board: Board) -> None:
    board.put(
        8,
        9,
        graph(
            "Time in GC by generation",
            "Seconds of collecting a second, as a share, summed over the processes: 100 % is one process that does nothing else. Mostly generation 2: "
            "large heap or gc.collect(). Mostly generation 0: many allocations, a higher threshold helps.",
            "percentunit",
            *queries((service_seconds_in_gc(GENERATION), _GENERATION_LEGEND)),
            stacked=True,
        ),
        graph(
            "Time in GC by process",
            "The same for the five worst processes. One alone: it holds something, or a job runs in it. All alike: it is the code. "
            "Look next at: the Python process dashboard of the worst.",
            "percentunit",
            *queries((f"topk(5, {seconds_in_gc(BY_PROCESS)})", PROCESS_LEGEND)),
            steps=SHARE,
        ).data_links([link_to_process()]),
        graph(
            "p99 by generation",
            "Generation 2 visits every tracked object: its time grows with the heap. When it rises and nothing is collected, objects that live for "
            "good are visited again and again: gc.freeze() after start-up takes them out.",
            "s",
            *queries((quantile(0.99, GENERATION), _GENERATION_LEGEND), exemplar=True),
            steps=PAUSE,
        ),
    )


def _collections(board: Board) -> None:
    board.row("Collections")
    count = counted("cpython.gc.collections", "gc_otel.service.collections", GENERATION)
    objects = counted("cpython.gc.collected_objects", "gc_otel.service.collected_objects", GENERATION)
    explicit = f"sum by ({GENERATION}) (rate({pick('cpython.gc.explicit_collections')}{_RATE}))"
    board.put(
        8,
        9,
        graph(
            "Collections",
            "Collections a second. Generation 0 follows allocations and so traffic; generation 2 should be rare. More of generation 2 "
            "without more traffic: look at Explicit collections.",
            "cps",
            *queries((count, _GENERATION_LEGEND)),
        ),
        graph(
            "Objects collected per collection",
            "The yield. Near zero: collections find nothing, they cost and give nothing back, raise the thresholds. Thousands: the program makes "
            "cycles, and memory waits for the collector. Compare with Time in GC.",
            "short",
            *queries((f"{objects} / ({count} > 0)", _GENERATION_LEGEND)),
            decimals=1,
        ),
        graph(
            "Explicit collections",
            "gc.collect() calls a second. Steady ones come from code that calls it for each request or task, seldom with benefit. "
            "Search the code and its libraries for gc.collect, and compare with Objects collected per collection.",
            "cps",
            *queries((explicit, _GENERATION_LEGEND)),
            steps=rising(at.EXPLICIT_COLLECTIONS_PER_SECOND.value),
        ),
    )


def _processes(board: Board) -> None:
    board.row("Processes")
    board.put(
        12,
        8,
        events(
            "Deaths by reason",
            "Processes that ended in each step. clean exit and SIGTERM are recycling and deploys. OOM kill: the limit; SIGKILL, cause unknown: the kernel or "
            "somebody; SIGSEGV: an extension. Only an exporter service counts them. Look next at: Memory against limit, just before.",
            query(f"{ended('$__rate_interval', 'reason')} > 0", "{{reason}}"),
        ),
        graph(
            "Processes by version",
            "Recorded processes of each version. Two versions for longer than a deploy takes: it is stuck, or one of them cannot start. "
            "Look next at: Deaths by reason.",
            "short",
            *queries((f"count by (service_version) (target_info{{{SELECTED}}})", "{{service_version}}")),
            stacked=True,
        ),
    )

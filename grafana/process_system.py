"""The Python process dashboard's parts about the operating system and about the recorder itself."""

from __future__ import annotations

from typing import Final

from grafana.board import Board
from grafana.labels import BY_PROCESS, PROCESS_LEGEND, pick
from grafana.panels import graph, queries

_RATE: Final = "[$__rate_interval]"
_MAJOR: Final = 'system_paging_fault_type="major"'


def put(board: Board) -> None:
    """Add the rows."""
    _system(board)
    _recorder(board)


def _system(board: Board) -> None:
    board.row("System")
    board.put(
        6,
        7,
        graph(
            "CPU",
            "CPU time a second, by mode: 100 % is one core. Near 100 % of user time a process with a GIL is busy, and pauses add to its queue. "
            "Compare with Time in GC.",
            "percentunit",
            *queries((f"sum by (cpu_mode) (rate({pick('process.cpu.time')}{_RATE}))", "{{cpu_mode}}")),
            stacked=True,
        ),
        graph(
            "Threads",
            "Operating-system threads. Rising without end: a pool that nobody closes, and its stacks are memory. Look next at: Memory.",
            "short",
            *queries((f"sum by ({BY_PROCESS}) ({pick('process.thread.count')})", PROCESS_LEGEND)),
            many=True,
            narrow=True,
        ),
        graph(
            "File descriptors",
            "Open descriptors. Rising without end: connections or files that nobody closes; objects leak with them. Look next at: Blocks.",
            "short",
            *queries((f"sum by ({BY_PROCESS}) ({pick('process.unix.file_descriptor.count')})", PROCESS_LEGEND)),
            many=True,
            narrow=True,
        ),
        graph(
            "Waiting",
            "Context switches and page faults a second. Many involuntary switches: the cores are taken, and pauses look longer than they are. Major faults: "
            "memory comes from disk, the machine is short of it.",
            "cps",
            *queries(
                (
                    f"sum by (process_context_switch_type) (rate({pick('process.context_switches')}{_RATE}))",
                    "{{process_context_switch_type}} switches",
                ),
                (f"sum(rate({pick('process.paging.faults', _MAJOR)}{_RATE}))", "major faults"),
            ),
        ),
    )


def _recorder(board: Board) -> None:
    board.row("The recorder itself")
    board.put(
        12,
        7,
        graph(
            "Overhead by component",
            "CPU time a second that gc_otel takes: the recorder in each collection, the monitor's samples, and collecting metrics. Above 2 % of a core run "
            "gc-otel doctor, and consider a longer sample interval.",
            "percentunit",
            *queries((f"sum by (component) (rate({pick('gc_otel.overhead.time')}{_RATE}))", "{{component}}")),
            stacked=True,
        ),
        graph(
            "Collections missing from the histogram",
            "Collections that are counted, and whose duration is not in the histogram, a second. self is expected, publishing caused it; limit: too many "
            "between two scrapes, scrape more often; unseen: the recorder was not shown them, gc-otel doctor says why.",
            "cps",
            *queries((f"sum by (reason) (rate({pick('gc_otel.events.dropped')}{_RATE}))", "{{reason}}")),
        ),
    )

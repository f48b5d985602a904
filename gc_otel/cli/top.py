"""Watch the recorded processes of this user: pauses, time in GC, memory and its growth, one row for each.

It reads their flight files, and memory from /proc; it needs no exporter and asks no process. On a terminal it goes on
until q, and ? lists the keys (pip install 'gc_otel[top]'). With --once or --json it prints one reading and ends: exit code 0, or 3 when
there is nobody to show.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import asdict
from typing import Any, Final

from gc_otel.cli import say_error
from gc_otel.cli.output import Style, print_json, printable, table
from gc_otel.cli.ps import HOW_TO_START, folder_of
from gc_otel.cli.terminal.columns import BY_NAME, COLUMNS, SORTED_BY, cell, ordered
from gc_otel.config import Config
from gc_otel.errors import NotSupported
from gc_otel.service import fleet
from gc_otel.service.watching import View, Watching, matching

EXIT_REFUSED: Final = 2
EXIT_NOBODY: Final = 3

_INTERVAL_LEAST_S: Final = 0.2


def _seconds(text: str) -> float:
    seconds = float(text)
    if not _INTERVAL_LEAST_S <= seconds < math.inf:
        raise ValueError
    return seconds


_seconds.__name__ = f"number of seconds ({_INTERVAL_LEAST_S:g} or more)"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--once", action="store_true", help="print one table and end")
    parser.add_argument("--json", action="store_true", help="print one list of objects and end; units are in the names")
    parser.add_argument(
        "--sort", metavar="COLUMN", choices=SORTED_BY, default="p99", help=f"{', '.join(SORTED_BY)} (p99)"
    )
    parser.add_argument(
        "--filter", metavar="WORDS", default="", help="only those with these in pid, service, program or state"
    )
    parser.add_argument(
        "--interval", metavar="N", type=_seconds, default=2.0, help="seconds from one reading to the next (2)"
    )
    parser.add_argument("--dir", metavar="DIR", help="read the flight files of this folder; default: GC_OTEL_DIR")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    if arguments.once or arguments.json:
        return _once(arguments)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        say_error("there is no terminal to watch on", "`gc-otel top --once` prints a table, `--json` objects.")
        return EXIT_REFUSED
    try:
        from gc_otel.cli.terminal.app import Top
    except ImportError as error:
        raise NotSupported(
            f"gc-otel top on a terminal needs textual, which is not installed, or not whole ({error})",
            remedy="Run `pip install 'gc_otel[top]'`; `gc-otel top --once` needs nothing more.",
        ) from error
    folder_of(arguments.dir)  # says what is wrong with it while there still is a line to say it on
    top = Top(
        lambda: _watch(arguments.dir),
        sort=arguments.sort,
        words=arguments.filter,
        interval_s=arguments.interval,
    )
    top.run()
    return top.return_code or 0


def _watch(given: str | None) -> Watching | None:
    """None while nobody has made the folder."""
    config = Config.from_env()
    folder = fleet.find_folder(config) if given is None else fleet.given_folder(given)
    return None if folder is None else Watching(folder, config)


def _once(arguments: argparse.Namespace) -> int:
    folder = folder_of(arguments.dir)
    views: list[View] = []
    unreadable = 0
    if folder is not None:
        with Watching(folder, Config.from_env()) as watching:
            views = ordered(matching(watching.read(), arguments.filter), arguments.sort)
            unreadable = watching.unreadable
    if arguments.json:
        print_json([as_json(view) for view in views])
    elif views:
        _print_table(views)
    else:
        where = f" has all of {printable(arguments.filter)!r}" if arguments.filter else ""
        print(HOW_TO_START.format(where=where))
    if unreadable:
        print(f"{unreadable} of the flight files cannot be read: gc-otel doctor says why.", file=sys.stderr)
    return 0 if views else EXIT_NOBODY


def _print_table(views: list[View]) -> None:
    style = Style()
    columns = [column for column in COLUMNS if _can_be_printed(column.text(views[0]))]
    right = frozenset(column.heading for column in columns if column.right)
    heading, *rows = table(
        [column.heading for column in columns],
        [[cell(column, view) for column in columns] for view in views],
        right=right,
    )
    print(style("bold", heading))
    for view, row in zip(views, rows, strict=True):
        is_high = any(column.is_high(view) for column in columns)
        print(style("yellow" if is_high else "", row))
    if any(view.process.elsewhere for view in views):
        print(BY_NAME["pid"].help.rpartition("; ")[2])


def _can_be_printed(text: str) -> bool:
    """A sparkline is nothing to a terminal that has no letters for it."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def as_json(view: View) -> dict[str, Any]:
    """One process; what is not known is null."""
    identity = view.snapshot.identity
    lately = view.lately
    return {
        "pid": identity.pid,
        "label": view.label,
        "other_pid_namespace": view.process.elsewhere,
        "service_name": identity.service_name,
        "program": identity.program,
        "python_version": identity.python_version,
        "state": view.process.state,
        "uptime_ns": view.process.uptime_ns,
        "window_ns": lately.window_ns if lately is not None else None,
        "pauses": asdict(lately.pauses) if lately is not None else None,
        "share_in_gc": lately.share_in_gc if lately is not None else None,
        "collections_per_s_by_generation": list(lately.collections_per_s) if lately is not None else None,
        "rss_bytes": view.rss_bytes,
        "uss_bytes": view.uss_bytes,
        "memory_limit_bytes": view.limit_bytes,
        "memory_share": view.memory_share,
        "growth_bytes_per_h": view.growth_bytes_per_h,
        "allocated_blocks": view.allocated_blocks,
        "rss_history": [[point.unix_ns, point.rss_bytes] for point in view.points],
    }

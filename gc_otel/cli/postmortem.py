"""List the processes that have ended, and show how one of them did.

With an exporter beside (`gc-otel run`, `gc-otel exporter`) each end is known from the kernel.
Without one, what the flight files of the dead tell alone is shown.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Final

from gc_otel.cli.output import (
    UNKNOWN,
    Style,
    bytes_text,
    count_text,
    pause_text,
    print_json,
    printable,
    share_text,
    table,
    time_text,
)
from gc_otel.cli.plot import plot_bytes
from gc_otel.cli.ps import folder_of
from gc_otel.errors import NoSuchEnding
from gc_otel.flight.folder import SUFFIX, Folder
from gc_otel.service.endings import RECORD_SUFFIX, Ending, Pause, read_ending, read_endings, to_json
from gc_otel.service.reasons import CLEAN
from gc_otel.service.remains import ending_of_file

_HEADINGS: Final = ("PID", "SERVICE", "PYTHON", "ENDED", "LIVED", "REASON", "MEMORY", "OF LIMIT", "LONGEST", "")
_RIGHT: Final = frozenset({"PID", "ENDED", "LIVED", "MEMORY", "OF LIMIT", "LONGEST"})
_SERVICE_LETTERS_MOST: Final = 32
_PLOT_ROWS: Final = 8
_LABEL_COLUMNS: Final = 14


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("which", nargs="?", metavar="PID|FILE", help="show one: its process id, flight file or record")
    parser.add_argument("--dir", metavar="DIR", help="flight folder; default: GC_OTEL_DIR, else /dev/shm/gc_otel-UID")
    parser.add_argument(
        "--json", action="store_true", help="print an object, or a list of them; units are in the names"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    if arguments.which is not None:
        ending, others = _find(arguments.which, arguments.dir)
        if arguments.json:
            print_json(to_json(ending))
        else:
            _show(ending)
            if others:
                print(f"\nEarlier ends of that pid: {others}. By file: gc-otel postmortem FILE")
        return 0
    endings = read_endings(folder_of(arguments.dir))
    if arguments.json:
        print_json([to_json(each) for each in endings])
    else:
        _list(endings)
    return 0


def _find(which: str, given_dir: str | None) -> tuple[Ending, int]:
    if not which.isdecimal():
        return _of_file(Path(which)), 0
    folder = folder_of(given_dir)
    found = [each for each in read_endings(folder) if each.pid == int(which)]
    if found:
        return found[0], len(found) - 1
    raise NoSuchEnding(_why_not(int(which), folder))


def _why_not(pid: int, folder: Folder | None) -> str:
    from gc_otel.service.fleet import read_fleet

    if any(each.alive and each.snapshot.identity.pid == pid for each in read_fleet(folder).processes):
        return f"process {pid} is alive"
    return f"nothing is kept of a process {pid}"


def _of_file(path: Path) -> Ending:
    ending = read_ending(path) if path.suffix == RECORD_SUFFIX else None
    if ending is None and path.suffix == SUFFIX:
        # Beside a flight file that an exporter kept lies what it knew more.
        ending = read_ending(path.with_suffix(RECORD_SUFFIX)) or ending_of_file(path)
    if ending is None:
        raise NoSuchEnding(f"{path} is no record of an end, and no flight file of a process that has ended")
    return ending


def _list(endings: tuple[Ending, ...]) -> None:
    if not endings:
        print("No recorded process has ended. Those that live: gc-otel ps")
        return
    style = Style()
    heading, *rows = table(_HEADINGS, [_row(each) for each in endings], right=_RIGHT)
    print(style("bold", heading))
    for ending, row in zip(endings, rows, strict=True):
        print(style("dim" if ending.reason == CLEAN else "", row))
    print("\nOne of them: gc-otel postmortem PID")


def _row(ending: Ending) -> list[str]:
    name = ending.service_name or ending.program
    return [
        str(ending.pid),
        name if len(name) <= _SERVICE_LETTERS_MOST else name[: _SERVICE_LETTERS_MOST - 3] + "...",
        ending.python_version,
        f"{time_text(max(0, time.time_ns() - ending.ended_unix_ns))} ago",
        time_text(ending.age_ns),
        ending.reason,
        bytes_text(ending.rss_bytes),
        share_text(ending.share_of_limit),
        pause_text(ending.longest_pause_ns),
        "in a collection" if ending.collecting is not None else "",
    ]


def _show(ending: Ending) -> None:
    style = Style()
    name = ending.service_name or ending.program
    print(printable(f"{style('bold', name)}, pid {ending.pid}: ") + style(_color(ending), ending.reason))
    for label, text in _facts(ending):
        print(f"  {label:<{_LABEL_COLUMNS}}{printable(text)}".rstrip())
    _show_memory(ending)
    _show_types(ending)
    _show_pauses("Last pauses", ending.last_pauses, ending)
    _show_pauses("Longest pauses", ending.longest_pauses, ending)


def _color(ending: Ending) -> str:
    return "green" if ending.reason == CLEAN else "red"


def _facts(ending: Ending) -> list[tuple[str, str]]:
    facts = [("", each) for each in ending.evidence]
    if ending.collecting is not None:
        for_ms = ending.collecting.for_ns
        facts.append(
            ("died inside", f"a collection of generation {ending.collecting.generation}, after {pause_text(for_ms)}")
        )
    facts += [
        ("ended", f"{_clock(ending.ended_unix_ns)}, {time_text(max(0, time.time_ns() - ending.ended_unix_ns))} ago"),
        ("lived", f"{time_text(ending.age_ns)}, from {_clock(ending.started_unix_ns)}"),
        (
            "program",
            f"{ending.program}, Python {ending.python_version}, {'forked by' if ending.forked else 'started by'} pid {ending.parent_pid}",
        ),
    ]
    if ending.exception:
        facts.append(("exception", ending.exception))
    if ending.rss_bytes is not None:
        facts.append(("memory", _memory_text(ending)))
    facts.append(
        (
            "collections",
            f"{count_text(ending.collections)}, {pause_text(ending.gc_time_ns)} in all, the longest {pause_text(ending.longest_pause_ns)}",
        )
    )
    if ending.allocated_blocks is not None:
        facts.append(("blocks", count_text(ending.allocated_blocks)))
    if ending.flight_file is not None:
        facts.append(("flight file", ending.flight_file))
    return facts


def _memory_text(ending: Ending) -> str:
    text = f"{bytes_text(ending.rss_bytes)} resident"
    if ending.limit_bytes is not None:
        text += f", {share_text(ending.share_of_limit)} of {bytes_text(ending.limit_bytes)} ({ending.limit_source})"
    if ending.uss_bytes is not None:
        text += f", {bytes_text(ending.uss_bytes)} its own"
    if ending.rss_most_bytes is not None and ending.rss_bytes is not None and ending.rss_most_bytes > ending.rss_bytes:
        text += f"; at most {bytes_text(ending.rss_most_bytes)}"
    if ending.memory_unix_ns is not None:
        before_ns = max(0, ending.ended_unix_ns - ending.memory_unix_ns)
        text += f"; sampled {before_ns / 1e9:.1f} s before the end"
    return text


def _show_memory(ending: Ending) -> None:
    import shutil

    points = [(each.unix_ns, each.rss_bytes) for each in ending.history if each.rss_bytes is not None]
    columns = min(100, shutil.get_terminal_size().columns) - 2
    lines = plot_bytes(
        points, columns=columns, rows=_PLOT_ROWS, limit_bytes=ending.limit_bytes, plain=not _has_blocks()
    )
    if lines:
        print("\nResident memory")
        print("\n".join(f"  {line}" for line in lines))


def _show_types(ending: Ending) -> None:
    if ending.census_unix_ns is None or not ending.types:
        return
    before_ns = max(0, ending.ended_unix_ns - ending.census_unix_ns)
    print(f"\nLargest types, {before_ns / 1e9:.0f} s before the end")
    rows = [
        [
            each.name,
            count_text(each.objects),
            bytes_text(each.size_bytes),
            UNKNOWN
            if each.grown_bytes is None
            else f"{'+' if each.grown_bytes > 0 else ''}{bytes_text(each.grown_bytes)}",
        ]
        for each in ending.types
    ]
    for line in table(("TYPE", "OBJECTS", "SIZE", "GROWN"), rows, right=frozenset({"OBJECTS", "SIZE", "GROWN"})):
        print(f"  {line}")


def _has_blocks() -> bool:
    try:
        "█┤".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _show_pauses(title: str, pauses: tuple[Pause, ...], ending: Ending) -> None:
    if not pauses:
        return
    print(f"\n{title}")
    rows = [
        [
            f"{max(0, ending.ended_unix_ns - each.started_unix_ns) / 1e9:.3f} s before",
            str(each.generation),
            pause_text(each.duration_ns),
            count_text(each.collected),
            "gc.collect()" if each.explicit else "",
        ]
        for each in pauses
    ]
    headings = ("THE END", "GENERATION", "PAUSE", "FREED", "")
    for line in table(headings, rows, right=frozenset(headings[:4])):
        print(f"  {line}")


def _clock(unix_ns: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix_ns / 1e9))
    except (OverflowError, OSError, ValueError):
        return UNKNOWN

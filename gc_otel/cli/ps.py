"""List the recorded processes of this user.

It reads their flight files and never asks a process: one that hangs, or has just been killed,
answers as well.
"""

from __future__ import annotations

import argparse
import sys
from typing import Final

from gc_otel.cli.output import (
    UNKNOWN,
    Style,
    bytes_text,
    count_text,
    exporter_text,
    pause_text,
    print_json,
    printable,
    share_text,
    table,
    time_text,
)
from gc_otel.config import Config
from gc_otel.flight.folder import Folder
from gc_otel.service import fleet
from gc_otel.service.fleet import Fleet, Process
from gc_otel.service.status import ask_status

_HEADINGS: Final = (
    "PID",
    "SERVICE",
    "PYTHON",
    "UPTIME",
    "RECORDER",
    "COLLECTIONS",
    "LONGEST",
    "IN GC",
    "BLOCKS",
    "RSS",
    "STATE",
)
_RIGHT: Final = frozenset({"PID", "UPTIME", "COLLECTIONS", "LONGEST", "IN GC", "BLOCKS", "RSS"})
_SERVICE_LETTERS_MOST: Final = 32

#: What to do where there is nobody to show.
HOW_TO_START: Final = """\
No recorded process{where}. To record one:
  gc-otel run -- python app.py                any program as it is, with its metrics on one address
  opentelemetry-instrument python app.py      with gc_otel installed beside the app
  GcInstrumentor().instrument()               in code: from gc_otel import GcInstrumentor
  gc-otel demo                                a small service to look at"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--all", action="store_true", help="list the dead too, as long as their flight files are kept")
    parser.add_argument("--dir", metavar="DIR", help="read the flight files of this folder; default: GC_OTEL_DIR")
    parser.add_argument("--json", action="store_true", help="print a list of objects; units are in the names")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    folder = folder_of(arguments.dir)
    found = _with_kept(fleet.read_fleet(folder), folder)
    shown = [process for process in found.processes if process.alive or arguments.all]
    if arguments.json:
        print_json([_as_json(process) for process in shown])
    else:
        _print_table(shown, found, everyone=arguments.all)
        _print_exporter(folder)
    if found.unreadable:
        print(_unreadable_line(found), file=sys.stderr if arguments.json else sys.stdout)
    return 0


def _with_kept(found: Fleet, folder: Folder | None) -> Fleet:
    """With the dead whose flight files an exporter has put away."""
    if folder is None:
        return found
    kept = fleet.read_fleet(folder.endings)
    return Fleet(found.processes + kept.processes, found.unreadable + kept.unreadable)


def folder_of(given: str | None) -> Folder | None:
    """The folder of an option --dir, else of the settings; None while nobody has made it."""
    if given is not None:
        return fleet.given_folder(given)
    config = Config.from_env()
    for problem in config.problems:
        if problem.variable.startswith("GC_OTEL_DIR"):  # it changes which folder is looked at
            print(printable(str(problem)), file=sys.stderr)
    return fleet.find_folder(config)


def _print_table(shown: list[Process], found: Fleet, *, everyone: bool) -> None:
    dead = sum(not process.alive for process in found.processes)
    if not shown:
        print(HOW_TO_START.format(where=" is alive" if dead and not everyone else ""))
    else:
        style = Style()
        heading, *rows = table(_HEADINGS, [_row(process) for process in shown], right=_RIGHT)
        print(style("bold", heading))
        for process, row in zip(shown, rows, strict=True):
            print(style(_color(process), row))
        if any(process.elsewhere for process in shown):
            print("* counted in another pid namespace, such as a container's: not a pid of this one")
    if dead and not everyone:
        print(f"{dead} dead {'process' if dead == 1 else 'processes'} not shown: gc-otel ps --all, gc-otel postmortem")


def _print_exporter(folder: Folder | None) -> None:
    status = ask_status(folder) if folder is not None else None
    if status is not None:
        print(printable(f"exporter: {status.address}/metrics, {exporter_text(status)}"))


def _color(process: Process) -> str:
    if not process.alive:
        return "dim"
    return "yellow" if process.state == "collecting" else ""


def _row(process: Process) -> list[str]:
    identity, collector = process.snapshot.identity, process.snapshot.collector
    interpreter, memory = process.snapshot.interpreter, process.snapshot.memory
    return [
        f"{identity.pid}{'*' if process.elsewhere else ''}",
        _shortened(identity.service_name),
        identity.python_version,
        time_text(process.uptime_ns),
        identity.recorder,
        count_text(collector.collections),
        pause_text(collector.duration_max_ns) if collector.collections else UNKNOWN,
        share_text(process.share_in_gc),
        count_text(interpreter.allocated_blocks if interpreter is not None else None),
        bytes_text(memory.rss_bytes if memory is not None else None),
        _state_text(process),
    ]


def _shortened(name: str) -> str:
    return name if len(name) <= _SERVICE_LETTERS_MOST else name[: _SERVICE_LETTERS_MOST - 3] + "..."


def _state_text(process: Process) -> str:
    collecting_ns = process.collecting_ns
    if collecting_ns is not None:
        return f"in collection {collecting_ns / 1e9:.1f}s"
    return "died in a collection" if process.state == "died collecting" else process.state


def _unreadable_line(found: Fleet) -> str:
    count = len(found.unreadable)
    files = "1 flight file" if count == 1 else f"{count} flight files"
    return f"{files} cannot be read: gc-otel doctor names {'it' if count == 1 else 'them'} and says why."


def _as_json(process: Process) -> dict[str, object]:
    identity, collector = process.snapshot.identity, process.snapshot.collector
    interpreter, memory = process.snapshot.interpreter, process.snapshot.memory
    return {
        "pid": identity.pid,
        "parent_pid": identity.parent_pid,
        "other_pid_namespace": process.elsewhere,
        "alive": process.alive,
        "state": process.state,
        "collecting_ns": process.collecting_ns,
        "service_name": identity.service_name,
        "service_version": identity.service_version,
        "instance_id": identity.instance_id,
        "program": identity.program,
        "python_version": identity.python_version,
        "recorder": identity.recorder,
        "duration_clock": identity.duration_clock,
        "gc_mode": identity.gc_mode,
        "started_unix_ns": identity.started_unix_ns,
        "recording_since_unix_ns": identity.created_unix_ns,
        "uptime_ns": process.uptime_ns,
        "collections": collector.collections,
        "collections_by_generation": [stats.collections for stats in collector.generations],
        "longest_pause_ns": collector.duration_max_ns if collector.collections else None,
        "gc_time_ns": collector.duration_sum_ns,
        "share_in_gc": process.share_in_gc,
        "allocated_blocks": interpreter.allocated_blocks if interpreter is not None else None,
        "rss_bytes": memory.rss_bytes if memory is not None else None,
        "memory_limit_bytes": memory.limit_bytes if memory is not None else None,
        "faults": len(process.snapshot.faults),
        "flight_file": str(process.path),
    }

"""The flight folder, the files in it, and what the living processes noted in theirs."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from gc_otel.cli.checks import Check, fail, ok, warn
from gc_otel.cli.output import bytes_text, count_text, time_text
from gc_otel.config import Config
from gc_otel.errors import FlightFolderError
from gc_otel.flight import layout
from gc_otel.flight.folder import Folder, default_path, filesystem_type, open_folder
from gc_otel.service.fleet import Fleet, Process, Unreadable

_FOLDER = "flight folder"
_FILES = "flight files"

#: So many unreadable files are named; a folder may hold any number of them.
_NAMED_MOST = 20

#: A monitor that missed so many of its rounds has stopped, or waits for something.
_MISSED_ROUNDS = 3


def check_folder(config: Config) -> tuple[list[Check], Folder | None]:
    """The checks of the folder, and the folder where there is a fit one."""
    source = config.sources["dir"]
    why = "the default" if source == "default" else f"from {source}"
    try:
        path = default_path(config)
        if not os.path.lexists(path):
            return [_not_there(path, why)], None
        folder = open_folder(config, create=False)
    except FlightFolderError as error:
        return [fail(_FOLDER, f"{error} ({why}): processes record in private memory, unseen", error.remedy)], None
    return [_found(folder, why), _room(folder)], folder


def _not_there(path: Path, why: str) -> Check:
    parent = path.parent
    if os.access(parent, os.W_OK | os.X_OK):
        return ok(_FOLDER, f"{path} ({why}) is not there yet; the first recorded process makes it")
    return fail(
        _FOLDER,
        f"{path} ({why}) is not there, and cannot be made in {parent}",
        f"Make it: mkdir -m 700 {path}. Or name another with GC_OTEL_DIR.",
    )


def _found(folder: Folder, why: str) -> Check:
    status = folder.path.lstat()
    kind, mode = filesystem_type(status.st_dev), stat.S_IMODE(status.st_mode)
    return ok(_FOLDER, f"{folder.path} ({why}), on {kind}, mode {mode:04o}")


def _room(folder: Folder) -> Check:
    used, budget = folder.used_bytes(), folder.budget_bytes()
    filesystem = os.statvfs(folder.path)
    free = filesystem.f_frsize * filesystem.f_bavail
    finding = f"{bytes_text(used)} used of the {bytes_text(budget)} that flight files may take"
    try:
        folder.check_budget()
    except FlightFolderError as error:
        return warn(_FOLDER, f"{finding}: the next process records in private memory, unseen", error.remedy)
    if free < layout.FILE_BYTES:
        return warn(
            _FOLDER,
            f"{finding}, and the filesystem has only {bytes_text(free)} left: the next process is not seen",
            "Free some of it, or name a folder on another tmpfs with GC_OTEL_DIR.",
        )
    return ok(_FOLDER, f"{finding}; room for {(budget - used) // layout.FILE_BYTES} more processes")


def check_files(fleet: Fleet) -> Iterator[Check]:
    """What can be read, and by name what cannot."""
    alive = sum(process.alive for process in fleet.processes)
    yield ok(_FILES, f"{alive} of living processes, {len(fleet.processes) - alive} kept of dead ones")
    yield from (_unreadable(each) for each in fleet.unreadable[:_NAMED_MOST])
    more = len(fleet.unreadable) - _NAMED_MOST
    if more > 0:
        yield warn(_FILES, f"{more} more cannot be read", "Deal with those above first.")


def _unreadable(each: Unreadable) -> Check:
    return warn(_FILES, f"{each.path.name} cannot be read: {each.reason}", each.remedy)


def check_process(process: Process) -> Iterator[Check]:
    """What one living process noted."""
    identity, collector = process.snapshot.identity, process.snapshot.collector
    group = f"process {identity.pid}{' (of another pid namespace)' if process.elsewhere else ''}"
    yield ok(
        group,
        f"{identity.service_name}, {identity.program}, Python {identity.python_version}, {identity.recorder} recorder: "
        f"{count_text(collector.collections)} collections in {time_text(process.uptime_ns)}",
    )
    for fault in process.snapshot.faults:
        yield warn(
            group,
            f"contained {fault.count} times: {fault.text}" if fault.count > 1 else f"contained once: {fault.text}",
            "The program was not disturbed and the rest goes on. A fault of gc_otel's own is worth a bug report.",
        )
    yield from _dropped(group, process)
    yield from _heap(group, process)
    yield from _monitor(group, process)
    if collector.torn:
        yield warn(
            group,
            "its recorder did not hold still while it was read: the numbers may be a collection apart",
            "Run this again. If it stays so, the process hangs inside the recorder: report it with a stack (gdb, py-spy).",
        )


def _dropped(group: str, process: Process) -> Iterator[Check]:
    from gc_otel.otel.catalog import dropped

    counts = dropped(process.snapshot)
    expected = {"self": "caused by publishing itself", "no_start": "begun before recording"}
    remedies = {
        "limit": "Publish more often (OTEL_METRIC_EXPORT_INTERVAL): too many collections passed between two collects.",
        "unseen": "Counted, without a duration. The native recorder sees those that the Python one misses.",
    }
    known = [f"{count_text(counts[reason])} {why}" for reason, why in expected.items() if counts[reason]]
    if known:
        yield ok(group, f"left out of cpython.gc.duration, as is right: {', '.join(known)}")
    for reason, remedy in remedies.items():
        if counts[reason]:
            yield warn(group, f"{count_text(counts[reason])} collections dropped, reason {reason}", remedy)


_CENSUS_WORDS = {
    "off": "no census: GC_OTEL_CENSUS is off",
    "unsupported": "no census: without a GIL, or without the native recorder below Python 3.12, none is safe beside the program",
}
_CYCLES_WORDS = {
    "off": "no cycle sampler: GC_OTEL_CYCLES is off",
    "python": "no cycle sampler: it needs the native recorder",
    "freethreaded": "no cycle sampler: without a GIL reference counts are split between threads",
    "incremental": "no cycle sampler: this collector is incremental",
    "failed": "no cycle sampler: its memory could not be had, or the collector's lists are not where CPython has them",
}


def _heap(group: str, process: Process) -> Iterator[Check]:
    """How the heap is looked at, and what that costs."""
    census, cycles = process.snapshot.census, process.snapshot.cycles
    if census is not None and census.state in _CENSUS_WORDS:
        yield ok(group, _CENSUS_WORDS[census.state])
    elif census is not None and census.state == "costly":
        held = (
            f"the last one held the GIL for {census.hold_ns / 1e6:.1f} ms" if census.taken_ns else "none was taken yet"
        )
        never = census.due_ns == layout.ABSENT
        often = "none is taken" if never else "it is taken rarely"
        yield ok(group, f"its heap is so large that a census would hold the GIL for more than 50 ms: {often}; {held}")
    elif census is not None and census.taken_ns:
        yield ok(
            group,
            f"censuses taken: {count_text(census.censuses)}, the last held the GIL for {census.hold_ns / 1e6:.1f} ms",
        )
    if census is not None and census.garbage_objects:
        names = ", ".join(f"{each.objects} x {each.name}" for each in census.garbage)
        yield warn(
            group,
            f"{count_text(census.garbage_objects)} objects in gc.garbage ({names or 'too many to name'})",
            "The collector gave up on them, or DEBUG_SAVEALL keeps them: they are never freed.",
        )
    if cycles is not None and cycles.state in _CYCLES_WORDS:
        yield ok(group, _CYCLES_WORDS[cycles.state])
    elif cycles is not None and any(cycles.samples):
        yield ok(
            group,
            f"garbage cycles named from {count_text(sum(cycles.samples))} sampled collections, the longest examination "
            f"took {cycles.longest_ns / 1e6:.1f} ms",
        )


def _monitor(group: str, process: Process) -> Iterator[Check]:
    remedy = "A long collection, or C code that keeps the GIL, holds it up; otherwise see its faults, and restart the process."
    if process.unsteady:
        yield warn(group, f"its monitor was writing all the while ({', '.join(process.unsteady)})", remedy)
        return
    interpreter = process.snapshot.interpreter
    if interpreter is None:
        recorded_ns = process.seen_unix_ns - process.snapshot.identity.created_unix_ns
        if recorded_ns > _MISSED_ROUNDS * Config().sample_interval * 1e9:
            yield warn(group, f"its monitor has made no round in {time_text(recorded_ns)}", remedy)
        return
    silent_ns = time.monotonic_ns() - interpreter.beat_ns
    if silent_ns > _MISSED_ROUNDS * interpreter.interval_ns:
        yield warn(
            group,
            f"its monitor has been silent for {time_text(silent_ns)}, its interval is "
            f"{interpreter.interval_ns / 1e9:g} s",
            remedy,
        )

"""What a dead process left: its flight file, read for the last time, and made into an :class:`~gc_otel.service.endings.Ending`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gc_otel.errors import FlightFileError
from gc_otel.flight import layout, reader
from gc_otel.flight.file import FlightFile
from gc_otel.flight.heap_snapshot import HeapCensus
from gc_otel.flight.snapshot import Event, HistoryPoint, Identity, Memory, Snapshot
from gc_otel.flight.still import Still
from gc_otel.service.endings import Collecting, Ending, HeldType, MemoryPoint, Pause
from gc_otel.service.fleet import Process, read_snapshot
from gc_otel.service.reasons import OOM, UNKNOWN, Evidence, ExitStatus, reason_of, signal_name

_LAST_PAUSES: Final = 10
_LONGEST_PAUSES: Final = 5
_TYPES_MOST: Final = 10
#: Of an hour, one for each 20 s: as many as a terminal has columns.
_HISTORY_POINTS_MOST: Final = 180


@dataclass(frozen=True, slots=True)
class Remains:
    """A dead process: ``process`` with its single collections, and an hour of its memory."""

    process: Process
    history: tuple[HistoryPoint, ...]


def read_remains(file: FlightFile, path: Path) -> Remains:
    """What the file of a dead process says; FlightFileError when it cannot be believed."""
    still = Still(file.copy(0, layout.FILE_BYTES))
    snapshot, unsteady = read_snapshot(still)
    return Remains(Process(path, alive=False, snapshot=snapshot, unsteady=unsteady), reader.read_history(still))


def ending_of_file(path: Path) -> Ending | None:
    """What a file tells with no exporter having watched; None while its process lives, or where it is no flight file."""
    try:
        with FlightFile(path) as file:
            if file.is_alive():
                return None
            remains = read_remains(file, path)
    except (FlightFileError, OSError):
        return None
    if remains.process.snapshot.identity.state == "stopped":
        return None
    return make_ending(remains, status=None, oom_kill=False, ended_unix_ns=remains.process.seen_unix_ns, by_file=True)


def make_ending(
    remains: Remains,
    *,
    status: ExitStatus | None,
    oom_kill: bool,
    ended_unix_ns: int,
    by_file: bool = False,
    sampled: Memory | None = None,
    watched: Sequence[HistoryPoint] = (),
) -> Ending:
    """One record; ``sampled`` and ``watched`` are memory and history as the exporter has them.  ``by_file``: it was not there."""
    snapshot = remains.process.snapshot
    identity, collector, interpreter = snapshot.identity, snapshot.collector, snapshot.interpreter
    marked = identity.state == "exited"
    evidence = Evidence(status, marked, identity.exit_code, identity.exception, oom_kill)
    reason = reason_of(evidence)
    census = snapshot.census if snapshot.census is not None and snapshot.census.taken_ns else None
    memory = _latest_sample(snapshot.memory, sampled)
    history = joined(remains.history, watched)
    return Ending(
        name=remains.process.path.stem,
        pid=identity.pid,
        parent_pid=identity.parent_pid,
        pid_namespace=identity.pid_namespace,
        service_name=identity.service_name,
        service_version=identity.service_version,
        instance_id=identity.instance_id,
        program=identity.program,
        python_version=identity.python_version,
        forked=identity.origin == "forked",
        reason=reason,
        evidence=tuple(_sentences(evidence, reason, identity, by_file=by_file)),
        exit_code=status.exit_code if status is not None else identity.exit_code,
        signal=signal_name(status.signal) if status is not None and status.signal is not None else None,
        core_dumped=status is not None and status.core_dumped,
        exception=identity.exception,
        started_unix_ns=identity.started_unix_ns,
        recording_since_unix_ns=identity.created_unix_ns,
        ended_unix_ns=ended_unix_ns,
        collecting=None if marked else _collecting(snapshot, ended_unix_ns),
        collections=collector.collections,
        gc_time_ns=collector.duration_sum_ns,
        longest_pause_ns=collector.duration_max_ns if collector.collections else None,
        rss_bytes=memory.rss_bytes if memory is not None else None,
        rss_most_bytes=_most_rss_bytes(memory, history),
        uss_bytes=memory.uss_bytes if memory is not None else None,
        swap_bytes=memory.swap_bytes if memory is not None else None,
        limit_bytes=memory.limit_bytes if memory is not None else None,
        limit_source=memory.limit_source if memory is not None else "unknown",
        memory_unix_ns=memory.sampled_ns + identity.monotonic_to_unix_ns if memory is not None else None,
        allocated_blocks=interpreter.allocated_blocks if interpreter is not None else None,
        last_pauses=_pauses(collector.latest[-_LAST_PAUSES:], identity),
        longest_pauses=_pauses(collector.longest[:_LONGEST_PAUSES], identity),
        history=_thinned(history),
        census_unix_ns=census.taken_ns + identity.monotonic_to_unix_ns if census is not None else None,
        types=_types(census),
        flight_file=str(remains.process.path),
    )


def _sentences(evidence: Evidence, reason: str, identity: Identity, *, by_file: bool) -> Iterable[str]:
    status = evidence.status
    if status is not None:
        word = f"exit code {status.exit_code}" if status.signal is None else signal_name(status.signal)
        yield f"the kernel says {word}{', core dumped' if status.core_dumped else ''}"
    else:
        yield "no exporter watched it: this is what its flight file says alone" if by_file else "the kernel did not say"
    if evidence.marked:
        code = "" if evidence.exit_code is None else f", with exit code {evidence.exit_code}"
        yield f"it noted its own exit{code}"
    elif evidence.exit_code is not None:
        yield f"C code called exit({evidence.exit_code})"
    elif status is None or status.signal is None:
        yield "it noted no exit of its own: it was killed, or ended by os._exit()"
        if identity.origin == "forked":
            yield "it was a forked child, and those of multiprocessing and other pools end by os._exit()"
    if evidence.exception:
        yield f"nobody caught {evidence.exception}"
    if reason == OOM:
        yield "its cgroup counted an OOM kill that no other end explains"
    elif reason == UNKNOWN or (status is not None and status.signal == 9):
        yield "its cgroup counted no OOM kill, or its counter could not be read"


def _latest_sample(own: Memory | None, sampled: Memory | None) -> Memory | None:
    """The later one: both clocks are the machine's monotonic one."""
    samples = [each for each in (own, sampled) if each is not None]
    # What the process samples of itself in run mode is little; the exporter's samples have all, so they win a tie.
    return max(samples, key=lambda each: (each.limit_bytes is not None, each.sampled_ns), default=None)


def _collecting(snapshot: Snapshot, ended_unix_ns: int) -> Collecting | None:
    in_progress = snapshot.collector.in_progress
    if in_progress is None:
        return None
    since_unix_ns = in_progress.since_ns + snapshot.identity.monotonic_to_unix_ns
    return Collecting(in_progress.generation, max(0, ended_unix_ns - since_unix_ns))


def _pauses(events: Iterable[Event], identity: Identity) -> tuple[Pause, ...]:
    return tuple(
        Pause(
            started_unix_ns=event.start_ns + identity.monotonic_to_unix_ns,
            duration_ns=event.duration_ns,
            generation=event.generation,
            explicit=event.explicit,
            collected=event.collected,
        )
        for event in events
    )


def joined(own: Sequence[HistoryPoint], watched: Sequence[HistoryPoint]) -> tuple[HistoryPoint, ...]:
    """The ring of the flight file and what the exporter saw, in order of time.

    Each knows what the other cannot: the file what was before the exporter, the exporter what happened
    while the process sat in C code, and the limit.
    """
    return tuple(sorted([*own, *watched], key=lambda point: point.unix_ns))


def _types(census: HeapCensus | None) -> tuple[HeldType, ...]:
    rows = () if census is None else sorted(census.types, key=lambda row: -row.size_bytes)[:_TYPES_MOST]
    return tuple(
        HeldType(
            row.name,
            row.objects,
            row.size_bytes,
            None if row.previous_size_bytes is None else row.size_bytes - row.previous_size_bytes,
        )
        for row in rows
    )


def _most_rss_bytes(memory: Memory | None, history: Iterable[HistoryPoint]) -> int | None:
    known = [point.rss_bytes for point in history if point.rss_bytes is not None]
    if memory is not None and memory.rss_bytes is not None:
        known.append(memory.rss_bytes)
    return max(known, default=None)


def _thinned(history: Sequence[HistoryPoint]) -> tuple[MemoryPoint, ...]:
    """The points with a known size, as many as are kept: of several neighbours the highest, so that no peak is lost."""
    known = [point for point in history if point.rss_bytes is not None]
    many = max(1, -(-len(known) // _HISTORY_POINTS_MOST))
    groups = (known[first : first + many] for first in range(0, len(known), many))
    highest = (max(group, key=lambda point: point.rss_bytes or 0) for group in groups)
    return tuple(MemoryPoint(point.unix_ns, point.rss_bytes, point.limit_bytes) for point in highest)

"""From a process as it was read to the objects of the API.  Numbers are plain, their units are in their names.

Times are ``unix_ms``; a thread or trace is text, because a browser's numbers end at 2**53.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from gc_otel.flight import layout
from gc_otel.flight.snapshot import Event, GenerationStats, Memory
from gc_otel.service.figures import Figures, figures, growth_bytes_per_h, histogram, memory_share
from gc_otel.service.page.always import heap_object
from gc_otel.service.page.departed import ended_object
from gc_otel.service.page.subjects import Subject
from gc_otel.service.page.timeline import thinned
from gc_otel.service.sampling import point_of

_NS_PER_MS: Final = 1_000_000
_SPARKLINE_POINTS: Final = 60

EVENT_COLUMNS: Final = (
    "number",
    "start_unix_ms",
    "duration_ns",
    "generation",
    "collected",
    "uncollectable",
    "candidates",
    "is_explicit",
    "is_own",
    "thread_id",
    "trace_id",
)


def row(subject: Subject) -> dict[str, Any]:
    """A process as the fleet shows it."""
    process, snapshot = subject.process, subject.snapshot
    identity, memory, collector = snapshot.identity, snapshot.memory, snapshot.collector
    last = thinned(subject.points, _SPARKLINE_POINTS)
    lately = _lately(subject)
    return {
        "id": subject.id,
        "file": process.path.stem,
        "pid": identity.pid,
        "parent_pid": identity.parent_pid,
        "pid_namespace": identity.pid_namespace,
        "is_elsewhere": process.elsewhere,
        "is_alive": process.alive,
        "state": process.state,
        "service_name": identity.service_name,
        "service_version": identity.service_version,
        "program": identity.program,
        "python_version": identity.python_version,
        "started_unix_ms": identity.started_unix_ns // _NS_PER_MS,
        "recorded_since_unix_ms": identity.created_unix_ns // _NS_PER_MS,
        "seen_unix_ms": process.seen_unix_ns // _NS_PER_MS,
        "uptime_ms": process.uptime_ns // _NS_PER_MS,
        "collections": collector.collections,
        "share_in_gc": process.share_in_gc,
        "longest_pause_ns": collector.duration_max_ns,
        "has_page": True,
        "ended": None if subject.ending is None else ended_object(subject.ending),
        "lately": None if lately is None else figures_object(lately),
        "rss_bytes": memory.rss_bytes if memory is not None else _last(subject, "rss_bytes"),
        "limit_bytes": _limit_bytes(subject),
        "limit_source": _limit_source(subject),
        "memory_share": _share(subject),
        "growth_bytes_per_h": growth_bytes_per_h(subject.points),
        "sparkline": {
            "unix_ms": [point.unix_ns // _NS_PER_MS for point in last],
            "rss_bytes": [point.rss_bytes for point in last],
        },
    }


def whole(subject: Subject) -> dict[str, Any]:
    """A process as its own page shows it."""
    process, snapshot = subject.process, subject.snapshot
    identity, collector, interpreter = snapshot.identity, snapshot.collector, snapshot.interpreter
    return {
        **row(subject),
        "instance_id": identity.instance_id,
        "recorder": identity.recorder,
        "duration_clock": identity.duration_clock,
        "gc_mode": identity.gc_mode,
        "unsteady": list(process.unsteady),
        "collecting_ns": process.collecting_ns,
        "memory": _memory_object(snapshot.memory),
        "interpreter": None
        if interpreter is None
        else {
            "age_ms": _age_ms(subject, interpreter.beat_ns),
            "interval_ms": interpreter.interval_ns // _NS_PER_MS,
            "allocated_blocks": interpreter.allocated_blocks,
            "gc_enabled": interpreter.gc_enabled,
            "thresholds": list(interpreter.thresholds),
            "pending": list(interpreter.pending),
        },
        "generations": [_generation_object(each) for each in collector.generations],
        "histogram": {
            "bounds_ns": list(layout.DURATION_BOUNDS_NS),
            "counts": list(histogram(collector.generations)),
            "counts_by_generation": [list(each.buckets) for each in collector.generations],
        },
        "dropped": {
            "self": snapshot.published.dropped_self,
            "limit": snapshot.published.dropped_limit,
            "no_start": sum(each.no_start for each in collector.generations),
            "unseen": sum(interpreter.unseen) if interpreter is not None else 0,
        },
        "overhead_ns": {
            "recorder": collector.overhead_ns,
            "monitor": interpreter.overhead_ns if interpreter is not None else 0,
        },
        "faults": [{"text": each.text, "count": each.count} for each in snapshot.faults],
        "longest": events_object(subject, collector.longest),
        "heap": heap_object(subject),
    }


def point_now(subject: Subject) -> dict[str, Any]:
    """One more point of its history, as :func:`gc_otel.service.page.timeline.columns` has them, of this moment."""
    point = point_of(subject.snapshot)
    generations = subject.snapshot.collector.generations
    return {
        "unix_ms": point.unix_ns // _NS_PER_MS,
        "rss_bytes": point.rss_bytes,
        "uss_bytes": point.uss_bytes,
        "limit_bytes": point.limit_bytes,
        "allocated_blocks": point.allocated_blocks,
        "collections": point.collections,
        "duration_sum_ns": point.duration_sum_ns,
        "window_max_ns": point.window_max_ns,
        "cpu_ns": point.cpu_ns,
        "threads": point.threads,
        "collections_by_generation": [each.collections for each in generations],
        "collected_by_generation": [each.collected for each in generations],
    }


def events_object(subject: Subject, events: Sequence[Event]) -> dict[str, Any]:
    """Collections as rows under the names of ``columns``."""
    to_unix_ns = subject.snapshot.identity.monotonic_to_unix_ns
    return {"columns": list(EVENT_COLUMNS), "rows": [_event_row(event, to_unix_ns) for event in events]}


def figures_object(lately: Figures) -> dict[str, Any]:
    """What happened in the last minute, or as far back as is known."""
    pauses = lately.pauses
    return {
        "window_ms": lately.window_ns // _NS_PER_MS,
        "collections": pauses.collections,
        "p50_pause_ns": pauses.p50_ns,
        "p99_pause_ns": pauses.p99_ns,
        "longest_pause_ns": pauses.max_ns,
        "is_estimate": pauses.is_estimate,
        "share_in_gc": lately.share_in_gc,
        "collections_per_s": list(lately.collections_per_s),
    }


def _lately(subject: Subject) -> Figures | None:
    identity = subject.snapshot.identity
    since_ns = identity.created_unix_ns - identity.monotonic_to_unix_ns
    # Of a dead process: its last minute.
    now_ns = subject.process.seen_unix_ns - identity.monotonic_to_unix_ns if not subject.process.alive else None
    now_ns = time.monotonic_ns() if now_ns is None else now_ns
    if now_ns <= since_ns:
        return None
    return figures(subject.snapshot.collector, subject.before, since_ns=since_ns, now_ns=now_ns)


def _limit_bytes(subject: Subject) -> int | None:
    """Of the living as sampled; of the dead what the exporter last saw, where their file has none."""
    memory, ending = subject.snapshot.memory, subject.ending
    known = memory.limit_bytes if memory is not None else _last(subject, "limit_bytes")
    return ending.limit_bytes if known is None and ending is not None else known


def _limit_source(subject: Subject) -> str:
    memory, ending = subject.snapshot.memory, subject.ending
    if memory is not None and memory.limit_bytes is not None:
        return memory.limit_source
    return ending.limit_source if ending is not None else "unknown"


def _share(subject: Subject) -> float | None:
    memory = subject.snapshot.memory
    rss_bytes = memory.rss_bytes if memory is not None else _last(subject, "rss_bytes")
    return memory_share(rss_bytes, _limit_bytes(subject))


def _last(subject: Subject, name: str) -> int | None:
    return next((value for each in reversed(subject.points) if (value := getattr(each, name)) is not None), None)


def _age_ms(subject: Subject, at_ns: int) -> int:
    seen_ns = subject.process.seen_unix_ns - subject.snapshot.identity.monotonic_to_unix_ns
    return max(0, seen_ns - at_ns) // _NS_PER_MS


def _memory_object(memory: Memory | None) -> dict[str, Any] | None:
    if memory is None:
        return None
    names = ("rss_bytes", "vms_bytes", "uss_bytes", "pss_bytes", "swap_bytes", "limit_bytes", "limit_source")
    rest = ("cpu_user_ns", "cpu_system_ns", "threads", "file_descriptors")
    return {name: getattr(memory, name) for name in (*names, *rest)}


def _generation_object(each: GenerationStats) -> dict[str, Any]:
    names = ("collections", "explicit_collections", "collected", "uncollectable", "duration_sum_ns", "duration_max_ns")
    return {name: getattr(each, name) for name in names}


def _event_row(event: Event, to_unix_ns: int) -> list[Any]:
    return [
        event.number,
        round((event.start_ns + to_unix_ns) / _NS_PER_MS, 3),
        event.duration_ns,
        event.generation,
        event.collected,
        event.uncollectable,
        event.candidates,
        event.explicit,
        event.own,
        str(event.thread_id),
        f"{event.trace_id:032x}" if event.trace_id else None,
    ]

"""A process that has ended, as its record tells it: also when its flight file is not kept any more."""

from __future__ import annotations

from typing import Any, Final

from gc_otel.flight.snapshot import HistoryPoint
from gc_otel.service.endings import Ending
from gc_otel.service.figures import growth_bytes_per_h
from gc_otel.service.page.timeline import thinned
from gc_otel.service.reasons import CLEAN

_NS_PER_MS: Final = 1_000_000
_SPARKLINE_POINTS: Final = 60


def ended_object(ending: Ending) -> dict[str, Any]:
    """How it ended: ``short`` for a table, ``text`` for a reader, and what it is known from."""
    return {
        "reason": ending.reason,
        "short": ending.reason,
        "text": " ".join(_sentence(each) for each in ending.evidence) or "Nothing tells why.",
        "is_good": ending.reason == CLEAN,
        "exit_code": ending.exit_code,
        "signal": ending.signal,
        "exception": ending.exception,
        "ended_unix_ms": ending.ended_unix_ns // _NS_PER_MS,
    }


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text[:1].upper()}{text[1:]}."


def departed_row(ending: Ending) -> dict[str, Any]:
    """The same object as :func:`gc_otel.service.page.describe.row` makes of a flight file."""
    points = thinned(
        [_point(each.unix_ns, each.rss_bytes, each.limit_bytes) for each in ending.history], _SPARKLINE_POINTS
    )
    recorded_ns = ending.ended_unix_ns - ending.recording_since_unix_ns
    return {
        "id": ending.name,
        "file": ending.name,
        "pid": ending.pid,
        "parent_pid": ending.parent_pid,
        "pid_namespace": ending.pid_namespace,
        "is_elsewhere": False,
        "is_alive": False,
        "state": "exited" if ending.reason == CLEAN else "died",
        "service_name": ending.service_name,
        "service_version": ending.service_version,
        "program": ending.program,
        "python_version": ending.python_version,
        "started_unix_ms": ending.started_unix_ns // _NS_PER_MS,
        "recorded_since_unix_ms": ending.recording_since_unix_ns // _NS_PER_MS,
        "seen_unix_ms": ending.ended_unix_ns // _NS_PER_MS,
        "uptime_ms": ending.age_ns // _NS_PER_MS,
        "collections": ending.collections,
        "share_in_gc": ending.gc_time_ns / recorded_ns if recorded_ns > 0 else None,
        "longest_pause_ns": ending.longest_pause_ns or 0,
        "has_page": False,
        "ended": ended_object(ending),
        "lately": None,
        "rss_bytes": ending.rss_bytes,
        "limit_bytes": ending.limit_bytes,
        "limit_source": ending.limit_source,
        "memory_share": ending.share_of_limit,
        "growth_bytes_per_h": growth_bytes_per_h(points),
        "sparkline": {
            "unix_ms": [point.unix_ns // _NS_PER_MS for point in points],
            "rss_bytes": [point.rss_bytes for point in points],
        },
    }


def _point(unix_ns: int, rss_bytes: int | None, limit_bytes: int | None) -> HistoryPoint:
    return HistoryPoint(unix_ns, rss_bytes, None, limit_bytes, None, 0, 0, 0, None, None)

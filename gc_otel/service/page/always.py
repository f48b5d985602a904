"""What the monitor and the cycle sampler of a process have found by themselves, without anybody asking."""

from __future__ import annotations

from typing import Any, Final

from gc_otel.flight.heap_snapshot import CycleSample, HeapCensus
from gc_otel.service.page.subjects import Subject

_NS_PER_MS: Final = 1_000_000


def heap_object(subject: Subject) -> dict[str, Any]:
    """The last census of the monitor, and the cycles of sampled collections; null where there are none."""
    snapshot = subject.snapshot
    to_unix_ns = snapshot.identity.monotonic_to_unix_ns
    return {
        "census": None if snapshot.census is None else _census_object(snapshot.census, to_unix_ns),
        "cycles": None if snapshot.cycles is None else _cycles_object(snapshot.cycles),
    }


def _census_object(census: HeapCensus, to_unix_ns: int) -> dict[str, Any]:
    def unix_ms(monotonic_ns: int) -> int | None:
        return (monotonic_ns + to_unix_ns) // _NS_PER_MS if monotonic_ns else None

    names = ("state", "walker", "censuses", "hold_ns", "sampled_every", "tracked_objects", "objects", "size_bytes")
    type_names = ("name", "objects", "size_bytes", "previous_objects", "previous_size_bytes", "estimated")
    return {
        **{name: getattr(census, name) for name in (*names, "rss_bytes", "unattributed_bytes")},
        "taken_unix_ms": unix_ms(census.taken_ns),
        "previous_taken_unix_ms": unix_ms(census.previous_taken_ns),
        "types": [{name: getattr(each, name) for name in type_names} for each in census.types],
    }


def _cycles_object(sample: CycleSample) -> dict[str, Any]:
    return {
        "state": sample.state,
        "samples": list(sample.samples),
        "cycles": sample.cycles,
        "unnamed": sample.unnamed,
        "signatures": [
            {
                "name": each.name,
                "cycles": each.cycles,
                "sampled_cycles": each.sampled_cycles,
                "sampled_objects": each.sampled_objects,
            }
            for each in sample.signatures
        ],
    }

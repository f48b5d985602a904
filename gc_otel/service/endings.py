"""What is kept of the processes that have ended: one JSON file each, in a folder inside the flight folder.

The exporter writes them (:mod:`gc_otel.service.burial`); the command line and the live page read them.  Where no exporter
ran, what the flight files of the dead tell alone is read as well: :func:`read_endings` gives both.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from gc_otel.flight.folder import SUFFIX, Folder
from gc_otel.service.reasons import UNKNOWN, is_reason

RECORD_SUFFIX: Final = ".json"

_VERSION: Final = 1
#: No record of ours is half as large.
_BYTES_MOST: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Pause:
    """One collection."""

    started_unix_ns: int
    duration_ns: int
    generation: int
    explicit: bool
    collected: int


@dataclass(frozen=True, slots=True)
class Collecting:
    """The collection that a process died in, and how long it had run."""

    generation: int
    for_ns: int


@dataclass(frozen=True, slots=True)
class MemoryPoint:
    """One point of the last hour's memory."""

    unix_ns: int
    rss_bytes: int | None
    limit_bytes: int | None


@dataclass(frozen=True, slots=True)
class HeldType:
    """A type of the last census; ``grown_bytes`` since the one before, None where that had no such row."""

    name: str
    objects: int
    size_bytes: int
    grown_bytes: int | None


@dataclass(frozen=True, slots=True)
class Ending:
    """How one process ended, and what it was like.

    ``reason`` is one of the closed set of :mod:`gc_otel.service.reasons`; ``evidence`` are sentences that say where it is
    known from.  ``exit_code`` and ``signal`` are None where they are not known, ``collecting`` where it did not die inside a collection.
    ``types`` are the largest of the last census, which was taken at ``census_unix_ns``.  ``flight_file`` is where its flight file is kept, or None.  Times are Unix, and as exact as who noticed the end was quick.
    """

    name: str
    pid: int
    parent_pid: int
    pid_namespace: int | None
    service_name: str
    service_version: str
    instance_id: str
    program: str
    python_version: str
    forked: bool
    reason: str
    evidence: tuple[str, ...]
    exit_code: int | None
    signal: str | None
    core_dumped: bool
    exception: str
    started_unix_ns: int
    recording_since_unix_ns: int
    ended_unix_ns: int
    collecting: Collecting | None
    collections: int
    gc_time_ns: int
    longest_pause_ns: int | None
    rss_bytes: int | None
    rss_most_bytes: int | None
    uss_bytes: int | None
    swap_bytes: int | None
    limit_bytes: int | None
    limit_source: str
    memory_unix_ns: int | None
    allocated_blocks: int | None
    last_pauses: tuple[Pause, ...]
    longest_pauses: tuple[Pause, ...]
    history: tuple[MemoryPoint, ...]
    census_unix_ns: int | None
    types: tuple[HeldType, ...]
    flight_file: str | None

    @property
    def age_ns(self) -> int:
        """How old it became."""
        return max(0, self.ended_unix_ns - self.started_unix_ns)

    @property
    def share_of_limit(self) -> float | None:
        """Resident memory at the end as a part of its limit."""
        return self.rss_bytes / self.limit_bytes if self.rss_bytes is not None and self.limit_bytes else None


def endings_folder(folder: Folder) -> Path:
    """Where the records are, and the flight files of the dead that are kept."""
    return folder.endings.path


def read_endings(folder: Folder | None) -> tuple[Ending, ...]:
    """All that ended and are remembered, the latest first; what cannot be read is left out."""
    if folder is None:
        return ()
    known = {each.name: each for path in _records(folder) if (each := read_ending(path)) is not None}
    for name, ending in known.items():
        if ending.flight_file is not None and not os.path.lexists(ending.flight_file):  # of the dead 20 are kept
            known[name] = replace(ending, flight_file=None)
    for ending in _unrecorded(folder, known):
        known[ending.name] = ending
    return tuple(sorted(known.values(), key=lambda each: (-each.ended_unix_ns, each.name)))


def _records(folder: Folder) -> list[Path]:
    return sorted(path for path in _listed(endings_folder(folder)) if path.suffix == RECORD_SUFFIX)


def _unrecorded(folder: Folder, known: Mapping[str, Ending]) -> list[Ending]:
    from gc_otel.service.remains import ending_of_file

    paths = [*folder.files(), *(path for path in _listed(endings_folder(folder)) if path.suffix == SUFFIX)]
    found = (ending_of_file(path) for path in paths if path.stem not in known)
    return [each for each in found if each is not None]


def _listed(path: Path) -> list[Path]:
    try:
        return [path / name for name in os.listdir(path)]
    except OSError:
        return []


def read_ending(path: Path) -> Ending | None:
    """One record; None where it is not one."""
    try:
        # O_NONBLOCK: a FIFO put there must not hang the reader.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            raw = file.read(_BYTES_MOST)
        return from_json(json.loads(raw))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def to_json(ending: Ending) -> dict[str, Any]:
    """As it is kept, and as ``gc-otel postmortem --json`` prints it; units are in the names."""
    return {"version": _VERSION, **asdict(ending)}


def from_json(record: object) -> Ending:
    """The inverse; ValueError, KeyError or TypeError where anything is not as written by :func:`to_json`."""
    if not isinstance(record, dict) or record.get("version") != _VERSION:
        raise ValueError("not a record of this version")
    ending = Ending(**{each.name: _field(str(each.type), record[each.name]) for each in fields(Ending)})
    return ending if is_reason(ending.reason) else replace(ending, reason=UNKNOWN)


_PLAIN: Final[Mapping[str, type]] = {"int": int, "str": str, "bool": bool}
_PARTS: Final[Mapping[str, type]] = {
    "Pause": Pause,
    "Collecting": Collecting,
    "MemoryPoint": MemoryPoint,
    "HeldType": HeldType,
}


def _field(kind: str, value: Any) -> Any:
    """``value``, if it is what the annotation ``kind`` says."""
    if kind.endswith(" | None"):
        return None if value is None else _field(kind.removesuffix(" | None"), value)
    if kind.startswith("tuple["):
        if not isinstance(value, list):
            raise TypeError(f"{kind} is not {type(value).__name__}")
        return tuple(_field(kind[len("tuple[") : -len(", ...]")], each) for each in value)
    if kind in _PARTS:
        part = _PARTS[kind]
        return part(**{each.name: _field(str(each.type), value[each.name]) for each in fields(part)})
    if type(value) is not _PLAIN[kind]:
        raise TypeError(f"{kind} is not {type(value).__name__}")
    return value

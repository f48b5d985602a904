"""What the exporter must not forget: the totals, and what has been counted of whom, in one file of the flight folder.

The file is replaced as a whole: written under another name, fsync, rename, fsync of the folder.  Whoever dies in
the middle leaves the old one.  On tmpfs the two fsyncs cost nothing; on a disk they are what a power failure asks for.
An append-only log would write less, and would need what this does not: a rule for a torn last line, and compaction.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, field
from typing import Any, Final

from gc_otel.flight import layout
from gc_otel.flight.folder import Folder
from gc_otel.service.reasons import is_reason

FILE_NAME: Final = "totals.json"
_TEMPORARY_NAME: Final = "totals.json-new"
_ASIDE_NAME: Final = "totals.json-damaged"

_VERSION: Final = 1
_CELLS: Final = (3 + layout.BUCKETS) * layout.GENERATIONS
#: A thousand processes take a third of a megabyte.
_BYTES_MOST: Final = 16 * 2**20
_OPEN_FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(slots=True)
class Service:
    """The totals of one: ``cells`` are, by generation, collections, collected objects, nanoseconds, and the buckets."""

    since_unix_ns: int
    cells: list[int]
    ended: dict[str, int]


@dataclass(slots=True)
class Counted:
    """What is in a service's totals of one process.  ``is_over``: its end, too."""

    service_name: str
    cells: list[int]
    is_over: bool = False


@dataclass(slots=True)
class State:
    """By service name, the longest unused first; and by the name of the flight file, without its suffix."""

    services: dict[str, Service] = field(default_factory=dict)
    counted: dict[str, Counted] = field(default_factory=dict)


def write_state(folder: Folder, state: State) -> None:
    """Replace the file; OSError where that cannot be done, and then the old one is still there."""
    raw = json.dumps(_to_json(state), separators=(",", ":")).encode()
    temporary, final = os.path.join(folder.location, _TEMPORARY_NAME), os.path.join(folder.location, FILE_NAME)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _OPEN_FLAGS, 0o600)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(raw)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(temporary, final)
    of_folder = os.open(folder.location, os.O_RDONLY | os.O_DIRECTORY | _OPEN_FLAGS)
    try:
        os.fsync(of_folder)
    finally:
        os.close(of_folder)


def read_state(folder: Folder) -> State:
    """What the last exporter left, or nothing where there was none; ValueError or OSError where it cannot be believed."""
    try:
        descriptor = os.open(os.path.join(folder.location, FILE_NAME), os.O_RDONLY | _OPEN_FLAGS)
    except FileNotFoundError:
        return State()
    with open(descriptor, "rb") as file:
        raw = file.read(_BYTES_MOST)
    try:
        return _from_json(json.loads(raw))
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{FILE_NAME} is damaged: {type(error).__name__}: {error}") from error


def set_state_aside(folder: Folder) -> None:
    """What cannot be believed is kept under another name, for whoever wants to know what it was."""
    with contextlib.suppress(OSError):
        os.rename(os.path.join(folder.location, FILE_NAME), os.path.join(folder.location, _ASIDE_NAME))


def _to_json(state: State) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "services": [[name, each.since_unix_ns, each.cells, each.ended] for name, each in state.services.items()],
        "counted": [[name, each.service_name, each.cells, each.is_over] for name, each in state.counted.items()],
    }


def _from_json(record: dict[str, Any]) -> State:
    if record["version"] != _VERSION:
        raise ValueError(f"{FILE_NAME} is of version {record['version']!r}, this one reads {_VERSION}")
    services = {
        _text(name): Service(_count(since), _cells(cells), {_reason(why): _count(each) for why, each in ended.items()})
        for name, since, cells, ended in record["services"]
    }
    counted = {
        _text(name): Counted(_text(service), _cells(cells), is_over is True)
        for name, service, cells, is_over in record["counted"]
    }
    return State(services, counted)


def _cells(value: list[Any]) -> list[int]:
    if len(value) != _CELLS:
        raise ValueError(f"{FILE_NAME} has {len(value)} numbers where {_CELLS} belong")
    return [_count(each) for each in value]


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{FILE_NAME} has {value!r} for a count")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError(f"{FILE_NAME} has {value!r} for a name")
    return value


def _reason(value: Any) -> str:
    if not is_reason(_text(value)):
        raise ValueError(f"{FILE_NAME} has {value!r} for a reason")
    return str(value)

"""What an exporter says of itself over its socket, for `gc-otel ps` and `gc-otel doctor`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from gc_otel.flight.folder import Folder
from gc_otel.flight.snapshot import Fault
from gc_otel.service.control import ask


@dataclass(frozen=True, slots=True)
class PushStatus:
    """How pushing by OTLP goes.  No ``endpoint``: it is asked for and cannot be done, for that ``reason``."""

    endpoint: str = ""
    preference: str = ""
    interval_s: float = 0.0
    taken: int = 0
    refused: int = 0
    taken_unix_ns: int = 0
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """An exporter now.  ``address`` is such as ``http://127.0.0.1:9464``."""

    pid: int
    version: str
    address: str
    since_unix_ns: int
    is_ending: bool
    scrapes: int
    processes: int
    launchers: int
    skipped_files: int
    skipped_requests: int
    faults: tuple[Fault, ...]
    push: PushStatus | None = None

    def as_answer(self) -> dict[str, Any]:
        """What goes over the socket."""
        return asdict(self)

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> Status | None:
        """What came over it; None where it is not this (another version's, or nobody's)."""
        try:
            faults = tuple(Fault(str(each["text"]), int(each["count"]), 0) for each in answer["faults"])
            push = None if answer.get("push") is None else PushStatus(**_plain(PushStatus, answer["push"]))
            return cls(**_plain(cls, answer), faults=faults, push=push)
        except (KeyError, TypeError, ValueError):
            return None


_TYPES = {"int": int, "str": str, "bool": bool, "float": float}


def _plain(cls: type, answer: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are numbers and texts."""
    return {each.name: _TYPES[str(each.type)](answer[each.name]) for each in fields(cls) if str(each.type) in _TYPES}


def ask_status(folder: Folder) -> Status | None:
    """How the folder's exporter is, or None where there is none that answers."""
    answer = ask(folder, {"do": "status"})
    return None if answer is None else Status.from_answer(answer)

"""What an exporter says of itself over its socket, for `gc-otel ps` and `gc-otel doctor`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from gc_otel.flight.folder import Folder
from gc_otel.flight.snapshot import Fault
from gc_otel.service.control import ask


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

    def as_answer(self) -> dict[str, Any]:
        """What goes over the socket."""
        return asdict(self)

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> Status | None:
        """What came over it; None where it is not this (another version's, or nobody's)."""
        try:
            faults = tuple(Fault(str(each["text"]), int(each["count"]), 0) for each in answer["faults"])
            rest = {
                each.name: _TYPES[str(each.type)](answer[each.name]) for each in fields(cls) if each.name != "faults"
            }
        except (KeyError, TypeError, ValueError):
            return None
        return cls(**rest, faults=faults)


_TYPES = {"int": int, "str": str, "bool": bool}


def ask_status(folder: Folder) -> Status | None:
    """How the folder's exporter is, or None where there is none that answers."""
    answer = ask(folder, {"do": "status"})
    return None if answer is None else Status.from_answer(answer)

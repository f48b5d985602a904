"""Ask a recorded process that runs now: what is on its heap, which cycles, who holds what.

The request goes as a file into the flight folder, beside the process's flight file, and the answer comes back as
one; docs/requests.md has the shapes.  The process is identified by its flight file, so that this works across pid
namespaces wherever the folder is shared.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gc_otel.config import Config
from gc_otel.errors import (
    FlightFileError,
    NoSuchProcess,
    NotAFlightFile,
    NotAnswered,
    NotConsistent,
    NotServed,
    ProcessEnded,
    Refused,
)
from gc_otel.flight import reader, requests
from gc_otel.flight.file import FlightFile
from gc_otel.flight.folder import Folder
from gc_otel.service.bell import Bell
from gc_otel.service.fleet import Process, find_folder, own_pid_namespace

PATIENCE_S: Final = 60.0

_LOOK_S: Final = 0.02
_LOOK_LATER_S: Final = 0.1
_IMPATIENT_S: Final = 1.0
_NS_PER_S: Final = 1e9


@dataclass(frozen=True)
class Progress:
    """How far it is: ``phase`` is ``waiting`` until the process has taken the request; then its own word.

    ``done`` of ``total`` where the process counts, else None.
    """

    phase: str
    done: int | None
    total: int | None
    elapsed_s: float


def ask(
    process: int | str | Path | Process,
    verb: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    patience_s: float = PATIENCE_S,
    on_progress: Callable[[Progress], object] | None = None,
    folder: Folder | None = None,
) -> dict[str, Any]:
    """The process's answer to ``verb``, one of ``census``, ``cycles``, ``why`` and ``graph``.

    ``process`` is a pid, the path of a flight file, or what ``read_fleet()`` found; a pid is looked for in
    ``folder``, by default the one of the settings.  ``on_progress`` is called several times a second while it lasts.
    Raises a RequestError: NoSuchProcess, ProcessEnded, NotServed, NotAnswered, Refused.
    """
    path = find_flight_file(process, folder)
    with _open(path) as file:
        asked = _Asked(path, file, patience_s)
        with Bell(path) as bell:
            return asked.send(verb, dict(arguments or {}), bell, on_progress or _nothing)


def _nothing(_: Progress) -> None:
    """Nobody watches."""


def find_flight_file(process: int | str | Path | Process, folder: Folder | None = None) -> Path:
    """The flight file of one living process; NoSuchProcess, ProcessEnded."""
    if isinstance(process, Process):
        return process.path
    if isinstance(process, Path) or not str(process).isdecimal():
        path = Path(str(process))
        if not os.path.lexists(path):
            raise NoSuchProcess(f"there is no flight file {path}")
        return path
    folder = find_folder(Config.from_env()) if folder is None else folder
    files = list(folder.files()) if folder is not None else []
    found = [path for path in files if path.name.startswith(f"{process}-")]
    alive = [path for path in found if _is_alive(path)]
    if len(alive) == 1:
        return alive[0]
    if alive:
        names = ", ".join(str(path) for path in alive)
        raise NoSuchProcess(
            f"{len(alive)} processes have pid {process}, each in a pid namespace of its own",
            remedy=f"Name one by its flight file: {names}",
        )
    if found:
        raise ProcessEnded(f"process {process} has ended")
    where = "" if folder is None else f" in {folder.location}"
    raise NoSuchProcess(
        f"no process {process} is recorded{where}",
        remedy="gc-otel ps lists those that are; one that records in private memory cannot be asked.",
    )


def _is_alive(path: Path) -> bool:
    try:
        with FlightFile(path) as file:
            return file.is_alive()
    except (FlightFileError, OSError):
        return False


def _open(path: Path) -> FlightFile:
    try:
        return FlightFile(path)
    except NotAFlightFile as error:
        if not os.path.lexists(path):
            raise ProcessEnded(f"{path.name} is gone: its process has ended") from error
        raise NotServed(str(error)) from error


class _Asked:
    """One process, being asked."""

    def __init__(self, path: Path, file: FlightFile, patience_s: float) -> None:
        self._path = str(path)
        self._file = file
        self._patience_s = patience_s
        self._id = os.urandom(16).hex()
        self._pid = self._checked_pid()

    def _checked_pid(self) -> int:
        try:
            pid = reader.read_identity(self._file).pid
            served = reader.read_requests(self._file)
        except NotAFlightFile as error:
            raise NotServed(f"{os.path.basename(self._path)}: {error}") from error
        if not self._file.is_alive():
            raise ProcessEnded(f"process {pid} has ended")
        if served == "off":
            raise NotServed(f"process {pid} answers no requests: GC_OTEL_REQUESTS is false there")
        if served != "served":
            raise NotServed(f"process {pid} is recorded by a version of gc_otel that answers no requests")
        return pid

    def send(
        self, verb: str, arguments: dict[str, Any], bell: Bell, on_progress: Callable[[Progress], object]
    ) -> dict[str, Any]:
        request = {"format": requests.FORMAT, "id": self._id, "verb": verb, "arguments": arguments}
        raw = json.dumps(request).encode()
        if len(raw) > requests.REQUEST_BYTES_MOST:
            raise Refused("the request is too long", remedy="Ask for a shorter name.")
        slot = self._take_slot(raw)
        try:
            return self._wait(slot, raw, bell, on_progress)
        finally:
            # The request first: a process that still works on it sees that nobody waits, and writes no answer.
            for path in (requests.request_path, requests.progress_path, requests.answer_path):
                requests.remove(path(self._path, slot))

    def _take_slot(self, raw: bytes) -> int:
        try:
            requests.sweep(os.path.dirname(self._path), time.time())
            for slot in range(requests.SLOTS):
                if requests.place(requests.request_path(self._path, slot), raw):
                    return slot
        except OSError as error:
            raise Refused(
                f"the request cannot be written: {error.strerror}", remedy="gc-otel doctor checks the flight folder."
            ) from error
        raise Refused(
            f"process {self._pid} is being asked {requests.SLOTS} things already", remedy="Ask again in a while."
        )

    def _wait(self, slot: int, raw: bytes, bell: Bell, on_progress: Callable[[Progress], object]) -> dict[str, Any]:
        began_s = time.monotonic()
        while True:
            # Looked at first: what it answered before it ended is an answer.
            alive, elapsed_s = self._file.is_alive(), time.monotonic() - began_s
            answer = self._read_answer(slot)
            if answer is not None:
                return _result_of(answer, self._pid)
            if not alive:
                raise ProcessEnded(f"process {self._pid} ended while it was asked")
            progress = self._read_progress(slot, elapsed_s)
            if elapsed_s > self._patience_s:
                raise self._not_answered(progress)
            if progress.phase == "waiting":
                self._place_again(slot, raw)
                bell.ring()
            on_progress(progress)
            time.sleep(_LOOK_S if elapsed_s < _IMPATIENT_S else _LOOK_LATER_S)

    def _place_again(self, slot: int, raw: bytes) -> None:
        """The process takes what it answered away, and may do so when another's request has just come into its place."""
        path = requests.request_path(self._path, slot)
        if requests.which(path) is None and self._read_answer(slot) is None:
            with suppress(OSError):
                requests.place(path, raw)

    def _read_answer(self, slot: int) -> dict[str, Any] | None:
        answer = _read_object(requests.answer_path(self._path, slot), requests.ANSWER_BYTES_MOST)
        return answer if answer is not None and answer.get("id") == self._id else None

    def _read_progress(self, slot: int, elapsed_s: float) -> Progress:
        words = _read_object(requests.progress_path(self._path, slot), requests.REQUEST_BYTES_MOST)
        if words is None:
            return Progress("waiting", None, None, elapsed_s)
        done, total = (words.get(name) if type(words.get(name)) is int else None for name in ("done", "total"))
        return Progress(str(words.get("phase", "taken")), done, total, elapsed_s)

    def _not_answered(self, progress: Progress) -> NotAnswered:
        who, waited = f"process {self._pid}", f"in {self._patience_s:g} s"
        if progress.phase != "waiting":
            return NotAnswered(f"{who} has not finished {waited}; the last it said was: {progress.phase}")
        if any(os.path.exists(requests.progress_path(self._path, slot)) for slot in range(requests.SLOTS)):
            return NotAnswered(f"{who} has not taken the request {waited}: it is busy with another")
        if self._is_stopped():
            return NotAnswered(
                f"{who} is stopped, by a signal or a debugger",
                remedy=f"Let it go on (kill -CONT {self._pid}), and ask again.",
            )
        return NotAnswered(
            f"{who} has not taken the request {waited}{self._silence()}: a thread of it holds the GIL "
            "(C code that does not release it), or it forks all the time",
            remedy="`py-spy dump` or gdb tells what it does; ask again when it goes on, or with more --patience.",
        )

    def _is_stopped(self) -> bool:
        """Whether the kernel says so; False too where its pid is not one of ours."""
        try:
            identity = reader.read_identity(self._file)
            if identity.pid_namespace != own_pid_namespace():
                return False
            stat = Path(f"/proc/{self._pid}/stat").read_text(errors="replace")
        except (OSError, NotAFlightFile):
            return False
        return stat.rpartition(")")[2].split()[0] in ("T", "t")

    def _silence(self) -> str:
        try:
            beat = reader.read_interpreter(self._file)
        except (NotConsistent, NotAFlightFile):
            return ""
        return (
            ""
            if beat is None
            else f" (its monitor last ran {(time.monotonic_ns() - beat.beat_ns) / _NS_PER_S:.0f} s ago)"
        )


def _read_object(path: str, most_bytes: int) -> dict[str, Any] | None:
    try:
        raw = requests.read(path, most_bytes)
        found = None if raw is None else json.loads(raw)
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _result_of(answer: dict[str, Any], pid: int) -> dict[str, Any]:
    if isinstance(answer.get("result"), dict):
        result: dict[str, Any] = answer["result"]
        return result
    raise Refused(f"process {pid}: {answer.get('error', 'it gave no result')}", remedy=str(answer.get("remedy", "")))

"""Requests to living processes, in threads of their own: they take seconds, and nothing else is to wait for them.

A request is made by POST and answered at once with its id; who asked looks at it until it is done.  Its answer is kept for a
while under an address that can be shown to others.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gc_otel.errors import GcOtelError
from gc_otel.service.page.answer import Refused

#: Asks a process, by its flight file: verb, arguments, and whom to tell of progress.
Ask = Callable[[Path, str, Mapping[str, Any], Callable[[Any], None]], Mapping[str, Any]]

_THREADS: Final = 2
_WAITING_MOST: Final = 6
_RETRY_S: Final = "5"
_KEPT_MOST: Final = 48
_KEPT_BYTES_MOST: Final = 24 * 2**20
_STOP_S: Final = 0.5
_NS_PER_MS: Final = 1_000_000


@dataclass(slots=True)
class Errand:
    """One request.  ``state`` is waiting, running, done or failed; ``body`` is its answer as JSON when it is done."""

    id: str
    process: str
    file: str
    path: Path
    verb: str
    arguments: Mapping[str, Any]
    asked_unix_ns: int = field(default_factory=time.time_ns)
    ended_unix_ns: int | None = None
    state: str = "waiting"
    progress: Any = None
    error: str = ""
    remedy: str = ""
    body: Any = None
    size_bytes: int = 0

    def summary(self) -> dict[str, Any]:
        """Everything but its answer."""
        return {
            "id": self.id,
            "process": self.process,
            "file": self.file,
            "verb": self.verb,
            "arguments": dict(self.arguments),
            "state": self.state,
            "progress": self.progress,
            "asked_unix_ms": self.asked_unix_ns // _NS_PER_MS,
            "ended_unix_ms": None if self.ended_unix_ns is None else self.ended_unix_ns // _NS_PER_MS,
            "error": self.error or None,
            "remedy": self.remedy or None,
        }

    def whole(self) -> dict[str, Any]:
        """With its answer."""
        return {**self.summary(), "answer": self.body}


class Errands:
    """A few threads, a short queue, and the latest answers.  Any thread may call."""

    def __init__(self, ask: Ask, note_fault: Callable[[str, BaseException], None]) -> None:
        self._ask = ask
        self._note_fault = note_fault
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Errand] = OrderedDict()
        self._queue: queue.Queue[Errand | None] = queue.Queue(_WAITING_MOST)
        self._threads: list[threading.Thread] = []
        self._is_closed = False

    def submit(self, process: str, path: Path, verb: str, arguments: Mapping[str, Any]) -> Errand:
        """Take the request; the same one that still waits or runs is not made twice.  Refused where too many wait."""
        with self._lock:
            for each in self._kept.values():
                same = (each.path, each.verb, each.arguments) == (path, verb, arguments)
                if same and each.state in ("waiting", "running"):
                    return each
            if self._is_closed:
                raise Refused(503, "The exporter service is ending")
            errand = Errand(os.urandom(8).hex(), process, path.stem, path, verb, dict(arguments))
            try:
                self._queue.put_nowait(errand)
            except queue.Full:
                raise Refused(
                    429, "Too many requests to processes wait already", "Try again soon.", ("Retry-After", _RETRY_S)
                ) from None
            self._kept[errand.id] = errand
            self._forget_the_oldest()
            self._start_a_thread()
            return errand

    def get(self, name: str) -> Errand:
        """The request with that id; Refused where it is not kept any more."""
        with self._lock:
            errand = self._kept.get(name)
        if errand is None:
            raise Refused(404, "This answer is not kept any more", "Ask again, or save answers by exporting them.")
        return errand

    def of(self, file: str) -> list[Errand]:
        """Those to the process with that flight file, the latest first."""
        with self._lock:
            return [each for each in reversed(self._kept.values()) if each.file == file]

    def _forget_the_oldest(self) -> None:
        while len(self._kept) > _KEPT_MOST or sum(each.size_bytes for each in self._kept.values()) > _KEPT_BYTES_MOST:
            old = next((each for each in self._kept.values() if each.state in ("done", "failed")), None)
            if old is None:
                return
            del self._kept[old.id]

    def _start_a_thread(self) -> None:
        if len(self._threads) < _THREADS:
            thread = threading.Thread(target=self._work, name="gc_otel-errands", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while (errand := self._queue.get()) is not None:
            errand.state = "running"
            self._run(errand)
            errand.ended_unix_ns = time.time_ns()
            with self._lock:
                self._forget_the_oldest()

    def _run(self, errand: Errand) -> None:
        def note(progress: Any) -> None:
            errand.progress = progress

        try:
            body = self._ask(errand.path, errand.verb, errand.arguments, note)
            # What a process says is judged here: what JSON does not have is a fault now, not in a browser.
            errand.size_bytes = len(json.dumps(body, allow_nan=False))
            errand.body = body
            errand.state = "done"
        except GcOtelError as error:
            errand.error, errand.remedy, errand.state = str(error), error.remedy, "failed"
        except Exception as error:  # noqa: BLE001 - contained and noted: the next request may do better
            self._note_fault(f"request {errand.verb}", error)
            errand.error, errand.state = f"{type(error).__name__}: {error}", "failed"
            errand.remedy = "`gc-otel doctor` tells of it."

    def close(self) -> None:
        """Take no more; those that run are left alone with their process, and answer nobody."""
        with self._lock:
            self._is_closed = True
        with contextlib.suppress(queue.Empty):
            while True:
                self._queue.get_nowait()
        for _ in self._threads:
            self._queue.put(None)
        deadline_s = time.monotonic() + _STOP_S
        for thread in self._threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))

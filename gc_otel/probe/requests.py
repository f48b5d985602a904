"""Answers what `gc-otel census`, `cycles`, `why` and `graph` ask of this process, in the monitor's thread.

A request names one of a few fixed verbs and arguments that are checked; nothing in it is executed, imported
or looked up by name beyond comparing a type's name.  What answers it is imported when the first request comes.
While nobody asks this costs nothing: the thread sleeps on a word of the flight file on which the
asker rings (``_native/round.h``), or without C looks for a file four times a second.
"""

from __future__ import annotations

import os
import sys
import time

from gc_otel.errors import GcOtelError
from gc_otel.flight import requests
from gc_otel.flight.folder import Folder

TYPE_CHECKING = False  # as in gc_otel/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Final

_PROGRESS_EVERY_NS: Final = 500_000_000
_ATTEMPTS_MOST: Final = 5


class _Interrupted(BaseException):
    """The thread is wanted elsewhere (a fork, the exit): the request stays, and is answered afterwards."""


class _NotWanted(BaseException):
    """Whoever asked has gone, or waits no longer."""


class Desk:
    """Where requests to this process arrive.  ``serve()`` is called by the monitor's thread only.

    ``goes_on`` says whether the thread may go on; ``note_fault`` is told what a broken request was.
    """

    def __init__(
        self, location: str, *, goes_on: Callable[[], bool], note_fault: Callable[[str, BaseException], None]
    ) -> None:
        self._location = location
        self._goes_on = goes_on
        self._note_fault = note_fault
        self._interrupted: dict[str, int] = {}
        self._taken: tuple[int, int] | None = None  # the request that is being answered
        self._children_cpu_ns = 0

    def serve(self) -> bool:
        """Answer every request that is there; whether there was one."""
        slots = requests.waiting(self._location)
        for slot in slots:
            self._serve_contained(slot)
        return bool(slots)

    def _serve_contained(self, slot: int) -> None:
        try:
            self._serve(slot)
        except _NotWanted:
            # A request that is there now is somebody else's, who found the slot free.
            requests.remove(requests.progress_path(self._location, slot))
        except _Interrupted:
            return  # and so will those after it be, at once
        except OSError as error:  # no room, or a file that is not a request: there is nobody to tell
            self._clear(slot)
            self._note_fault("request", error)

    def take_children_cpu_ns(self) -> int:
        """CPU time of processes made to answer, since last asked."""
        cpu_ns, self._children_cpu_ns = self._children_cpu_ns, 0
        return cpu_ns

    def _serve(self, slot: int) -> None:
        path = requests.request_path(self._location, slot)
        self._taken = requests.which(path)
        raw = requests.read(path, requests.REQUEST_BYTES_MOST)
        if raw is None:
            return
        began_ns = time.monotonic_ns()
        progress = _Progress(self, slot)
        progress.say("taken")
        request = _parse(raw)
        answer: dict[str, Any]
        try:
            answer = {"result": self._answer(request, progress)}
        except GcOtelError as error:
            answer = {"error": str(error), "remedy": error.remedy}
        except (MemoryError, RecursionError, OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            self._note_fault("request", error)
            answer = {"error": f"it could not be answered: {type(error).__name__}: {error}", "remedy": ""}
        except _Interrupted:
            self._count_interruption(request)
            raise
        answer |= {"format": requests.FORMAT, "id": request.get("id"), "duration_ns": time.monotonic_ns() - began_ns}
        self._put(slot, answer)

    def _answer(self, request: Mapping[str, Any], progress: _Progress) -> dict[str, Any]:
        if request.get("format") != requests.FORMAT:
            raise GcOtelError(
                f"requests of format {request.get('format')!r} are not understood here",
                remedy="Ask with the gc-otel of the version that records the process.",
            )
        if self._interrupted.get(str(request.get("id")), 0) >= _ATTEMPTS_MOST:
            raise GcOtelError(
                "the process forks so often that nothing longer can be answered",
                remedy="Ask one of its children, or ask again later.",
            )
        from gc_otel.probe import answers  # only now: no process pays for what nobody asks of it

        found, cpu_ns = answers.answer(request.get("verb"), request.get("arguments"), progress.say)
        self._children_cpu_ns += cpu_ns
        return found

    def _count_interruption(self, request: Mapping[str, Any]) -> None:
        identity = str(request.get("id"))
        self._interrupted = {identity: self._interrupted.get(identity, 0) + 1}

    def _put(self, slot: int, answer: dict[str, Any]) -> None:
        import json

        raw = json.dumps(answer).encode()
        if len(raw) > requests.ANSWER_BYTES_MOST:
            raw = self._refusal(answer, f"the answer has {len(raw):,} bytes: too many", "Ask for less of it.")
        folder = Folder(os.path.dirname(self._location))
        if folder.used_bytes() + len(raw) > folder.budget_bytes():
            raw = self._refusal(
                answer, "the flight folder has no room for the answer", "Delete files of ended processes."
            )
        self._check_wanted(slot)
        requests.write(requests.answer_path(self._location, slot), raw)
        requests.remove(requests.request_path(self._location, slot))
        requests.remove(requests.progress_path(self._location, slot))

    @staticmethod
    def _refusal(answer: dict[str, Any], error: str, remedy: str) -> bytes:
        import json

        kept = {name: answer[name] for name in ("format", "id", "duration_ns")}
        return json.dumps({**kept, "error": error, "remedy": remedy}).encode()

    def _clear(self, slot: int) -> None:
        requests.remove(requests.request_path(self._location, slot))
        requests.remove(requests.progress_path(self._location, slot))

    def is_wanted(self, slot: int) -> bool:
        """Raises where the answer to that slot must not go on; always true."""
        if not self._goes_on():
            raise _Interrupted
        self._check_wanted(slot)
        return True

    def _check_wanted(self, slot: int) -> None:
        if self._taken is None or requests.which(requests.request_path(self._location, slot)) != self._taken:
            raise _NotWanted

    def tell(self, slot: int, raw: bytes) -> None:
        """Write how far the answer is."""
        requests.write(requests.progress_path(self._location, slot), raw)


class _Progress:
    """Told by what answers, often; writes now and then."""

    def __init__(self, desk: Desk, slot: int) -> None:
        self._desk, self._slot = desk, slot
        self._last_ns = 0

    def say(self, phase: str, done: int | None = None, total: int | None = None) -> None:
        """Note it; ends the answer when nobody waits for it, or the thread must end."""
        self._desk.is_wanted(self._slot)
        now_ns = time.monotonic_ns()
        if now_ns - self._last_ns < _PROGRESS_EVERY_NS:
            return
        self._last_ns = now_ns
        words = {"phase": phase, "done": done, "total": total}
        import json

        self._desk.tell(self._slot, json.dumps(words).encode())


def _parse(raw: bytes) -> dict[str, Any]:
    import json

    try:
        request = json.loads(raw)
    except (ValueError, RecursionError):
        request = None
    return request if isinstance(request, dict) else {}


def is_supported() -> bool:
    """Whether this platform has what requests need."""
    return sys.platform == "linux"

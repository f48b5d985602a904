"""The JSON API.  ``openapi.json`` beside this file describes it; the tests hold both together."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from gc_otel._version import __version__
from gc_otel.flight import layout
from gc_otel.probe.answers import VERBS, BadRequest, checked
from gc_otel.service.endings import Ending
from gc_otel.service.page import describe, runbooks
from gc_otel.service.page.answer import Refused
from gc_otel.service.page.departed import departed_row
from gc_otel.service.page.errands import Errands
from gc_otel.service.page.requests import Request
from gc_otel.service.page.subjects import Subjects
from gc_otel.service.page.timeline import columns, tally_columns

OPENAPI: Final = Path(__file__).parent / "openapi.json"
_NS_PER_MS: Final = 1_000_000


class Api:
    """Every method is one path of the API: the value that its answer holds, or Refused."""

    def __init__(
        self,
        subjects: Subjects,
        errands: Errands,
        *,
        unreadable: Callable[[], int],
        note_fault: Callable[[str, BaseException], None],
    ) -> None:
        self._subjects = subjects
        self._errands = errands
        self._unreadable = unreadable
        self._note_fault = note_fault

    def processes(self, _: Request) -> dict[str, Any]:
        """The fleet: the living, and the dead below them."""
        rows = [self._row(each.id, lambda each=each: describe.row(each)) for each in self._subjects.living()]  # type: ignore[misc]  # of this turn
        rows += [self._row(each.name, lambda each=each: self._departed(each)) for each in self._subjects.departed()]  # type: ignore[misc]
        return {
            "version": __version__,
            "now_unix_ms": _now_unix_ms(),
            "processes": [row for row in rows if row is not None],
            "unreadable_files": self._unreadable(),
        }

    def _departed(self, ending: Ending) -> dict[str, Any]:
        dead = self._subjects.dead(ending)
        return departed_row(ending) if dead is None else describe.row(dead)

    def _row(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        try:
            return make()
        except (ArithmeticError, ValueError) as error:  # a file full of nonsense: the others are shown all the same
            self._note_fault(f"page, process {name}", error)
            return None

    def process(self, _: Request, name: str) -> dict[str, Any]:
        """One process, as it is now."""
        return {"now_unix_ms": _now_unix_ms(), "process": describe.whole(self._subjects.find(name))}

    def history(self, _: Request, name: str) -> dict[str, Any]:
        """Its hour."""
        subject = self._subjects.find(name)
        return {
            "now_unix_ms": _now_unix_ms(),
            "points": columns(subject.points),
            "tallies": tally_columns(subject.tallies),
        }

    def collections(self, request: Request, name: str) -> dict[str, Any]:
        """Its latest collections, those with a number above ``since``, and the longest of all."""
        subject = self._subjects.find(name)
        collector = subject.snapshot.collector
        since = request.number("since", 0)
        return {
            "now_unix_ms": _now_unix_ms(),
            "recorded": collector.events,
            "latest": describe.events_object(subject, [each for each in collector.latest if each.number > since]),
            "longest": describe.events_object(subject, collector.longest),
            "ring_entries": layout.LATEST_EVENTS,
        }

    def live(self, request: Request, name: str) -> dict[str, Any]:
        """What a page that shows it already wants once a second: the process, one more point, and the new collections."""
        subject = self._subjects.find(name)
        since = request.number("since", 0)
        latest = [each for each in subject.snapshot.collector.latest if each.number > since]
        return {
            "now_unix_ms": _now_unix_ms(),
            "process": describe.whole(subject),
            "point": describe.point_now(subject) if subject.process.alive else None,
            "latest": describe.events_object(subject, latest),
        }

    def heap(self, _: Request, name: str) -> dict[str, Any]:
        """What was asked of the process, the latest first; their answers are under their ids."""
        subject = self._subjects.find(name)
        file = subject.process.path.stem
        asked = [each.summary() for each in self._errands.of(file)]
        return {"now_unix_ms": _now_unix_ms(), "verbs": sorted(VERBS), "requests": asked}

    def ask(self, request: Request, name: str, verb: str) -> dict[str, Any]:
        """Ask the process for something; the answer is at ``/api/v1/answers/{id}``."""
        if verb not in VERBS:
            raise Refused(404, f"A process can be asked for {', '.join(sorted(VERBS))}")
        try:
            checked(VERBS[verb], request.body)  # by the process too, in time; here at once
        except BadRequest as error:
            raise Refused(400, str(error)) from error
        if request.body.get("values"):
            raise Refused(403, "The page shows no values of objects", "`gc-otel graph --values` does, on a terminal.")
        subject = self._subjects.find(name)
        if not subject.process.alive:
            raise Refused(409, "The process has ended: there is nobody to ask", "Its last numbers are on its page.")
        return self._errands.submit(subject.id, subject.process.path, verb, request.body).summary()

    def answer(self, _: Request, name: str) -> dict[str, Any]:
        """A request and, when it is done, its answer."""
        return self._errands.get(name).whole()

    def runbooks(self, _: Request) -> dict[str, Any]:
        """The names of all runbooks."""
        return {"names": sorted(runbooks.names())}

    def runbook(self, _: Request, name: str) -> dict[str, Any]:
        """The text of one, Markdown."""
        text = runbooks.text_of(name)
        if text is None:
            raise Refused(404, "There is no such runbook", "/api/v1/runbooks lists them.")
        return {"name": name, "text": text}


def _now_unix_ms() -> int:
    return time.time_ns() // _NS_PER_MS

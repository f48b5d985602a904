"""A view to keep: its data as JSON, or the page with its data as one file, to attach to an incident's ticket.

What is exported are the API's own answers, by path: the page in the file asks for the same paths, and finds them there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Final

from gc_otel._version import __version__
from gc_otel.service.page import runbooks
from gc_otel.service.page.answer import HTML, JSON, Answer, Refused, json_answer, status_line
from gc_otel.service.page.shell import self_contained

#: Gives an API path's value; Refused where there is none.
Get = Callable[[str], dict[str, Any]]
_ANSWERS_MOST: Final = 16


def fleet(get: Get) -> dict[str, Any]:
    """What the fleet page needs."""
    return _frozen(get, "/", ["/api/v1/processes"])


def process(get: Get, name: str, view: str) -> dict[str, Any]:
    """What the page of one process needs, its heap and the answers that it gave."""
    base = f"/api/v1/processes/{name}"
    paths = [base, f"{base}/history", f"{base}/collections", f"{base}/heap"]
    asked = get(f"{base}/heap")["requests"]
    done = [each["id"] for each in asked if each["state"] == "done"]
    paths += [f"/api/v1/answers/{each}" for each in done[:_ANSWERS_MOST]]
    return _frozen(get, f"/process/{name}" + ("/heap" if view == "heap" else ""), paths)


def _frozen(get: Get, location: str, paths: list[str]) -> dict[str, Any]:
    first, *rest = paths
    answers = {first: get(first)}
    for path in rest:
        with contextlib.suppress(Refused):  # forgotten, or gone, since it was listed: the page does without
            answers[path] = get(path)
    return {"gc_otel": __version__, "location": location, "answers": answers}


def as_json(frozen: dict[str, Any], file_name: str) -> Answer:
    """As a download."""
    answer = json_answer(frozen)
    return Answer(answer.status, answer.body, JSON, (_disposition(file_name, "json"),))


def as_page(frozen: dict[str, Any], file_name: str) -> Answer:
    """As a download that any browser opens.  The runbooks go along: the file is read where there is no server."""
    texts = {f"/api/v1/runbooks/{name}": {"name": name, "text": runbooks.text_of(name)} for name in runbooks.names()}
    whole = {**frozen, "answers": {**frozen["answers"], **texts}}
    return Answer(status_line(200), self_contained(whole), HTML, (_disposition(file_name, "html"),))


def _disposition(file_name: str, suffix: str) -> tuple[str, str]:
    return "Content-Disposition", f'attachment; filename="{file_name}.{suffix}"'

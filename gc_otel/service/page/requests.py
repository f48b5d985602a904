"""A request of the API, read with suspicion: numbers that are numbers, a body that is a small JSON object."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from gc_otel.service.page.answer import Refused

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

BODY_BYTES_MOST: Final = 4096
_NUMBER_LETTERS_MOST: Final = 20


@dataclass(frozen=True, slots=True)
class Request:
    """``query`` has the last of each name; ``body`` is what was posted."""

    path: str
    query: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)

    def number(self, name: str, default: int) -> int:
        """A whole number of 0 or more; Refused where it is something else."""
        text = self.query.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) <= _NUMBER_LETTERS_MOST):
            raise Refused(400, f"{name} is a whole number of 0 or more")
        return int(text)


def read_request(environ: WSGIEnvironment) -> Request:
    """Refused where it cannot be read."""
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    body = _body(environ) if environ["REQUEST_METHOD"] == "POST" else {}
    return Request(environ["PATH_INFO"], query, body)


def _body(environ: WSGIEnvironment) -> dict[str, Any]:
    raw = environ["wsgi.input"].read(BODY_BYTES_MOST + 1)
    if len(raw) > BODY_BYTES_MOST:
        raise Refused(413, f"A request has at most {BODY_BYTES_MOST} bytes")
    try:
        body = json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        raise Refused(400, "The body is not JSON") from None
    if not isinstance(body, dict):
        raise Refused(400, "The body is not an object")
    return body

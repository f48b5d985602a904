"""What a path gives, and what is thrown where it gives something else than was asked for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

TEXT: Final = "text/plain; charset=utf-8"
HTML: Final = "text/html; charset=utf-8"
JSON: Final = "application/json"

_REASONS: Final = {
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """``body`` is compressed where that is asked for and worth it; ``headers`` win over those of every answer."""

    status: str
    body: bytes
    content_type: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()


def status_line(code: int) -> str:
    """Such as ``404 Not Found``."""
    return f"{code} {_REASONS[code]}"


def json_answer(value: Any, code: int = 200, *headers: tuple[str, str]) -> Answer:
    """The value as JSON; numbers that JSON does not have are errors here, not at the reader's."""
    body = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    return Answer(status_line(code), body, JSON, headers)


class Refused(Exception):
    """A request that is not served: ``code`` is HTTP's, the text says why, ``remedy`` what to do."""

    def __init__(self, code: int, message: str, remedy: str = "", *headers: tuple[str, str]) -> None:
        super().__init__(message)
        self.code, self.remedy, self.headers = code, remedy, headers

    def as_json(self) -> Answer:
        """For a program."""
        return json_answer({"error": str(self), "remedy": self.remedy}, self.code, *self.headers)

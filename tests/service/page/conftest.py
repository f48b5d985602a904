"""The page asked directly, as waitress would ask it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gc_otel.service.page.access import Access
from gc_otel.service.page.api import Api
from gc_otel.service.page.app import PageApp
from gc_otel.service.page.errands import Errands
from gc_otel.service.page.subjects import Subjects
from gc_otel.service.page.token import token_of

PORT = 9464
HOST = f"127.0.0.1:{PORT}"


class Reply:
    """An answer, taken apart."""

    def __init__(self, answer: Any) -> None:
        self.code = int(answer.status.split()[0])
        self.headers = dict(answer.headers)
        self.body = answer.body
        self.type = answer.content_type

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Desk:
    """A page of its own folder.  ``asked`` is what processes were asked; ``answer_with`` is what they say."""

    def __init__(self, folder: Any, service: Any) -> None:
        self.folder, self.following, self.sampling = folder, service.following, service.sampling
        self.faults: list[tuple[str, BaseException]] = []
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answer_with: Callable[..., Any] = lambda *_: {"types": []}
        note = lambda where, error: self.faults.append((where, error))  # noqa: E731
        self.errands = Errands(self._ask, note)
        self.api = Api(
            Subjects(folder, self.following, self.sampling), self.errands, unreadable=lambda: 0, note_fault=note
        )
        self.app = PageApp(self.api, Access(lambda: token_of(folder), port=PORT, hosts=("named.example",)))

    def _ask(self, path: Any, verb: str, arguments: Any, on_progress: Any) -> Any:
        self.asked.append((verb, dict(arguments)))
        return self.answer_with(path, verb, arguments, on_progress)

    @property
    def token(self) -> str:
        return token_of(self.folder)

    def bare(self, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> Reply:
        """Without any right."""
        path, _, query = path.partition("?")
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "HTTP_HOST": HOST,
            "wsgi.input": io.BytesIO(body),
            "wsgi.url_scheme": "http",
        }
        environ |= {
            ("CONTENT_TYPE" if name == "content_type" else f"HTTP_{name.upper()}"): each
            for name, each in headers.items()
        }
        return Reply(self.app(environ))

    def get(self, path: str, **headers: str) -> Reply:
        """With the token."""
        return self.bare(path, authorization=f"Bearer {self.token}", **headers)

    def post(self, path: str, value: Any = None, **headers: str) -> Reply:
        """With the token, as a program."""
        given = {"authorization": f"Bearer {self.token}", "content_type": "application/json", **headers}
        return self.bare(path, "POST", json.dumps({} if value is None else value).encode(), **given)


@pytest.fixture
def desk(folder: Any, service: Any) -> Iterator[Desk]:
    made = Desk(folder, service)
    yield made
    made.errands.close()

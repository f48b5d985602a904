"""The page as :mod:`gc_otel.service.http` serves it: who may, which path, and how many at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Final

from gc_otel.service.page import assets, export
from gc_otel.service.page.access import Access
from gc_otel.service.page.answer import HTML, JSON, Answer, Refused, json_answer, status_line
from gc_otel.service.page.api import OPENAPI, Api
from gc_otel.service.page.requests import Request, read_request
from gc_otel.service.page.shell import HEADERS, document, refused

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

API: Final = "/api/v1"
_STATIC: Final = "/static/"
_FAVICON: Final = "/favicon.ico"  # browsers ask for it where no document names an icon: at an answer of the API
_READING: Final = ("GET", "HEAD")
#: Of the server's threads, so that a scrape finds one whatever the page is asked for.
AT_ONCE_MOST: Final = 8

_Handler = Callable[..., dict[str, Any]]


class PageApp:
    """The part of the WSGI application that is not open to everybody."""

    def __init__(self, api: Api, access: Access) -> None:
        self._access = access
        self._busy = threading.BoundedSemaphore(AT_ONCE_MOST)
        self._reads: dict[tuple[str, ...], _Handler] = {
            ("processes",): api.processes,
            ("processes", "*"): api.process,
            ("processes", "*", "history"): api.history,
            ("processes", "*", "collections"): api.collections,
            ("processes", "*", "live"): api.live,
            ("processes", "*", "heap"): api.heap,
            ("answers", "*"): api.answer,
            ("runbooks",): api.runbooks,
            ("runbooks", "*"): api.runbook,
        }
        self._changes: dict[tuple[str, ...], _Handler] = {("processes", "*", "heap", "*"): api.ask}

    def routes(self) -> list[tuple[str, str]]:
        """Method and path of everything in the API; ``*`` stands for a part that is given."""
        reads = [("GET", f"{API}/{'/'.join(pattern)}") for pattern in self._reads]
        return [*reads, *(("POST", f"{API}/{'/'.join(pattern)}") for pattern in self._changes)]

    def __call__(self, environ: WSGIEnvironment) -> Answer:
        """The answer to any request; what is refused is an answer too."""
        is_api = environ["PATH_INFO"].startswith(API)
        if not self._busy.acquire(blocking=False):
            return _refusal(Refused(503, "The page is busy", "Try again.", ("Retry-After", "1")), is_api=is_api)
        try:
            answer = self._answer(environ)
        except Refused as error:
            answer = _refusal(error, is_api=is_api)
        finally:
            self._busy.release()
        return Answer(answer.status, answer.body, answer.content_type, (*HEADERS, *answer.headers))

    def _answer(self, environ: WSGIEnvironment) -> Answer:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        self._access.check_host(environ)
        if path.startswith(_STATIC) or path == _FAVICON:
            _allow(method, _READING)
            return _asset(assets.url(assets.ICON) if path == _FAVICON else path)
        elsewhere = self._access.admit(environ)
        if elsewhere is not None:
            return elsewhere
        if path.startswith(f"{API}/"):
            return self._api(environ, tuple(path.removeprefix(f"{API}/").split("/")))
        _allow(method, _READING)
        if path.startswith("/export/"):
            return self._export(read_request(environ))
        if _is_view(path):
            return Answer(status_line(200), document(), HTML)
        raise Refused(
            404, "There is no such page", "/ is the fleet, /process/PID a process, /metrics is for Prometheus."
        )

    def _api(self, environ: WSGIEnvironment, parts: tuple[str, ...]) -> Answer:
        method = environ["REQUEST_METHOD"]
        if parts == ("openapi.json",):
            _allow(method, _READING)
            return Answer(status_line(200), OPENAPI.read_bytes(), JSON)
        for handlers, methods, code in ((self._reads, _READING, 200), (self._changes, ("POST",), 202)):
            found = _find(handlers, parts)
            if found is None:
                continue
            _allow(method, methods)
            if code == 202:
                self._access.check_origin(environ)
            return json_answer(found(read_request(environ)), code)
        raise Refused(404, "There is no such path in the API", f"{API}/openapi.json describes it.")

    def _get(self, path: str) -> dict[str, Any]:
        """What a path of the API holds, for an export."""
        found = _find(self._reads, tuple(path.removeprefix(f"{API}/").split("/")))
        if found is None:
            raise Refused(404, "There is no such path in the API")
        return found(Request(path))

    def _export(self, request: Request) -> Answer:
        """``/export/fleet.html``, ``/export/process/PID.json?view=heap``."""
        stem, _, suffix = request.path.removeprefix("/export/").rpartition(".")
        make = {"json": export.as_json, "html": export.as_page}.get(suffix)
        kind, _, name = stem.partition("/")
        if make is None or (kind, bool(name)) not in (("fleet", False), ("process", True)):
            raise Refused(404, "There is /export/fleet and /export/process/PID, with .html or .json")
        if kind == "fleet":
            frozen = export.fleet(self._get)
        else:
            frozen = export.process(self._get, name, request.query.get("view", ""))
        when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        return make(frozen, f"gc_otel-{kind}{f'-{name}' if name else ''}-{when}")


def _find(
    handlers: dict[tuple[str, ...], _Handler], parts: Collection[str]
) -> Callable[[Request], dict[str, Any]] | None:
    for pattern, handler in handlers.items():
        if len(pattern) == len(parts) and all(a in ("*", b) for a, b in zip(pattern, parts, strict=True)):
            given = [part for wanted, part in zip(pattern, parts, strict=True) if wanted == "*"]
            return lambda request, handler=handler, given=given: handler(request, *given)  # type: ignore[misc]  # of this turn
    return None


def _is_view(path: str) -> bool:
    """The page's own script finds out what to show; here only whether it is for it to find out."""
    parts = path.split("/")[1:]
    return path == "/" or (
        parts[0] in ("process", "runbook") and len(parts) in (2, 3) and all(parts) and parts[2:] in ([], ["heap"])
    )


def _allow(method: str, methods: Collection[str]) -> None:
    if method not in methods:
        raise Refused(405, f"{' or '.join(methods)}", "", ("Allow", ", ".join(methods)))


def _asset(path: str) -> Answer:
    version, _, name = path.removeprefix(_STATIC).partition("/")
    asset = assets.assets().get(name) if version == assets.version() else None
    if asset is None:
        raise Refused(404, "There is no such file", "Load the page again.")
    kept = ("Cache-Control", "public, max-age=31536000, immutable")
    return Answer(status_line(200), asset.body, asset.content_type, (kept,))


def _refusal(error: Refused, *, is_api: bool) -> Answer:
    if is_api:
        return error.as_json()
    return Answer(status_line(error.code), refused(str(error), error.remedy), HTML, error.headers)

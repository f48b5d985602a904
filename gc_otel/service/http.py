"""/metrics, the health pages and the live page, served by waitress.

Its one loop reads and writes all connections, and a thread is busy only with a request that has arrived
whole: a client that is slow, idle or half gone holds a descriptor and no thread.
"""

from __future__ import annotations

import gzip
import logging
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from waitress.server import create_server

from gc_otel.otel.prometheus import Rendered
from gc_otel.service.page.answer import Answer
from gc_otel.service.page.requests import BODY_BYTES_MOST

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_METHODS: Final = ("GET", "HEAD")

_INDEX: Final = """\
gc_otel: metrics of the recorded processes
/metrics  for Prometheus, in its text format or OpenMetrics
/healthz  whether this service is alive
/readyz   whether it has looked through the flight folder
"""
_NOT_FOUND: Final = "There is /metrics, /healthz and /readyz.\n"

#: Small answers are not worth the CPU time, and the fastest level takes four fifths off a page.
_GZIP_FROM_BYTES: Final = 2048
_GZIP_LEVEL: Final = 1

_THREADS: Final = 16  # scrapers that wait for the same page are waiting in threads; the live page has half of them
_CONNECTIONS_MOST: Final = 2000
_DESCRIPTORS_KEPT: Final = 2400  # a flight file and a pidfd of 1,000 processes, and what libraries open
_SHARE_KEPT: Final = 0.75  # where there are fewer in all
_CONNECTIONS_LEAST: Final = 64
_IDLE_S: Final = 20
_HEADER_BYTES_MOST: Final = 16 * 1024
_IN_MEMORY_BYTES: Final = 8 * 2**20  # above it waitress would write an answer to a temporary file
_STOP_S: Final = 2.0


class App:
    """The WSGI application.  ``health`` and ``readiness`` give None when all is well, else what is not.

    /metrics and the health pages are open to everybody who reaches the port; all else is ``page``'s, which lets in
    by token.  Without it (GC_OTEL_PAGE) there is an index, and on an address that others reach not even that.
    """

    def __init__(
        self,
        render: Callable[[str], Rendered],
        *,
        health: Callable[[], str | None],
        readiness: Callable[[], str | None],
        note_fault: Callable[[str, BaseException], None],
        is_loopback: bool,
        page: Callable[[WSGIEnvironment], Answer] | None = None,
    ) -> None:
        self._render = render
        self._page = page
        self._note_fault = note_fault
        self._pages: dict[str, Callable[[WSGIEnvironment], Answer]] = {
            "/metrics": self._metrics,
            "/healthz": lambda _: _well_or_not(health()),
            "/readyz": lambda _: _well_or_not(readiness()),
        }
        if is_loopback and page is None:
            self._pages["/"] = lambda _: Answer("200 OK", _INDEX.encode())

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """See PEP 3333."""
        path = environ["PATH_INFO"]
        if self._page is not None and path not in self._pages:
            answer = self._contained(environ, self._page)
        elif environ["REQUEST_METHOD"] not in _METHODS:
            answer = Answer("405 Method Not Allowed", b"GET or HEAD.\n", headers=(("Allow", ", ".join(_METHODS)),))
        elif path in self._pages:
            answer = self._contained(environ, self._pages[path])
        else:
            answer = Answer("404 Not Found", _NOT_FOUND.encode())
        named = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **dict(answer.headers)}
        headers = list(named.items())
        body = answer.body
        if len(body) >= _GZIP_FROM_BYTES and _takes_gzip(environ):
            body = gzip.compress(body, _GZIP_LEVEL, mtime=0)
            headers.append(("Content-Encoding", "gzip"))
        headers += [("Content-Type", answer.content_type), ("Vary", "Accept, Accept-Encoding")]
        if environ["REQUEST_METHOD"] == "HEAD":
            start_response(answer.status, headers)
            return []
        start_response(answer.status, [*headers, ("Content-Length", str(len(body)))])
        return [body]

    def _contained(self, environ: WSGIEnvironment, page: Callable[[WSGIEnvironment], Answer]) -> Answer:
        try:
            return page(environ)
        except Exception as error:  # noqa: BLE001 - contained and noted: the answer says so, and the next may be better
            self._note_fault(f"page {environ['PATH_INFO']}", error)
            return Answer("500 Internal Server Error", b"It failed; gc-otel doctor says how.\n")

    def _metrics(self, environ: WSGIEnvironment) -> Answer:
        if (
            environ["REQUEST_METHOD"] == "HEAD"
        ):  # no page is made for nobody: the last numbers of the dead are on one only
            return Answer("200 OK", b"")
        page = self._render(environ.get("HTTP_ACCEPT", ""))
        return Answer("200 OK", page.body, page.content_type)


def _well_or_not(trouble: str | None) -> Answer:
    if trouble is None:
        return Answer("200 OK", b"ok\n")
    return Answer("503 Service Unavailable", f"{trouble}\n".encode())


def _takes_gzip(environ: WSGIEnvironment) -> bool:
    for part in environ.get("HTTP_ACCEPT_ENCODING", "").lower().split(","):
        coding, _, weight = part.replace(" ", "").partition(";q=")
        if coding == "gzip":
            return not weight or weight.strip("0.") != ""  # there are several ways to write zero
    return False


def is_loopback(listening: socket.socket) -> bool:
    """Whether only this machine reaches it."""
    return ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback


def connections_most() -> int:
    """How many connections are taken at once.

    Never so many that accept() could fail for want of a descriptor: the listening socket would stay readable,
    and the loop turn without end.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS_MOST + _DESCRIPTORS_KEPT
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(_CONNECTIONS_LEAST, min(_CONNECTIONS_MOST, soft - min(_DESCRIPTORS_KEPT, int(soft * _SHARE_KEPT))))


class Server:
    """Serves on a socket that listens already, in threads of its own, from the start until :meth:`stop`."""

    def __init__(self, app: App, listening: socket.socket) -> None:
        for name in ("waitress", "waitress.queue"):  # what a client does wrong is no news for our standard error
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._server: Any = create_server(
            app,
            sockets=[listening],
            threads=_THREADS,
            connection_limit=connections_most(),
            channel_timeout=_IDLE_S,
            cleanup_interval=_IDLE_S // 4,
            max_request_header_size=_HEADER_BYTES_MOST,
            max_request_body_size=BODY_BYTES_MOST,
            inbuf_overflow=_IN_MEMORY_BYTES,
            outbuf_overflow=_IN_MEMORY_BYTES,
            asyncore_use_poll=True,
            ident="gc_otel",
        )
        self._thread = threading.Thread(target=self._server.run, name="gc_otel-http", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """False when its loop has ended, by :meth:`stop` or by an error that waitress did not foresee."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Let nobody in any more, finish what was asked for, and close the socket."""
        self._in_loop(self._stop_listening)
        deadline_s = time.monotonic() + _STOP_S
        while self._is_busy() and time.monotonic() < deadline_s:
            time.sleep(0.005)
        # The threads first: one that still runs would write its wake-up to the loop's pipe, whose number
        # may be another file's once it is closed. If one cannot be ended, the pipe stays open.
        self._server.task_dispatcher.shutdown(timeout=_STOP_S)
        self._in_loop(self._end_loop)
        self._thread.join(_STOP_S)
        if not self._server.task_dispatcher.threads and not self._thread.is_alive():
            self._server.trigger.close()

    def _in_loop(self, act: Callable[[], None]) -> None:
        self._server.trigger.pull_trigger(act)

    def _stop_listening(self) -> None:
        self._server.accepting = False
        self._server.del_channel()
        self._server.socket.close()

    def _is_busy(self) -> bool:
        return any(each.requests or each.total_outbufs_len for each in list(self._server.active_channels.values()))

    def _end_loop(self) -> None:
        for channel in list(self._server.active_channels.values()):
            channel.handle_close()
        # With nothing left to look after, the loop ends. Of all of waitress's names only this one is private.
        self._server._map.clear()  # noqa: SLF001  # there is no public way to end a loop from outside

"""What is served, to whom, and that nobody who is slow, idle or rude stops a scrape."""

from __future__ import annotations

import gzip
import http.client
import io
import resource
import socket
import urllib.error

import pytest

from gc_otel.otel.prometheus import PLAIN_TEXT, Rendered
from gc_otel.service import http as served
from gc_otel.service.http import App, Server
from gc_otel.service.port import listen

BODY = b"metric 1\n" * 1000


class Desk:
    """An App asked directly, as waitress would."""

    def __init__(self, *, is_loopback=True):
        self.trouble: dict[str, str | None] = {"health": None, "ready": None}
        self.faults: list[tuple[str, BaseException]] = []
        self.accepts: list[str] = []
        self.body = BODY
        self.app = App(
            self._render,
            health=lambda: self.trouble["health"],
            readiness=lambda: self.trouble["ready"],
            note_fault=lambda where, error: self.faults.append((where, error)),
            is_loopback=is_loopback,
        )

    def _render(self, accept):
        self.accepts.append(accept)
        return Rendered(1, PLAIN_TEXT, self.body)

    def ask(self, path, method="GET", **headers):
        environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO()}
        environ |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
        answer = {}
        body = b"".join(self.app(environ, lambda status, headers: answer.update(status=status, **dict(headers))))
        return int(answer["status"].split()[0]), body, answer


@pytest.fixture
def desk():
    return Desk()


def test_the_paths(desk):
    """Each with its answer; what is not there says what is."""
    assert desk.ask("/metrics")[:2] == (200, BODY)
    assert desk.ask("/healthz")[:2] == desk.ask("/readyz")[:2] == (200, b"ok\n")
    assert b"/metrics" in desk.ask("/")[1]
    assert desk.ask("/nonsense")[:2] == (404, b"There is /metrics, /healthz and /readyz.\n")
    assert desk.ask("/metrics")[2]["Content-Type"] == PLAIN_TEXT
    assert desk.faults == []


def test_on_an_address_that_others_reach_there_is_no_index():
    """Metrics and health, nothing else."""
    desk = Desk(is_loopback=False)
    assert [desk.ask(path)[0] for path in ("/", "/metrics", "/healthz", "/readyz")] == [404, 200, 200, 200]


def test_get_and_head_and_nothing_else(desk):
    """HEAD has no body, and makes no page: the last numbers of the dead are on one only."""
    status, body, answer = desk.ask("/metrics", "HEAD")
    assert (status, body, desk.accepts) == (200, b"", [])
    assert desk.ask("/", "HEAD")[:2] == (200, b"")
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "NONSENSE"):
        status, _, answer = desk.ask("/metrics", method)
        assert (status, answer["Allow"]) == (405, "GET, HEAD")


def test_trouble_is_told(desk):
    """503, and what it is."""
    desk.trouble = {"health": "it hangs", "ready": "not yet"}
    assert desk.ask("/healthz")[:2] == (503, b"it hangs\n")
    assert desk.ask("/readyz")[:2] == (503, b"not yet\n")


def test_a_page_that_fails_is_an_answer_and_a_fault(desk):
    """The server goes on."""
    desk.app._pages["/metrics"] = lambda _: 1 / 0
    assert desk.ask("/metrics")[:2] == (500, b"It failed; gc-otel doctor says how.\n")
    assert desk.faults[-1][0] == "page /metrics"


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        ("gzip", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("GZIP", True),
        ("gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("deflate", False),
        ("br", False),
        ("", False),
    ],
)
def test_a_page_is_compressed_where_that_is_asked_for(desk, accepted, compressed):
    """And small answers are not."""
    _, body, answer = desk.ask("/metrics", accept_encoding=accepted)
    assert ("Content-Encoding" in answer) == compressed
    assert (gzip.decompress(body) if compressed else body) == BODY
    assert answer["Content-Length"] == str(len(body))
    assert "Content-Encoding" not in desk.ask("/healthz", accept_encoding="gzip")[2]


def test_the_accept_header_is_handed_on(desk):
    """Content is negotiated where the page is made."""
    desk.ask("/metrics", accept="text/plain")
    desk.ask("/metrics")
    assert desk.accepts == ["text/plain", ""]


@pytest.mark.parametrize(("address", "loopback"), [("127.0.0.1", True), ("127.0.0.2", True), ("0.0.0.0", False)])
def test_loopback_is_known(address, loopback):
    """Every address of 127.0.0.0/8, and not that of all interfaces."""
    with listen(address, 0) as listening:
        assert served.is_loopback(listening) == loopback


@pytest.mark.parametrize(
    ("soft", "hard", "raised", "most"),
    [
        (1024, 1048576, 4400, 2000),
        (1024, resource.RLIM_INFINITY, 4400, 2000),
        (1024, 2048, 2048, 512),
        (256, 256, None, 64),
        (65536, 65536, None, 2000),
    ],
)
def test_connections_never_take_all_descriptors(monkeypatch, soft, hard, raised, most):
    """An accept() that fails for want of one would be tried again and again."""
    limits = []
    monkeypatch.setattr(served.resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(served.resource, "setrlimit", lambda _, given: limits.append(given))
    assert served.connections_most() == most
    if raised != soft and raised is not None:
        assert limits == [(raised, hard)]


@pytest.fixture
def server(desk):
    listening = listen("127.0.0.1", 0)
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    running = Server(desk.app, listening)
    yield address
    running.stop()
    assert not running.alive
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=10)


def test_it_serves_a_socket_that_listens(server, page_at, desk):
    """And answers errors as errors."""
    assert page_at(f"{server}/metrics").encode() == BODY
    with pytest.raises(urllib.error.HTTPError, match="404") as error:
        page_at(f"{server}/x")
    error.value.close()


def test_idle_connections_do_not_stop_a_scrape(server, connect, page_at):
    """500 that say nothing, and 20 that have said half a request."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2400:
        pytest.skip(f"this machine allows {soft} descriptors")
    for _ in range(500):
        connect(server)
    for _ in range(20):
        connect(server).sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    assert page_at(f"{server}/metrics").encode() == BODY


def test_slow_readers_do_not_stop_a_scrape(server, connect, page_at, desk):
    """They have asked for much and read nothing: no thread waits for them."""
    desk.body = b"metric 1\n" * 500_000
    for _ in range(12):
        connect(server).sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert len(page_at(f"{server}/metrics")) == len(desk.body)


def test_a_client_that_goes_in_the_middle_is_forgotten(server, connect, page_at):
    """Half a request, a reset."""
    for _ in range(20):
        client = connect(server)
        client.sendall(b"GET /metrics HTTP/1.1\r\nHo")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
    assert page_at(f"{server}/metrics").encode() == BODY


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n", 431),
        (b"GET /metrics HTTP/1.1\r\nContent-Length: 999999\r\n\r\n", 413),
        (b"\0\1\2\3\r\n\r\n", 400),
    ],
)
def test_rude_requests_are_refused(server, connect, page_at, request_bytes, status):
    """Oversized headers, a body that nobody wants, no HTTP at all."""
    client = connect(server)
    client.sendall(request_bytes)
    answer = http.client.HTTPResponse(client)
    answer.begin()
    assert answer.status == status
    answer.close()
    assert page_at(f"{server}/metrics").encode() == BODY


def test_what_was_asked_for_is_finished_before_the_end(desk, connect):
    """A scrape that is under way when the exporter ends has its page."""
    listening = listen("127.0.0.1", 0)
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    running = Server(desk.app, listening)
    client = connect(address)
    real = desk._render

    def slow(environ):
        stopping = served.threading.Thread(target=running.stop)
        stopping.start()
        while running._server.accepting:
            served.time.sleep(0.001)
        return served.Answer("200 OK", real("").body)

    desk.app._pages["/metrics"] = slow
    client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
    answer = http.client.HTTPResponse(client)
    answer.begin()
    assert answer.read() == BODY
    answer.close()
    running._thread.join(30)
    assert not running.alive

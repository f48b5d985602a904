"""An OTLP/HTTP metrics receiver on loopback: keeps what it is sent, for a test to look at."""

from __future__ import annotations

import gzip
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

_PATIENCE_S = 20.0


def _plain(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value") or "string_value")


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _plain(pair.value) for pair in pairs}


class Sent:
    """One export: the resource's attributes, and the points of every metric of ours."""

    def __init__(self, resource_metrics: Any) -> None:
        self.resource = _attributes(resource_metrics.resource.attributes)
        self.metrics = {
            metric.name: metric
            for scope in resource_metrics.scope_metrics
            if scope.scope.name == "gc_otel"
            for metric in scope.metrics
        }

    def points(self, name: str) -> Iterator[tuple[dict[str, Any], Any]]:
        """Attributes and value of each point; a histogram's value is its point."""
        metric = self.metrics.get(name)
        if metric is None:
            return
        kind = metric.WhichOneof("data")
        for point in getattr(metric, kind).data_points:
            value = point if kind == "histogram" else getattr(point, point.WhichOneof("value"))
            yield _attributes(point.attributes), value

    def total(self, name: str) -> float:
        return sum(value for _, value in self.points(name))

    def received(self) -> int:
        """The count of the duration histogram."""
        return sum(point.count for _, point in self.points("cpython.gc.duration"))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.headers.append(dict(self.headers))  # type: ignore[attr-defined]
        self.server.may_answer.wait(_PATIENCE_S)  # type: ignore[attr-defined]
        status = self.server.next_status()  # type: ignore[attr-defined]
        if status != 200:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        request = ExportMetricsServiceRequest.FromString(body)
        self.server.keep([Sent(each) for each in request.resource_metrics])  # type: ignore[attr-defined]
        answer = ExportMetricsServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.sent: list[Sent] = []
        self.headers: list[dict[str, str]] = []
        self.refusals: list[int] = []
        self.refused = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.changed = threading.Condition()

    def next_status(self) -> int:
        with self.changed:
            if not self.refusals:
                return 200
            self.refused += 1
            self.changed.notify_all()
            return self.refusals.pop(0)

    def keep(self, sent: list[Sent]) -> None:
        with self.changed:
            self.sent += sent
            self.changed.notify_all()


class Receiver:
    """A context manager; ``endpoint`` is for OTEL_EXPORTER_OTLP_ENDPOINT."""

    def __enter__(self):
        self._server = _Server()
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def speak_tls(self, certificate: str, key: str) -> None:
        """From the next connection on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.endpoint = self.endpoint.replace("http://", "https://")

    @property
    def headers(self) -> list[dict[str, str]]:
        """Of every request, also of one that is held or refused."""
        return list(self._server.headers)

    def hold(self) -> None:
        """Answer nobody until :meth:`release`."""
        self._server.may_answer.clear()

    def release(self) -> None:
        self._server.may_answer.set()

    def refuse(self, status: int, times: int = 1) -> None:
        """Answer the next requests with that status, and keep nothing of them."""
        with self._server.changed:
            self._server.refusals += [status] * times

    def wait_for_refused(self, times: int) -> None:
        with self._server.changed:
            assert self._server.changed.wait_for(lambda: self._server.refused >= times, _PATIENCE_S), "nothing refused"

    @property
    def sent(self) -> list[Sent]:
        with self._server.changed:
            return list(self._server.sent)

    def wait_for(self, holds: Callable[[list[Sent]], object]) -> list[Sent]:
        """Everything sent so far, once ``holds`` says yes to it; fails after 20 s."""
        with self._server.changed:
            came = self._server.changed.wait_for(lambda: holds(self._server.sent), _PATIENCE_S)
            assert came, f"not received: {[sorted(each.metrics) for each in self._server.sent]}"
            return list(self._server.sent)

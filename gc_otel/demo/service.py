"""The demo's service, a process of its own: ``python -m gc_otel.demo.service``.

It is what a user's service would be: an HTTP server of the standard library, an
OpenTelemetry MeterProvider with a Prometheus reader, and one line for gc_otel.
Its parent reads one line of JSON from standard output, where it serves or why it
cannot; when the parent's end of standard input closes, however the parent ended, it ends too.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType
from typing import Final

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, REGISTRY, MetricsHandler

from gc_otel.demo import HOST
from gc_otel.demo.scenarios import SCENARIOS, Handler
from gc_otel.instrumentor import GcInstrumentor
from gc_otel.probe import probe

SERVICE_NAME: Final = "gc-otel-demo"

#: Quicker than the default: the demo says something every two seconds.
_SAMPLE_INTERVAL_S: Final = 0.5
_CONNECTION_TIMEOUT_S: Final = 10.0


class CannotServe(Exception):
    """Told to the parent as ``{"error": ...}``; ``reason`` is a word for programs."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class _Metrics(MetricsHandler):
    timeout = _CONNECTION_TIMEOUT_S
    # The Prometheus reader keeps what it collected where the next scrape finds it:
    # two scrapes at once would take each other's.
    lock = threading.Lock()

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server looks for
        with self.lock:
            super().do_GET()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


def app_handler(handle: Handler) -> type[BaseHTTPRequestHandler]:
    """A request handler class that answers every GET with what ``handle`` says."""

    class App(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _CONNECTION_TIMEOUT_S
        wbufsize = -1  # one packet for an answer: in two, the second waits for the client's acknowledgement
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            body = json.dumps(handle()).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return App


@contextlib.contextmanager
def listening(port: int, handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """Serve in threads of its own; gives the port, and raises CannotServe when it cannot be had."""
    try:
        server = _Server((HOST, port), handler)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotServe("port_in_use", f"port {port} is in use on {HOST}") from error
        raise CannotServe("port_refused", f"port {port} on {HOST} cannot be had: {error.strerror}") from error
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def recorded() -> Iterator[str]:
    """Library mode, as in a user's service; gives the flight file's path."""
    _only_our_metrics()
    provider = MeterProvider([PrometheusMetricReader()], resource=Resource.create({"service.name": SERVICE_NAME}))
    instrumentor = GcInstrumentor()
    instrumentor.instrument(meter_provider=provider, enabled=True, sample_interval=_SAMPLE_INTERVAL_S)
    try:
        recording = probe.current()
        if recording is None or recording.path is None:
            raise CannotServe("not_recorded", "the demo's service has no flight file to read")
        yield str(recording.path)
    finally:
        instrumentor.uninstrument()
        provider.shutdown()


def _only_our_metrics() -> None:
    """Take prometheus_client's own numbers of this process off /metrics."""
    for collector in (GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR):
        with contextlib.suppress(KeyError):
            REGISTRY.unregister(collector)


def serve(scenario: str, port: int, announce_fd: int, lifeline_fd: int) -> int:
    """Serve until ``lifeline_fd`` reaches its end; returns the exit code."""
    try:
        with (
            listening(port, _Metrics) as metrics_port,
            recorded() as flight_file,
            listening(0, app_handler(SCENARIOS[scenario][1]())) as app_port,
        ):
            _announce(announce_fd, metrics_port=metrics_port, app_port=app_port, flight_file=flight_file)
            while os.read(lifeline_fd, 4096):
                pass
    except CannotServe as error:
        _announce(announce_fd, error=str(error), reason=error.reason)
        return 1
    return 0


def _announce(announce_fd: int, **values: object) -> None:
    with contextlib.suppress(BrokenPipeError):  # the parent has gone already: the lifeline tells
        os.write(announce_fd, json.dumps(values).encode() + b"\n")


def _end(number: int, _: FrameType | None) -> None:
    # An exception, so that everything above is closed and the flight file removed.
    raise SystemExit(128 + number)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service; standard input is the lifeline, standard output the announcement."""
    parser = argparse.ArgumentParser(prog="python -m gc_otel.demo.service")
    parser.add_argument("--scenario", choices=[*SCENARIOS], required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent has it too, and ends this process in good order
    return serve(arguments.scenario, arguments.port, sys.stdout.fileno(), sys.stdin.fileno())


if __name__ == "__main__":
    sys.exit(main())

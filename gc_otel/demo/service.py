"""The demo's service, a process of its own: ``python -m gc_otel.demo.service``.

It is what a user's service would be: an HTTP server of the standard library that knows nothing of
gc_otel. ``gc-otel run`` starts it, recorded, with an exporter beside it.
Its parent reads one line of JSON from standard output, where it serves or why it
cannot; when the parent's end of standard input closes, however the parent ended, it ends too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType
from typing import Final

from gc_otel.demo import HOST
from gc_otel.demo.scenarios import SCENARIOS, Handler
from gc_otel.probe import probe

_CONNECTION_TIMEOUT_S: Final = 10.0


class CannotServe(Exception):
    """Told to the parent as ``{"error": ...}``."""


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
        raise CannotServe(f"port {port} on {HOST} cannot be had: {error.strerror}") from error
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def flight_file() -> str:
    """Where this process is recorded; CannotServe when it is not."""
    recording = probe.current()
    if recording is None or recording.path is None:
        raise CannotServe("the demo's service has no flight file to read")
    return str(recording.path)


def metrics_url() -> str:
    """Where the exporter serves, as `gc-otel run` tells its program."""
    host, port = os.environ.get("GC_OTEL_HOST", HOST), os.environ.get("GC_OTEL_PORT", "0")
    return f"http://[{host}]:{port}/metrics" if ":" in host else f"http://{host}:{port}/metrics"


def serve(scenario: str, announce_fd: int, lifeline_fd: int) -> int:
    """Serve until ``lifeline_fd`` reaches its end; returns the exit code."""
    try:
        recorded = flight_file()
        with listening(0, app_handler(SCENARIOS[scenario][1]())) as app_port:
            _announce(announce_fd, metrics_url=metrics_url(), app_port=app_port, flight_file=recorded)
            while os.read(lifeline_fd, 4096):
                pass
    except CannotServe as error:
        _announce(announce_fd, error=str(error))
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
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent has it too, and ends this process in good order
    return serve(arguments.scenario, sys.stdout.fileno(), sys.stdin.fileno())


if __name__ == "__main__":
    sys.exit(main())

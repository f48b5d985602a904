"""The exporter's listening socket, bound by its launcher: it listens before the program begins."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Mapping
from typing import Final

from gc_otel.errors import GcOtelError
from gc_otel.settings import PORT_MOST

_BACKLOG: Final = 128
_MOVES_MOST: Final = 50
_OTEL_DEFAULT_PORT: Final = 9464


class PortRefused(GcOtelError):
    """The port cannot be had."""

    remedy = "Choose another with --port, or let --port 0 choose one."


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; PortRefused when it cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise PortRefused(
            f"{host} is not an address of this machine: {error.strerror}", remedy="See --host."
        ) from error
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise PortRefused(f"port {port} is in use on {host}") from error
        raise PortRefused(
            f"port {port} on {host} cannot be had: {error.strerror or os.strerror(error.errno or 0)}"
        ) from error
    return listening


def listen_above(host: str, port: int) -> socket.socket:
    """The first port above that one that can be had."""
    for each in range(port + 1, min(port + _MOVES_MOST, PORT_MOST) + 1):
        with contextlib.suppress(PortRefused):
            return listen(host, each)
    return listen(host, 0)


def port_of_the_app(env: Mapping[str, str]) -> int | None:
    """Where the program's own OpenTelemetry will serve Prometheus, as far as its environment tells."""
    given = env.get("OTEL_EXPORTER_PROMETHEUS_PORT", "").strip()
    exporters = [each.strip() for each in env.get("OTEL_METRICS_EXPORTER", "").split(",")]
    if given.isascii() and given.isdigit():
        return int(given)
    return _OTEL_DEFAULT_PORT if "prometheus" in exporters else None


def address_of(listening: socket.socket) -> str:
    """Such as ``http://127.0.0.1:9464``."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

"""Asks the exporter at once, by a socket of its own; prints the first line of the answer."""

from __future__ import annotations

import json
import os
import socket

with socket.create_connection((os.environ["GC_OTEL_HOST"], int(os.environ["GC_OTEL_PORT"])), timeout=60) as connection:
    connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
    print(json.dumps({"answer": connection.makefile().readline()}), flush=True)

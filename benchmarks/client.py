"""A number of requests to a service, a few in flight at a time: how long they took together and each, and at what CPU time.

A client of its own beside wrk, whose shortest round is a second: what is to be told apart here is less than what a
machine changes within one.
"""

from __future__ import annotations

import re
import selectors
import socket
import time
from dataclasses import dataclass
from typing import Final

#: What a request may say that shall stand in gc.callbacks: programs/service_app.py.
WORDS: Final = ("on", "empty", "off")

_PATIENCE_S: Final = 30.0
_LENGTH: Final = re.compile(rb"^content-length: *(\d+)", re.IGNORECASE | re.MULTILINE)
_CLOSES: Final = re.compile(rb"^connection: *close", re.IGNORECASE | re.MULTILINE)


@dataclass
class Block:
    """What was seen of some requests in a row."""

    elapsed_ns: int
    cpu_ns: int
    latencies_ns: list[int]


class _Slot:
    """One request at a time, over a connection that is kept for as long as the service keeps it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._socket: socket.socket | None = None
        self._received = b""
        self._began_ns = 0

    def send(self) -> None:
        """The next request."""
        self._began_ns = time.perf_counter_ns()
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._client.port), _PATIENCE_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._client.selector.register(self._socket, selectors.EVENT_READ, self)
        self._socket.sendall(self._client.requests[self._client.word])

    def receive(self) -> int | None:
        """What has come; the request's latency once its answer is whole."""
        assert self._socket is not None
        part = self._socket.recv(65536)
        self._received += part
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head) if found else None
        if length is None or len(body) < int(length[1]):
            if not part:
                raise RuntimeError(f"the service ended an answer at {self._received[:200]!r}")
            return None
        latency_ns = time.perf_counter_ns() - self._began_ns
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the service answered {head[:200]!r}")
        self._received = b""
        if _CLOSES.search(head):
            self.close()
        return latency_ns

    def close(self) -> None:
        if self._socket is not None:
            self._client.selector.unregister(self._socket)
            self._socket.close()
            self._socket = None


class Client:
    """Drives one route of the service; ``pid`` is the process whose CPU time counts."""

    def __init__(self, port: int, route: str, in_flight: int, pid: int) -> None:
        self.port = port
        head = f"GET /{route} HTTP/1.1\r\nHost: localhost\r\n"
        self.requests = {word: f"{head}X-Callback: {word}\r\n\r\n".encode() for word in WORDS}
        self.word = WORDS[0]
        self.selector = selectors.DefaultSelector()
        self._slots = [_Slot(self) for _ in range(in_flight)]
        self._cpu_clock = ~pid << 3 | 2  # Linux: the CPU time of all threads of another process

    def drive(self, requests: int, word: str = "on") -> Block:
        """So many requests, while that stands in gc.callbacks."""
        self.word = word
        latencies_ns: list[int] = []
        cpu_ns, began_ns = time.clock_gettime_ns(self._cpu_clock), time.perf_counter_ns()
        for slot in self._slots[:requests]:
            slot.send()
        to_send = requests - len(self._slots)
        while len(latencies_ns) < requests:
            for key, _ in self.selector.select(_PATIENCE_S) or self._give_up():
                latency_ns = key.data.receive()
                if latency_ns is None:
                    continue
                latencies_ns.append(latency_ns)
                if to_send > 0:
                    to_send -= 1
                    key.data.send()
        elapsed_ns = time.perf_counter_ns() - began_ns
        return Block(elapsed_ns, time.clock_gettime_ns(self._cpu_clock) - cpu_ns, sorted(latencies_ns))

    def _give_up(self) -> list[tuple[selectors.SelectorKey, int]]:
        raise RuntimeError(f"no answer within {_PATIENCE_S:g} s")

    def close(self) -> None:
        """Let all connections go."""
        for slot in self._slots:
            slot.close()
        self.selector.close()

"""Start a small HTTP service with its own traffic, recorded, to look at.

The service is started by `gc-otel run`. The first line says where the live page is. Every 2 seconds a line follows, read
from the service's flight file by this other process: collections by generation, the 99th percentile and the longest of
the pauses, the share of time in the collector, and memory. Ctrl-C ends all of it.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final, final

from gc_otel.cli.output import (
    UNKNOWN,
    Style,
    bytes_text,
    count_text,
    pause_text,
    print_json,
    share_text,
)
from gc_otel.demo import HOST
from gc_otel.demo.interval import Interval, between
from gc_otel.demo.scenarios import SCENARIOS
from gc_otel.flight import reader
from gc_otel.flight.file import FlightFile
from gc_otel.flight.folder import Folder
from gc_otel.service.fleet import read_snapshot

if TYPE_CHECKING:
    from gc_otel.demo.child import Announcement, Service

LINE_EVERY_S: Final = 2.0
_LOOK_EVERY_S: Final = 0.25  # the ring holds 512 events, which some services fill in half a second
_EXIT_REFUSED: Final = 2
_HEADING_EVERY_LINES: Final = 20
_PORT_MOST: Final = 65535

_WIDTHS: Final = (6, 8, 7, 7, 10, 10, 9, 11, 12)
_HEADINGS: Final = ("time", "gen 0", "gen 1", "gen 2", "p99", "longest", "in GC", "RSS", "")


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= _PORT_MOST:
        raise ValueError
    return port


def _seconds(text: str) -> float:
    seconds = float(text)
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError
    return seconds


# argparse names a type by this when a value does not fit.
_port.__name__ = "port (0 to 65535)"
_seconds.__name__ = "number of seconds"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    scenarios = "; ".join(f"{name}: {summary}" for name, (summary, _) in SCENARIOS.items())
    parser.add_argument("--scenario", metavar="NAME", choices=[*SCENARIOS], default="healthy", help=scenarios)
    parser.add_argument("--port", metavar="N", type=_port, default=9464, help="of /metrics; 0 chooses one (9464)")
    parser.add_argument("--seconds", metavar="N", type=_seconds, default=None, help="end by itself after so long")
    parser.add_argument("--json", action="store_true", help="print one object a line; units are in the names")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from gc_otel.demo.child import NotStarted, Service

    with Stop() as stop:
        try:
            with Service(arguments.scenario, arguments.port) as service:
                announcement = service.wait_announced(stop.fd)
                if announcement is not None:
                    _watch(arguments, service, announcement, stop)
        except NotStarted:
            return _EXIT_REFUSED
    return 0


@final
class Stop:
    """SIGINT and SIGTERM as something to wait for: while inside ``with``, they make ``fd`` readable."""

    def __enter__(self) -> Stop:
        self.fd, self._write_fd = os.pipe()
        os.set_blocking(self._write_fd, False)
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(BlockingIOError):  # full: it was noted before
            os.write(self._write_fd, b".")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self.fd)
        os.close(self._write_fd)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the demo's output."""

    elapsed_s: float
    interval: Interval
    requests: int


def _watch(arguments: argparse.Namespace, service: Service, announcement: Announcement, stop: Stop) -> None:
    from gc_otel.demo.traffic import REQUESTS_PER_S, Traffic
    from gc_otel.service.page.token import page_address

    with FlightFile(announcement.flight_file) as file, Traffic(HOST, announcement.app_port) as traffic:
        identity = read_snapshot(file)[0].identity
        start = {
            "page_url": page_address(announcement.metrics_url.removesuffix("/metrics"), _folder_of(announcement)),
            "metrics_url": announcement.metrics_url,
            "service_url": f"http://{HOST}:{announcement.app_port}/",
            "scenario": arguments.scenario,
            "requests_per_s": REQUESTS_PER_S,
            "pid": service.pid,
            "recorder": identity.recorder,
            "flight_file": str(announcement.flight_file),
        }
        printer = _JsonPrinter() if arguments.json else _TextPrinter()
        printer.start(start)
        for elapsed_s, interval in _intervals(file, service, stop.fd, arguments.seconds):
            printer.line(Line(elapsed_s, interval, traffic.answered))


def _folder_of(announcement: Announcement) -> Folder:
    return Folder(announcement.flight_file.parent)


def _intervals(
    file: FlightFile, service: Service, stop_fd: int, seconds: float | None
) -> Iterator[tuple[float, Interval]]:
    """One interval every two seconds until the end; DemoError when the service has ended by itself."""
    began_s = before_s = time.monotonic()
    before, _ = read_snapshot(file)
    end_s = began_s + (math.inf if seconds is None else seconds)
    next_s = began_s
    while before_s < end_s:
        next_s = min(next_s + LINE_EVERY_S, end_s)
        durations_ns: list[int] = []
        events = before.collector.events
        while time.monotonic() < next_s:
            if _must_end(service, stop_fd, min(next_s, time.monotonic() + _LOOK_EVERY_S)):
                return
            collector = reader.read_collector(file, latest_since=events, longest=False)
            durations_ns += [event.duration_ns for event in collector.latest]
            events = collector.events
        now, _ = read_snapshot(file)
        durations_ns += [event.duration_ns for event in now.collector.latest if event.number > events]
        now_s = time.monotonic()
        yield now_s - began_s, between(before, now, durations_ns, now_s - before_s)
        before, before_s = now, now_s


def _must_end(service: Service, stop_fd: int, deadline_s: float) -> bool:
    """Wait; True when asked to end, DemoError when there is nothing left to wait for."""
    from gc_otel.demo.child import DemoError, wait_readable

    ready = wait_readable([stop_fd, service.announcements_fd], max(0.0, deadline_s - time.monotonic()))
    if ready == service.announcements_fd:
        raise DemoError(
            f"the demo's service (pid {service.pid}) has ended by itself, {service.end_text()}",
            remedy="What it recorded is listed by `gc-otel ps --all`, unless it ended in good order.",
        )
    return ready is not None


class _JsonPrinter:
    def start(self, start: dict[str, Any]) -> None:
        print_json(start, indent=None)

    def line(self, line: Line) -> None:
        interval = line.interval
        values = {
            "elapsed_s": round(line.elapsed_s, 3),
            "interval_s": round(interval.seconds, 3),
            "collections_by_generation": interval.collections,
            "pauses_known": interval.pauses_known,
            "p99_pause_ns": interval.p99_ns,
            "longest_pause_ns": interval.longest_ns,
            "share_in_gc": interval.share_in_gc,
            "rss_bytes": interval.rss_bytes,
            "rss_growth_bytes": interval.rss_growth_bytes,
            "requests": line.requests,
        }
        print_json(values, indent=None)


class _TextPrinter:
    def __init__(self) -> None:
        self._style = Style()
        self._lines = 0

    def start(self, start: dict[str, Any]) -> None:
        style = self._style
        print(f"page      {style('bold', start['page_url'])}")
        print(f"metrics   {start['metrics_url']}")
        print(f"scenario  {start['scenario']}: {SCENARIOS[start['scenario']][0]}")
        print(f"process   pid {start['pid']}, {start['recorder']} recorder, {start['requests_per_s']:g} requests/s")
        print(style("dim", "Ctrl-C ends it. In another terminal: gc-otel ps"), end="\n\n", flush=True)

    def line(self, line: Line) -> None:
        if self._lines % _HEADING_EVERY_LINES == 0:
            print(self._style("bold", _joined(_HEADINGS)))
        self._lines += 1
        cells = _cells(line)
        colors = _colors(line.interval)
        padded = [cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True)]
        print("".join(self._style(color, cell) for cell, color in zip(padded, colors, strict=True)), flush=True)


def _joined(cells: tuple[str, ...]) -> str:
    return "".join(cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True)).rstrip()


def _cells(line: Line) -> tuple[str, ...]:
    interval = line.interval
    growth = UNKNOWN if interval.rss_growth_bytes is None else f"{interval.rss_growth_bytes / 2**20:+.1f} MiB"
    return (
        f"{line.elapsed_s:.0f}s",
        *(count_text(count) for count in interval.collections),
        pause_text(interval.p99_ns),
        pause_text(interval.longest_ns),
        share_text(interval.share_in_gc),
        bytes_text(interval.rss_bytes),
        growth,
    )


def _colors(interval: Interval) -> tuple[str, ...]:
    return (
        "dim",
        "",
        "",
        "",
        _graded(interval.p99_ns or 0, 10e6, 100e6),
        _graded(interval.longest_ns or 0, 20e6, 200e6),
        _graded(interval.share_in_gc, 0.05, 0.2),
        "",
        _graded(interval.rss_growth_bytes or 0, 2**20, 16 * 2**20),
    )


def _graded(value: float, warn: float, bad: float) -> str:
    return "red" if value >= bad else "yellow" if value >= warn else ""

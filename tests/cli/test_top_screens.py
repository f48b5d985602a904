"""The screens of `gc-otel top`, as text, of made processes: compared with tests/cli/screens/*.txt, letter by letter.

GCOTEL_WRITE_SCREENS=1 writes them anew: look at the difference before it is committed.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from gc_otel.cli.terminal import detail
from gc_otel.flight.layout import BUCKETS, DURATION_BOUNDS_NS
from gc_otel.flight.snapshot import (
    CollectionInProgress,
    Collector,
    Event,
    GenerationStats,
    HistoryPoint,
    Identity,
    Interpreter,
    Memory,
    Published,
    Snapshot,
)
from gc_otel.service import fleet
from gc_otel.service.figures import figures, growth_bytes_per_h
from gc_otel.service.fleet import Process, own_pid_namespace
from gc_otel.service.watching import View

pytestmark = pytest.mark.once

SCREENS = Path(__file__).parent / "screens"
SECOND_NS = 10**9
MIB = 2**20
NOW_NS = 10_000 * SECOND_NS  # of the monotonic clock; the Unix clock is this much ahead
AHEAD_NS = 1_700_000_000 * SECOND_NS


@pytest.fixture(autouse=True)
def no_time_passes(monkeypatch):
    clock = SimpleNamespace(time_ns=lambda: NOW_NS + AHEAD_NS, monotonic_ns=lambda: NOW_NS)
    for module in (fleet, detail):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.delenv("NO_COLOR", raising=False)


def event(number, ago_s, duration_ns, generation):
    start_ns = NOW_NS - round(ago_s * SECOND_NS) - duration_ns
    return Event(
        number, start_ns, duration_ns, duration_ns, generation,
        explicit=number % 10 == 0, own=False, collected=number, uncollectable=0, candidates=0, thread_id=1, trace_id=0, span_id=0,
    )  # fmt: skip


def stats(durations_ns):
    buckets = [0] * BUCKETS
    for duration_ns in durations_ns:
        buckets[sum(duration_ns > bound for bound in DURATION_BOUNDS_NS)] += 1
    none = (0,) * BUCKETS
    return GenerationStats(
        len(durations_ns), 0, 0, 0, 0, sum(durations_ns), max(durations_ns, default=0), 0, tuple(buckets), none, none, none
    )  # fmt: skip


def view(pid, service, *, pause_ns=200_000, rss=lambda at: 100, limit=512, elsewhere=False, collecting=False):
    """A process of an hour, that collects each half second, and every 20th time longer."""
    events = [
        event(120 - at, at / 2, pause_ns * (20 if at % 20 == 3 else 1), 2 if at % 20 == 3 else 0) for at in range(120)
    ][::-1]
    in_progress = CollectionInProgress(NOW_NS - 2 * SECOND_NS, 2, 1) if collecting else None
    generations = tuple(
        stats([each.duration_ns for each in events if each.generation == number]) for number in range(3)
    )
    collector = Collector(generations, len(events), 0, 0, in_progress, tuple(events), (), torn=False)
    points = tuple(
        HistoryPoint(NOW_NS + AHEAD_NS - (120 - at) * 30 * SECOND_NS, rss(at) * MIB, None, limit * MIB, 1000, 0, 0, 0, 0, 1)
        for at in range(121)
    )  # fmt: skip
    namespace = own_pid_namespace()
    identity = Identity(
        pid=pid, parent_pid=1, pid_namespace=(namespace or 0) + 1 if elsewhere else namespace, service_name=service, service_version="",
        instance_id=f"id-{pid}", program="app.py", python_version="3.12.1", recorder="native", duration_clock="monotonic",
        gc_mode="generational", state="running", created_unix_ns=NOW_NS + AHEAD_NS - 3600 * SECOND_NS,
        started_unix_ns=NOW_NS + AHEAD_NS - 3600 * SECOND_NS, exited_unix_ns=None, monotonic_to_unix_ns=AHEAD_NS,
    )  # fmt: skip
    last = rss(120) * MIB
    memory = Memory(NOW_NS, last, 2 * last, last // 2, None, None, limit * MIB, "cgroup-v2", 1, 1, 1, 1, 1, 1, 1, 1)
    interpreter = Interpreter(NOW_NS, 5, 123_456 + pid, gc_enabled=True, thresholds=(700, 10, 10), pending=(0, 0, 0), unseen=(0, 0, 0), overhead_ns=0)  # fmt: skip
    snapshot = Snapshot(identity, collector, interpreter, memory, (), Published(0, 0, 0, 0))
    lately = figures(collector, None, since_ns=NOW_NS - 3600 * SECOND_NS, now_ns=NOW_NS)
    return View(str(pid), Process(Path(f"{pid}.flight"), True, snapshot), points, lately, growth_bytes_per_h(points))


def ended(living):
    identity = replace(living.snapshot.identity, exited_unix_ns=NOW_NS + AHEAD_NS)
    return replace(
        living, process=replace(living.process, alive=False, snapshot=replace(living.snapshot, identity=identity))
    )


MADE = [
    view(4711, "shop", rss=lambda at: 300 + 2 * at // 3 + (40 if 60 <= at < 70 else 0), limit=400),
    view(12, "bank", pause_ns=3_000_000, elsewhere=True),
    view(815, "a-service-with-a-name-longer-than-any", pause_ns=20_000, collecting=True),
]
LEAVER = view(9, "batch")


class Reader:
    """In the place of what watches: one reading after the other, then the last for ever."""

    unreadable = 0

    def __init__(self, *readings):
        self.readings = list(readings)
        self.is_closed = False

    def read(self):
        return self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]

    def close(self):
        self.is_closed = True


@pytest.fixture
def screen():
    """What is on the screen after these keys.  ``*`` among them is a reading."""
    app_module = pytest.importorskip("textual") and __import__("gc_otel.cli.terminal.app", fromlist=["Top"])

    def look(*keys, readings=(MADE,), size=(170, 24), **options):
        reader = Reader(*readings)

        async def run():
            app = app_module.Top(lambda: reader, interval_s=3600, **options)
            async with app.run_test(size=size) as pilot:
                await app.workers.wait_for_complete()
                await pilot.pause()
                for key in keys:
                    if key == "*":
                        app._read()
                        await app.workers.wait_for_complete()
                    elif isinstance(key, tuple):
                        await pilot.resize_terminal(*key)
                    else:
                        await pilot.press(key)
                    await pilot.pause()
                lines = [strip.text.rstrip() for strip in app.screen._compositor.render_strips()]
                await pilot.press("q")
            assert reader.is_closed
            return "\n".join(lines).rstrip() + "\n"

        return asyncio.run(run())

    return look


SHOTS = {
    "table": {},
    "sorted-by-memory": {"keys": ["l"]},
    "sorted-the-other-way": {"keys": ["n", "n"]},
    "narrow": {"size": (60, 12)},
    "filtered": {"keys": ["slash", *"bank", "enter"]},
    "filtered-by-nobody": {"keys": ["slash", *"zzz", "enter"]},
    "not-filtered-any-more": {"keys": ["slash", *"bank", "enter", "escape"]},
    "one-process": {"keys": ["enter"], "size": (110, 48)},
    "one-process-narrow": {"keys": ["down", "enter", (60, 40)], "size": (100, 40)},
    "help": {"keys": ["question_mark"], "size": (110, 34)},
    "held": {"keys": ["space"]},
    "nobody": {"readings": ([],)},
    "gone": {"readings": ([*MADE, LEAVER], [*MADE, ended(LEAVER)]), "keys": ["*"]},
    "gone-while-shown": {
        "readings": ([LEAVER], [ended(LEAVER)], []),
        "keys": ["enter", "*", "*"],
        "size": (110, 44),
    },
}


@pytest.mark.parametrize("name", SHOTS)
def test_screens(screen, name):
    """As somebody has looked at them, letter by letter."""
    shot = dict(SHOTS[name])
    text = screen(*shot.pop("keys", ()), **shot)
    path = SCREENS / f"{name}.txt"
    if os.environ.get("GCOTEL_WRITE_SCREENS"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_the_row_that_is_looked_at_stays_so(screen):
    """Whatever comes above it: Enter shows the process that was under the cursor before."""
    slower = view(1, "slowest", pause_ns=50_000_000)
    text = screen("down", "*", "enter", readings=(MADE, [slower, *MADE]))
    assert text.splitlines()[0].split()[:3] == ["shop", "pid", "4711"]


def test_what_is_about_the_table_is_left_alone_elsewhere(screen):
    """Neither sorting nor a filter happen behind a process that is shown."""
    assert screen("enter", "n", "slash", "z", "escape") == screen()


def test_options_choose_sorting_and_words(screen):
    """As on the command line."""
    assert screen(sort="service") == screen("n")
    assert "1 of 3 recorded" in screen(words="bank")

"""What the pointer says over a mark of the collections: each number of exactly that one, and nothing beside the marks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timezone

import pytest

from gc_otel.config import Config
from gc_otel.flight import file as files
from gc_otel.flight.layout import LATEST
from gc_otel.flight.mapping import PythonMapping
from gc_otel.flight.python_recorder import PythonRecorder
from gc_otel.probe.identity import header_fields

TRACE = 0x0AF7651916CD43DD8448EB211C80319C
#: A pixel of the chart for a moment and a duration; marks are drawn there and nowhere else.
PIXEL = """([ms, ns]) => {
  const { plot } = [...gcotel.page.view.group.charts].find((each) => each.hover);
  const box = plot.over.getBoundingClientRect();
  return [box.left + plot.valToPos(ms / 1000, 'x'), box.top + plot.valToPos(ns, 'y')];
}"""
SHOWN = ".tip:not([hidden])"


@dataclass(frozen=True)
class Collection:
    """One that was recorded, and what is said of it after its time."""

    ago_s: int
    info: dict[str, float]
    thread: int
    is_asked: bool
    trace: int
    said: str


COLLECTIONS = (
    Collection(
        ago_s=600,
        info={"generation": 0, "duration": 150e-6, "collected": 1, "uncollectable": 0},
        thread=4242,
        is_asked=False,
        trace=0,
        said="Generation 0 150 µs Freed 1 object Thread 4242",
    ),
    Collection(
        ago_s=400,
        info={"generation": 1, "duration": 2.5e-3, "collected": 1200, "uncollectable": 3, "candidates": 5000},
        thread=4243,
        is_asked=False,
        trace=0,
        said="Generation 1 2.5 ms Freed 1,200 objects Could not free 3 Examined 5,000 Thread 4243",
    ),
    Collection(
        ago_s=200,
        info={"generation": 2, "duration": 0.04, "collected": 0, "uncollectable": 0},
        thread=2**53 + 1,  # more than a browser's number holds
        is_asked=True,
        trace=TRACE,
        said=f"Generation 2, gc.collect() 40 ms Freed 0 objects Thread {2**53 + 1} Trace {TRACE:032x}",
    ),
)


@pytest.fixture
def now_ns(folder):
    """The moment, by a monotonic clock, before which the above were recorded."""
    now_ns = time.monotonic_ns()
    header = header_fields(Config.from_env({}), recorder="python", duration_clock="monotonic")
    _, mapping = files.create(folder, {**header, "pid": 1000, "pid_namespace": 7}, PythonMapping)
    cells = mapping.view().cast("Q")
    for entry, each in enumerate(COLLECTIONS):
        recorder = PythonRecorder(
            mapping,
            clock_ns=lambda at_ns=now_ns - each.ago_s * 10**9: at_ns,
            get_count=lambda pending=0 if each.is_asked else 10**6: (pending, 0, 0),
            thread_id=lambda thread=each.thread: thread,
        )
        recorder.record_phase("start", each.info)
        recorder.record_phase("stop", each.info)
        # No recorder knows traces yet; the file has a place for them, and the page shows what is there.
        cells[LATEST.cell("trace_id_high", entry)] = each.trace >> 64
        cells[LATEST.cell("trace_id_low", entry)] = each.trace & (2**64 - 1)
    yield now_ns
    mapping.close()


def point_at(page, unix_ms, duration_ns):
    page.mouse.move(*page.evaluate(PIXEL, [unix_ms, duration_ns]))


def test_a_mark_says_what_it_is(now_ns, command, tab):
    """Of three collections of different kinds; beside them and off the chart nothing is said."""
    now_unix_ns = time.time_ns() - (time.monotonic_ns() - now_ns)
    run = command("exporter").ready()
    first = tab()
    first.open(run.url)
    page = first.open(f"{run.address}/process/1000")
    page.get_by_role("button", name="15 min", exact=True).click()
    chart = page.get_by_role("img", name="Every collection by time and duration")
    chart.scroll_into_view_if_needed()
    for each in COLLECTIONS:
        at_ms = now_unix_ns / 1e6 - each.ago_s * 1000
        point_at(page, at_ms, each.info["duration"] * 1e9)
        tip = chart.locator(SHOWN, has_text=str(each.thread))
        tip.wait_for()
        clock, _, said = " ".join(tip.inner_text().split()).partition(" ")
        # The two clocks are read one after the other: within a tenth of a second.
        about = {f"{datetime.fromtimestamp((at_ms + off) / 1e3, timezone.utc):%H:%M:%S}" for off in (-100, 0, 100)}
        assert clock in about
        assert said == each.said
        assert page.locator(SHOWN).count() == 1, "the cursors of all charts move, and one chart speaks"
    point_at(page, now_unix_ns / 1e6 - 300_000, 1e6)
    chart.locator(SHOWN).wait_for(state="hidden")
    point_at(page, now_unix_ns / 1e6 - 400_000, 2.5e6)
    chart.locator(SHOWN).wait_for()
    page.mouse.move(1, 1)
    page.locator(SHOWN).wait_for(state="hidden")

"""What somebody sees who watches a folder, of made flight files."""

from __future__ import annotations

import time

import pytest

from gc_otel.config import Config
from gc_otel.flight import layout
from gc_otel.service import watching as watchings
from gc_otel.service.watching import Watching, matching


@pytest.fixture
def watching(folder):
    with Watching(folder, Config()) as made:
        yield made


def test_the_living_and_who_has_just_ended(watching, make, monkeypatch):
    """The ended keep their last numbers for a while, and then go."""
    one, other = make(), make()
    one.collect(times=3)
    views = watching.read()
    assert {view.label for view in views} == {str(one.pid), str(other.pid)}
    one.die()
    (view,) = [view for view in watching.read() if view.is_gone]
    assert (view.label, view.process.state) == (str(one.pid), "died")
    assert view.lately.pauses.collections == 3
    monkeypatch.setattr(watchings, "ENDED_SHOWN_NS", -1)
    watching.read()
    assert [view.label for view in watching.read()] == [str(other.pid)]


def test_one_that_was_never_seen_alive_is_not_shown(watching, make):
    """It ended between two looks: nothing was read of it."""
    watching.read()
    make().die()
    assert watching.read() == []


def test_the_history_begins_before_the_watching(watching, make):
    """What the process wrote of itself, and what is sampled from now on; the limit and blocks too."""
    one = make()
    now_ns = time.time_ns()
    for entry in range(30):
        one.cells[layout.HISTORY.cell("unix_ns", entry)] = now_ns - (30 - entry) * 60 * 10**9
        one.cells[layout.HISTORY.cell("rss_bytes", entry)] = (100 + entry) * 2**20
    one.cells[layout.MONITOR.cell("history_entries")] = 30
    one.beat()
    one.cells[layout.MONITOR.cell("allocated_blocks")] = 77
    (view,) = watching.read()
    assert [point.rss_bytes for point in view.points[:30]] == [(100 + entry) * 2**20 for entry in range(30)]
    assert len(view.points) == 31
    assert view.growth_bytes_per_h == pytest.approx(60 * 2**20, rel=0.1)
    assert view.allocated_blocks == 77
    assert 0 < view.rss_bytes < view.limit_bytes
    assert view.memory_share == view.rss_bytes / view.limit_bytes
    one.cells[layout.HISTORY.cell("rss_bytes", 0)] = 1
    (view,) = watching.read()
    assert view.points[0].rss_bytes == 100 * 2**20


def test_a_file_that_turns_into_nonsense_goes(watching, make):
    """And is counted; the others stay."""
    one, other = make(), make()
    watching.read()
    one.cells[layout.HEADER.cell("magic")] = 1
    assert [view.label for view in watching.read()] == [str(other.pid)]
    assert watching.unreadable == 1


def test_all_words_are_wanted(watching, make):
    """In any order, in capitals or not."""
    make(program="app.py")
    make(service_name="bank")
    views = watching.read()
    assert len(matching(views, "")) == len(matching(views, "RUNNING")) == 2
    assert [view.snapshot.identity.service_name for view in matching(views, "app shop")] == ["shop"]
    assert matching(views, "shop bank") == []

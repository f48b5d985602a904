"""The census of a cloned child: the same numbers as in the process, and nothing of the process changes."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import json
import os
import signal
import struct
import sys
import threading
import types

import pytest

import gc_otel
from gc_otel.errors import NotSupported
from gc_otel.heap import census_child
from gc_otel.heap.census import Census, take_census_in_child
from gc_otel.heap.child import CHARGE, END, TYPE
from gc_otel.heap.counts import TypeCount

needs_child = pytest.mark.skipif(census_child.why_not() is not None, reason=str(census_child.why_not()))
COUNT = 300
NO_PLACE = 2**64 - 1


class Session:
    """Attributes that are part of the object on some versions, and of several kinds."""

    def __init__(self, number: int) -> None:
        self.text = b"session %d" % number
        self.items = [b"item %d" % number, {"inner": [number]}]


class Many:
    """More attributes than a first instance has."""

    def __init__(self) -> None:
        for number in range(25):
            setattr(self, f"attribute_{number}", None)


def rows(census: Census) -> dict[str, TypeCount]:
    return {each.name: each for each in census.types}


def named(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def generator(first):
    second = yield first
    yield second


async def coroutine(first):
    second = await asyncio.sleep(0, first)
    return first, second


@needs_child
@pytest.mark.usefixtures("quiet_gc")
def test_the_same_as_in_the_process(traps) -> None:
    """Types, bytes, owners; of what the test made, to the last byte; and nothing is asked of any object or class."""
    keep = [Session(number) for number in range(COUNT)], [Many() for _ in range(COUNT)], traps
    child, process = rows(take_census_in_child()), rows(gc_otel.take_census(sample_every=1))
    for name in (named(Session), named(Many), traps[0]):
        assert child[name] == process[name]
    for kind in ("list", "dict"):
        name = f"{kind} of {named(Session)}"
        assert child[name].objects == process[name].objects > 0
        assert child[name].size_bytes == pytest.approx(process[name].size_bytes, rel=0.01)
    assert child["bytes"].objects == pytest.approx(process["bytes"].objects, abs=COUNT / 6)
    del keep


@needs_child
@pytest.mark.usefixtures("quiet_gc")
def test_generators_with_their_variables() -> None:
    """Begun, not begun, and the frames that somebody keeps."""
    waiting = [coroutine(number) for number in range(COUNT)]
    begun = [generator(number) for number in range(COUNT)]
    for each in begun[: COUNT // 2]:
        next(each)
    frames = [each.gi_frame for each in begun]
    try:
        child, process = rows(take_census_in_child()), rows(gc_otel.take_census(sample_every=1))
        for name in ("generator", "coroutine", "frame"):
            assert child[name].objects >= COUNT
            assert child[name].size_bytes == pytest.approx(process[name].size_bytes, rel=0.05 if name == "frame" else 0)
    finally:
        for each in waiting:
            each.close()
        del frames


@needs_child
@pytest.mark.usefixtures("quiet_gc")
def test_containers_with_a_name_are_called_by_it(shop) -> None:
    """A global of a module, and what is directly in it."""
    shop.PENDING = [{"number": number} for number in range(COUNT)]
    shop.Basket = types.new_class("Basket", exec_body=lambda space: space.update(__module__="shop", open={1, 2}))
    found = rows(take_census_in_child())
    assert found["list in shop.PENDING"].objects == 1
    assert found["dict in shop.PENDING"].objects == COUNT
    assert found["set in shop.Basket.open"].objects == 1


@needs_child
@pytest.mark.usefixtures("quiet_gc")
def test_what_a_program_sees_of_it() -> None:
    """No SIGCHLD, nothing to wait for, no hook, no collection, no other reference count."""
    signals: list[str] = []
    hooks: list[str] = []
    waited = set()
    held = Session(1)
    count = sys.getrefcount(held)
    collections = [each["collections"] for each in gc.get_stats()]

    def wait_for_anybody(*_: object) -> None:
        try:
            waited.add(os.waitpid(-1, os.WNOHANG))
        except ChildProcessError:
            waited.add("nobody")

    os.register_at_fork(before=lambda: hooks.append("before"))
    before = signal.signal(signal.SIGCHLD, lambda *_: signals.append("SIGCHLD"))
    try:
        census = take_census_in_child(wait_for_anybody)
        wait_for_anybody()
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert (signals, hooks) == ([], [])
    assert waited <= {"nobody", (0, 0)}
    assert sys.getrefcount(held) == count
    assert [each["collections"] for each in gc.get_stats()] == collections
    assert (census.walker, census.sampled_every) == ("child", 1)
    assert 0 < census.pause_ns < census.duration_ns
    assert census.child_cpu_ns > 0
    assert census.child_memory_bytes > 0


@needs_child
def test_beside_threads_that_change_the_heap() -> None:
    """Each child sees one moment of it."""
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            [Session(number) for number in range(50)]
            types.new_class("Brief")

    threads = [threading.Thread(target=churn) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            assert take_census_in_child().tracked_objects > 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@needs_child
def test_an_answer_that_is_not_wanted_ends_it() -> None:
    """Whatever the caller's reason was; a deadline is one."""
    with pytest.raises(NotSupported, match="in time"):
        census_child.count_in_child([], 1, lambda *_: None, deadline_s=0)


@needs_child
def test_it_goes_through_json_and_is_told_in_words() -> None:
    """With the pause of the process, and what the child took."""
    census = take_census_in_child()
    assert Census.from_dict(json.loads(json.dumps(census.as_dict()))) == census
    assert "in a child (" in str(census)
    assert "every holder looked into" in str(census)
    told = dataclasses.replace(census, child_cpu_ns=None, walker="native", no_child_because="no room")
    assert str(told).splitlines()[-1] == "counted in the process itself: no room"


def test_what_is_not_in_the_list_is_summed_up() -> None:
    """A type made meanwhile has no name, and its objects are counted all the same."""
    told = census_child.Told([[], dict, Session], 1)
    told.take(TYPE, (2, 10, 480, 0), struct.pack("=2d", 0.0, 0.0))
    told.take(TYPE, (NO_PLACE, 5, 240, 0), struct.pack("=2d", 1.4, 60.0))
    told.take(CHARGE, (1, 2, 0, 0), struct.pack("=2d", 10.0, 640.0))
    told.take(CHARGE, (1, 0, 0, 0), struct.pack("=2d", 1.0, 64.0))
    told.take(CHARGE, (1, NO_PLACE, 0, 0), struct.pack("=2d", 5.0, 320.0))
    told.take(END, (15, 1, 0, 0), b"")
    assert told.types == [(Session, 10, 480, 0.0, 0.0)]
    assert told.charges == [(dict, Session, 10.0, 640.0), (dict, 0, 1.0, 64.0)]
    assert (told.unknown_objects, told.unknown_bytes, told.tracked_objects) == (6, 300, 15)


def test_where_there_can_be_none(monkeypatch) -> None:
    """Without a GIL the child would have to stop the world."""
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    with pytest.raises(NotSupported, match="a GIL") as caught:
        take_census_in_child()
    assert "--in-process" in caught.value.remedy

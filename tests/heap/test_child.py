"""The child that examines the heap: nobody notices it, it holds nothing, and it ends whatever happens."""

from __future__ import annotations

import gc
import os
import signal
import socket
import struct
import sys
import threading
import time
import tracemalloc
from typing import ClassVar

import pytest

from gc_otel import _native
from gc_otel.errors import NotSupported
from gc_otel.heap import child
from gc_otel.heap import cycles as cycles_module
from gc_otel.heap.cycles import Cycles, find_cycles, find_cycles_in_child
from gc_otel.heap.cycles_child import Found, find_garbage_in_child
from gc_otel.heap.names import type_name

HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
pytestmark = [
    pytest.mark.skipif(not HAS_GIL, reason="refused without a GIL"),
    pytest.mark.skipif(child.why_not() is not None, reason=str(child.why_not())),
]
PATIENCE_S = 30.0


class Knot:
    """A cycle with itself, whose end is told."""

    told: ClassVar[list[str]] = []

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        Knot.told.append("finalized")


@pytest.fixture
def knots(quiet_gc):
    Knot.told.clear()
    for _ in range(7):
        Knot()
    yield
    gc.collect()


def knots_in(cycles) -> int:
    return sum(each.cycles for each in cycles.groups if "Knot" in each.signature)


def children() -> set[int]:
    tasks = f"/proc/{os.getpid()}/task"
    found: set[int] = set()
    for task in os.listdir(tasks):
        with open(f"{tasks}/{task}/children") as file:
            found |= {int(pid) for pid in file.read().split()}
    return found


def test_what_a_program_sees_of_it(knots):
    """No SIGCHLD, nothing to wait for, no hook of a fork, no finalizer, no child left."""
    signals, hooks = [], []
    before = signal.signal(signal.SIGCHLD, lambda *_: signals.append("SIGCHLD"))
    known = children()
    waited = set()

    def wait_for_anybody(*_: object) -> None:
        try:
            waited.add(os.waitpid(-1, os.WNOHANG))
        except ChildProcessError:
            waited.add("nobody")

    os.register_at_fork(before=lambda: hooks.append("before"), after_in_parent=lambda: hooks.append("after"))
    try:
        cycles = find_cycles_in_child(wait_for_anybody)
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert knots_in(cycles) == 7
    assert waited <= {"nobody", (0, 0)}
    assert (signals, hooks, Knot.told) == ([], [], [])
    assert children() == known
    assert (cycles.walker, cycles.child_cpu_ns > 0, cycles.child_memory_bytes > 0) == ("child", True, True)
    assert 0 < cycles.pause_ns <= cycles.duration_ns
    Knot.told.clear()
    gc.collect()
    assert len(Knot.told) == 7


def test_the_same_as_in_the_process(knots):
    """Group by group, and in bytes."""
    assert find_cycles_in_child().groups == find_cycles().groups


def test_where_a_class_is_defined(knots):
    """By its code, without looking anything up on it."""
    (group,) = [each for each in find_cycles_in_child().groups if "Knot" in each.signature]
    (place,) = [each for each in group.classes if each.type.endswith("Knot")]
    assert place.file == __file__
    with open(__file__) as file:
        lines = file.readlines()
    assert "class Knot" in "".join(lines[place.line - 8 : place.line])


def test_a_class_that_was_lost_meanwhile_has_its_name(knots, monkeypatch):
    """The child said it; and where another class has its address by now, that one is not named."""
    name = type_name(Knot)
    for there in ([], [type("Other", (), {})]):
        with monkeypatch.context() as patched:
            patched.setattr(cycles_module, "all_types", lambda there=there: there)
            patched.setattr(cycles_module, "id", lambda cls: id(Knot), raising=False)
            (group,) = [each for each in find_cycles_in_child().groups if "Knot" in each.signature]
        assert name in group.signature
        assert group.classes == ()


@pytest.mark.usefixtures("quiet_gc")
def test_a_long_name_is_whole():
    """The child cuts it; the class has it."""
    cls = type("A" * 200, (), {"__module__": "\u00e4" * 50})
    knot = cls()
    knot.itself = knot
    del knot
    assert any(type_name(cls) in each.signature for each in find_cycles_in_child().groups)


def test_a_dict_of_it_goes_through_json(knots):
    """As it travels between processes."""
    import json

    cycles = find_cycles_in_child()
    found = json.loads(json.dumps(cycles.as_dict()))
    assert Cycles.from_dict(found) == cycles
    assert found["groups_left_out"] == 0
    assert "is defined in" in str(cycles)
    assert "in a child" in str(cycles)


@pytest.mark.usefixtures("quiet_gc")
def test_what_was_frozen_is_left_out():
    """As a collection leaves it out, and what only it holds lives."""
    knot = Knot()
    del knot
    gc.freeze()
    try:
        assert knots_in(find_cycles_in_child()) == 0
        assert knots_in(find_cycles()) == 0
        Knot()
        assert knots_in(find_cycles_in_child()) == 1
    finally:
        gc.unfreeze()
        gc.collect()


@pytest.mark.usefixtures("quiet_gc")
def test_many_signatures_are_summed_up_in_the_child():
    """A class of its own for each cycle: as many groups."""
    for number in range(300):
        knot = type(f"Kind{number}", (), {})()
        knot.itself = knot
    del knot
    found = find_cycles_in_child()
    assert sum(1 for each in found.groups if ".Kind" in each.signature) >= 300
    gc.collect()


@pytest.mark.usefixtures("quiet_gc")
def test_frames_have_the_size_that_the_process_knows():
    """Generators are asked before, since asking runs code of Python."""

    def hold():
        me = yield
        yield me

    for _ in range(20):
        one = hold()
        next(one)
        one.send(one)
    del one
    assert find_cycles_in_child().garbage_bytes == find_cycles().garbage_bytes > 20 * 100
    gc.collect()


def wait_for_child(known) -> int:
    deadline_s = time.monotonic() + PATIENCE_S
    while not (new := children() - known):
        assert time.monotonic() < deadline_s
    return new.pop()


def test_a_connection_that_the_parent_closes_ends_at_once():
    """The child has closed its copy: the other side must not wait for its end."""
    extension = _native.load()[0]
    status = 0
    while not os.WIFSIGNALED(status):  # one that was too quick to be stopped proves nothing
        ours, theirs = socket.socketpair()
        pid, fd = extension.start_cycles(10_000, 60)
        try:
            assert extension.read_child(fd, 10_000)  # it has begun, and closed what it had
            os.kill(pid, signal.SIGSTOP)
            ours.close()
            theirs.settimeout(PATIENCE_S)
            assert theirs.recv(1) == b""
        finally:
            theirs.close()
            status, _, _ = extension.end_child(pid, fd)


def test_it_is_killed_when_the_answer_is_not_wanted():
    """Whatever the caller's reason was."""
    known = children()

    def enough(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_cycles_in_child(enough)
    assert children() == known


def test_a_child_that_dies_is_told_of(monkeypatch):
    """With how it ended, and what to do instead."""
    extension = _native.load()[0]

    class Killing:
        start_cycles = staticmethod(extension.start_cycles)
        end_child = staticmethod(extension.end_child)

        @staticmethod
        def read_child(fd, timeout_ms):
            return b""

    monkeypatch.setattr(_native, "load", lambda: (Killing, ""))
    with pytest.raises(NotSupported, match="ended early") as caught:
        find_cycles_in_child()
    assert "--in-process" in caught.value.remedy


def test_a_child_that_is_slow_is_ended():
    """At the caller's deadline."""
    known = children()
    with pytest.raises(NotSupported, match="in time"):
        find_garbage_in_child(lambda *_: None, deadline_s=0)
    assert children() == known


@pytest.mark.parametrize("size", [1, 7, 47, 48, 49, 1000])
def test_messages_may_be_cut_anywhere(size):
    """A pipe knows no boundaries."""
    raw = struct.pack("=6Q", 1, 1, 5, 10, 0, 0) + struct.pack("=8Q", 2, 3, 6, 700, 2, 2, 11, 12)
    raw += struct.pack("=6Q", 7, 11, 0, 0, 0, 2) + b"app.B\xc3\xa4um".ljust(16, b"\0")
    raw += struct.pack("=6Q", 3, 100, 6, 701, 0, 0)
    found, said = Found(), []
    messages = child.Messages(lambda *message: found.take(lambda *words: said.append(words), *message))
    for at in range(0, len(raw), size):
        assert not messages.are_all
        messages.add(raw[at : at + size])
    assert messages.are_all
    assert said == [("counting references", 5, 10)]
    assert found.groups == [((11, 12), 2, 3, 6, 700)]
    assert found.names == {11: "app.B\u00e4um"}
    assert (found.tracked_objects, found.garbage_objects, found.garbage_bytes) == (100, 6, 701)
    with pytest.raises(NotSupported, match="no memory"):
        messages.add(struct.pack("=6Q", 4, 0, 0, 0, 0, 0))


def test_beside_threads_that_hold_locks_of_malloc_and_change_the_heap():
    """What they held at the clone stays held in the child, which needs none of it."""
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            [bytearray(100_000) for _ in range(20)]
            Knot()

    threads = [threading.Thread(target=churn) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            assert find_cycles_in_child().tracked_objects > 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        gc.collect()


def test_tracemalloc_does_not_mind(knots):
    """Its hooks take a lock at each allocation; the child makes none."""
    tracemalloc.start()
    try:
        assert knots_in(find_cycles_in_child()) == 7
    finally:
        tracemalloc.stop()


def test_without_the_extension_it_is_refused(monkeypatch):
    """There is no twin: a child that may run no Python cannot be written in it."""
    monkeypatch.setattr(_native, "load", lambda: (None, "not built"))
    with pytest.raises(NotSupported, match=r"C extension, which is not here \(not built\)") as caught:
        find_cycles_in_child()
    assert "--in-process" in caught.value.remedy

"""What went wrong with us is kept where doctor finds it."""

from __future__ import annotations

import threading

import pytest

from gc_otel.flight import layout, reader
from gc_otel.flight.file import OwnMemory
from gc_otel.probe.faults import FaultLog


@pytest.fixture
def mapping(make_mapping):
    mapped = make_mapping(-1)
    yield mapped
    mapped.close()


def read(mapping):
    return reader.read_faults(OwnMemory(mapping))


def test_a_fault_tells_where_what_and_when(mapping):
    """The place, the exception's class and message, and the moment are kept."""
    FaultLog(mapping).note("memory limit", OSError(13, "denied"))
    (fault,) = read(mapping)
    assert fault.text == "memory limit: PermissionError: [Errno 13] denied"
    assert fault.count == 1
    assert 1_700_000_000_000_000_000 < fault.last_unix_ns < 4_000_000_000_000_000_000


def test_the_same_text_is_counted(mapping):
    """A fault of every round fills one entry and not the block."""
    log = FaultLog(mapping)
    for number in range(5):
        log.note("monitor", ValueError("same"))
        log.note("monitor", ValueError(f"other {number % 2}"))
    assert [(fault.text, fault.count) for fault in read(mapping)] == [
        ("monitor: ValueError: same", 5),
        ("monitor: ValueError: other 0", 3),
        ("monitor: ValueError: other 1", 2),
    ]


def test_the_seventeenth_text_is_lost(mapping):
    """The block is full with 16 texts; known ones are counted on, and nothing beside it is written."""
    log = FaultLog(mapping)
    for number in range(20):
        log.note("x", ValueError(str(number)))
    log.note("x", ValueError("3"))
    log.note("x", ValueError("19"))
    faults = read(mapping)
    assert [fault.text for fault in faults] == [f"x: ValueError: {number}" for number in range(16)]
    assert [fault.count for fault in faults] == [2 if number == 3 else 1 for number in range(16)]
    end = layout.FAULTS.offset_bytes + layout.FAULTS.size_bytes
    assert not any(mapping.view()[end:])


@pytest.mark.parametrize("letters", ["a", "é", "漢", "😀"])
def test_a_long_text_is_cut_at_a_whole_character(mapping, letters):
    """A cut text is valid UTF-8 of at most 240 bytes, and is still known when it comes again."""
    log = FaultLog(mapping)
    for _ in range(2):
        log.note("w", ValueError(letters * 300))
    prefix = "w: ValueError: "
    room = (layout.FAULT_TEXT_BYTES - len(prefix)) // len(letters.encode())
    assert [(fault.text, fault.count) for fault in read(mapping)] == [(prefix + letters * room, 2)]


def test_a_text_that_utf8_cannot_say(mapping):
    """A lone surrogate, as file names have them, is replaced and counted like any other."""
    log = FaultLog(mapping)
    for _ in range(2):
        log.note("w", OSError("\udcff.txt"))
    assert [(fault.text, fault.count) for fault in read(mapping)] == [("w: OSError: ?.txt", 2)]


def test_a_closed_mapping_is_nobodys_to_write(mapping):
    """A note after stop() is dropped without an error."""
    log = FaultLog(mapping)
    mapping.close()
    log.note("late", ValueError("too late"))


def test_a_note_during_a_note_is_lost_and_not_waited_for(mapping):
    """A finalizer that runs while a fault is written may fail too: no deadlock."""
    log = FaultLog(mapping)

    class Nasty(Exception):
        def __str__(self):
            log.note("inner", ValueError("lost"))
            return "outer"

    log.note("outer", Nasty())
    assert [fault.text for fault in read(mapping)] == ["outer: Nasty: outer"]
    log.note("outer", ValueError("next"))
    assert len(read(mapping)) == 2


def test_concurrent_notes_leave_whole_entries(mapping):
    """Whatever threads do, each text stands once, whole, and no more often than it was noted."""
    log = FaultLog(mapping)
    together = threading.Barrier(4)

    def note(number):
        together.wait()
        for turn in range(500):
            log.note("t", ValueError(f"text {turn % 3} " + "x" * 100))

    threads = [threading.Thread(target=note, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    faults = read(mapping)
    assert sorted(fault.text for fault in faults) == [f"t: ValueError: text {n} " + "x" * 100 for n in range(3)]
    assert all(0 < fault.count <= 2000 for fault in faults)

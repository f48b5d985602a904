"""Signals belong to the program: none is taken, and no exception of a handler is lost in us."""

from __future__ import annotations

import signal
import sys

import pytest

from gc_otel.flight.recorder import gc_mode

#: Without a GIL the collector ignores thresholds until the heap has grown.
FREE_THREADED = not getattr(sys, "_is_gil_enabled", lambda: True)()


@pytest.mark.parametrize("mode", ["sigwait", "handler"])
def test_a_signal_reaches_the_program(run_silent, kind, mode):
    """sigwait() gets it although it is blocked everywhere else; a handler interrupts the main thread's system call."""
    assert run_silent("sigwait.py", kind, mode) == {"got": signal.SIGTERM, "sender_exit": 0}


def test_a_default_action_still_ends_the_program(run_silent, kind):
    """With the signal's own exit status."""
    assert run_silent("sigwait.py", kind, "default", expect=-signal.SIGTERM) is None


@pytest.mark.parametrize("mode", ["plain", "fork"])
def test_interrupts_while_every_allocation_collects(run_silent, kind, mode, record_property):
    """Each is caught by the program; the Python recorder may lose some, which CPython then reports."""
    # An interrupt inside a hook in Python leaves the twin's thread running at that fork.
    flags = ("-W", "ignore:This process:DeprecationWarning") if kind == "python" else ()
    told = run_silent("interrupts.py", kind, mode, flags=flags)
    record_property("interrupts_lost", told["lost"])
    assert told["caught"] + told["lost"] == told["sent"]
    assert told["others"] == []
    assert told["faults"] == []
    if kind == "native":
        assert (told["lost"], told["unseen"], told["no_start"]) == (0, 0, 0)
    assert told["recorded"] + told["no_start"] + told["unseen"] == told["counted"]
    assert told["counted"] > (0 if FREE_THREADED else told["sent"])


@pytest.mark.skipif(gc_mode() != "generational", reason="thresholds mean something else")
def test_what_begins_below_the_threshold_is_automatic_all_the_same(run_silent, kind):
    """From 3.12 on objects are freed between the decision and the beginning; of full ones the twin cannot tell."""
    told = run_silent("imports.py", kind)
    assert min(told["collections"]) > 0
    assert told["explicit"][:2] == [0, 0]
    assert kind == "python" or told["explicit"][2] == 0
    assert (told["began_below"] > 0) == (sys.version_info >= (3, 12))


def test_collections_at_the_recursion_limit(run_silent, kind):
    """The native recorder runs where no Python frame can; the twin's gap is told as unseen."""
    told = run_silent("recursion.py", kind)
    assert told["counted"] == told["at_limit"] + 1 > 1  # one more to let the monitor judge
    assert told["recorded"] + told["no_start"] + told["unseen"] == told["counted"]
    if kind == "native":
        assert (told["recorded"], told["noise"]) == (told["counted"], [])

"""Isolated interpreters made and deleted while the monitor makes rounds as fast as it can.  Argument: native|python."""

from __future__ import annotations

import threading

import _interpreters
import _recorded as recorded

from gc_otel.probe import probe

INTERPRETERS = 25
stop = recorded.start()
monitor = probe.current()._monitor
probe.current()._clockwork.end()  # this program's own thread makes the rounds
ending = threading.Event()
rounds = 0


def rounds_without_a_pause() -> None:
    global rounds
    while not ending.wait(0.0001):
        monitor.round()
        rounds += 1


thread = threading.Thread(target=rounds_without_a_pause)
thread.start()
for _ in range(INTERPRETERS):
    interpreter = _interpreters.create("isolated")
    assert _interpreters.run_string(interpreter, "import json") is None
    _interpreters.destroy(interpreter)
recorded.wait_until(lambda: rounds > INTERPRETERS, "no rounds")
ending.set()
thread.join()
recorded.report(interpreters=INTERPRETERS, rounds=rounds)
stop()

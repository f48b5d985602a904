"""Ctrl-C, two hundred times, while every allocation collects.  Arguments: native|python, then plain or fork."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import signal
import sys
import time

import _recorded as recorded

SENT = 200
acknowledge = os.pipe()
target = os.getpid()
sender = os.fork()
if sender == 0:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.close(acknowledge[1])
    os.read(acknowledge[0], 1)
    chance = random.Random(1)
    for _ in range(SENT):
        time.sleep(chance.random() * 0.004)  # so that every part of the loop is hit
        os.kill(target, signal.SIGINT)
        if not os.read(acknowledge[0], 1):
            os._exit(1)
    os._exit(0)
os.close(acknowledge[0])
forking = sys.argv[2] == "fork"
lost: list[str] = []
others: list[str] = []


def unraisable(told: object) -> None:
    (lost if told.exc_type is KeyboardInterrupt else others).append(f"{told.exc_value!r} in {told.object!r}")


def work(turn: int) -> None:
    for _ in range(20):
        garbage: list[object] = []
        garbage.append(garbage)
    if forking and turn % 3 == 0 and os.fork() == 0:
        os._exit(0)


def reap() -> None:
    while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG) is not None:
        pass


sys.unraisablehook = unraisable
recorded.start()
recorded.wait_for_rounds()
before = recorded.collections()
recorded_before = recorded.snapshot().collector.collections
caught, acknowledged, turn = 0, -1, 0  # one byte more: the first tells the sender to begin


def under_fire() -> None:
    """The one place where an interrupt can be outstanding: it was asked for in here."""
    global acknowledged, turn
    while acknowledged < SENT:
        if acknowledged < caught + len(lost):
            acknowledged += 1
            os.write(acknowledge[1], b".")
        turn += 1
        work(turn)


gc.set_threshold(1, 1, 1)
while acknowledged < SENT:
    try:
        under_fire()
    except KeyboardInterrupt:
        caught += 1
signal.signal(signal.SIGINT, signal.SIG_IGN)
gc.set_threshold(700, 10, 10)
gc.disable()
if forking and os.fork() == 0:
    # An interrupt in a hook in Python may have kept the twin's monitor from coming back: a quiet fork brings it.
    os._exit(0)
with contextlib.suppress(ChildProcessError):
    reap()
gc.collect()  # an interrupt may have cut the twin's last record short: the next one closes it
recorded.settle()
read = recorded.snapshot()
recorded.report(
    sent=SENT,
    caught=caught,
    lost=len(lost),
    lost_in=sorted(set(lost))[:5],
    others=sorted(set(others))[:5],
    counted=recorded.collections() - before,
    recorded=read.collector.collections - recorded_before,
    no_start=sum(each.no_start for each in read.collector.generations),
    unseen=sum(read.interpreter.unseen),
    faults=[fault.text for fault in read.faults],
    turns=turn,
)

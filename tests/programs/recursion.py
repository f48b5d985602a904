"""Collections at the recursion limit.  Argument: native|python."""

from __future__ import annotations

import contextlib
import gc
import sys

import _recorded as recorded

noise: list[object] = []
sys.unraisablehook = noise.append  # in C: a hook in Python finds no frame at the limit, too
recorded.start()
recorded.wait_for_rounds()
gc.disable()
before = recorded.collections()
read_before = recorded.snapshot().collector.collections
#: Frames that collect in each descent, the deepest: without a GIL each collection is of the whole heap, and takes 2 ms.
DEEPEST = 50
at_limit = left = 0


def descend() -> None:
    global at_limit, left
    try:
        descend()
    except RecursionError:
        # As deep as it gets: a callback in Python finds no frame here.
        if left:
            left -= 1
            for _ in range(3):
                gc.collect(0)
                at_limit += 1
        raise


for _ in range(3):
    left = DEEPEST
    with contextlib.suppress(RecursionError):
        descend()
recorded.settle()
read = recorded.snapshot()
recorded.report(
    at_limit=at_limit,
    counted=recorded.collections() - before,
    recorded=read.collector.collections - read_before,
    no_start=sum(each.no_start for each in read.collector.generations),
    unseen=sum(read.interpreter.unseen),
    noise=sorted({told.exc_type.__name__ for told in noise}),
)

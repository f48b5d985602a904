"""A recorded process that obeys the lines of its standard input, and answers each with a line of JSON."""

from __future__ import annotations

import gc
import json
import os
import sys
import threading

from gc_otel.config import Config
from gc_otel.probe import probe


def answer(**values: object) -> None:
    print(json.dumps(values), flush=True)


def hang_in_a_collection() -> None:
    """Begin a collection that another callback never lets go on."""
    inside = threading.Event()

    def stay(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            inside.set()
            threading.Event().wait()

    gc.callbacks.append(stay)
    threading.Thread(target=gc.collect, daemon=True).start()
    inside.wait()


class Grown:
    """What there is more of from time to time."""


class Knot:
    """What can hold itself, with no dict between on any version."""

    __slots__ = ("itself",)


GROWN: list[Grown] = []


def main() -> None:
    gc.disable()
    probe.start(Config.from_env(recorder=sys.argv[1], sample_interval=0.1))
    recording = probe.current()
    answer(path=str(recording.path), pid=os.getpid())
    for line in sys.stdin:
        word = line.strip()
        if word == "collect":
            gc.collect()
            answer(collected=True)
        elif word == "fault":
            recording.note_fault("sampler \x1b[2J", OSError("no such \nsource"))
            recording.note_fault("sampler \x1b[2J", OSError("no such \nsource"))
            recording.note_fault("limit", ValueError("odd"))
            answer(noted=True)
        elif word == "end the monitor":
            recording._clockwork.end()
            answer(ended=True)
        elif word == "grow":
            GROWN.extend(Grown() for _ in range(1000))
            answer(grown=len(GROWN))
        elif word == "knot":
            gc.disable()  # they are to be there when they are looked for
            for _ in range(5):
                knot = Knot()
                knot.itself = knot
            del knot
            answer(knotted=True)
        elif word == "hang":
            hang_in_a_collection()
            answer(collecting=True)


main()

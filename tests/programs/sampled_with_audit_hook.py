"""A program with an audit hook, whose young collections are due to be sampled."""

from __future__ import annotations

import gc
import json
import sys

import _recorded as recorded

from gc_otel.flight import heap_reader
from gc_otel.probe import live_cycles, probe

live_cycles.COST_FACTOR = live_cycles.LEAST_INTERVAL_NS = 0
heard: list[str] = []
listening = False


def hook(event: str, _: tuple[object, ...]) -> None:
    if listening and event.startswith(("gc.", "gc_otel.")):
        heard.append(event)


def main() -> None:
    global listening
    sys.addaudithook(hook)
    recorded.start("native")
    gc.set_threshold(100, 10, 10)
    listening = True
    for _ in range(2000):
        [].append([])
        items: list[object] = []
        items.append(items)
    listening = False
    found = heap_reader.read_cycles(probe.current().source)
    print(json.dumps({"state": found.state, "samples": sum(found.samples), "heard": heard[:3]}))


main()

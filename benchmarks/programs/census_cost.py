"""Milliseconds of a census, and of what else looks at every object: ``census_cost.py OBJECTS ROUNDS``."""

from __future__ import annotations

import gc
import importlib.util
import json
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import objgraph

import gc_otel
from gc_otel import _native
from gc_otel.heap.counting import count_heap
from gc_otel.heap.names import named_containers

SMALL_OBJECTS = 200_000
OBJECTS_IN_SESSION = 4  # itself, a list, a dict in it, a list in that


class Session:
    """What services have many of."""

    def __init__(self, number: int) -> None:
        self.user = f"user {number}"
        self.basket = [number, {"items": [number]}]


def spent_ms(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    began_ns = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - began_ns) / 1e6


def empty_walk() -> Callable[[], object]:
    """Compiled here; OSError or CalledProcessError where that cannot be done."""
    include, suffix = sysconfig.get_path("include"), sysconfig.get_config_var("EXT_SUFFIX")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, f"empty_walk{suffix}")
        source = Path(__file__).with_name("empty_walk.c")
        command = ["cc", "-O2", "-shared", "-fPIC", f"-I{include}", str(source), "-o", str(target)]
        subprocess.run(command, check=True, capture_output=True)
        spec = importlib.util.spec_from_file_location("empty_walk", target)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    walk: Callable[[], object] = module.walk
    return walk


def add_others(calls: dict[str, Callable[[], object]], missing: dict[str, str]) -> None:
    """What is not installed is told."""
    try:
        calls["floor"] = empty_walk()
    except (OSError, subprocess.CalledProcessError) as error:
        missing["floor"] = f"not compiled: {error}"
    try:
        from pympler import muppy, summary

        calls["muppy"] = lambda: summary.summarize(muppy.get_objects())
    except ImportError:
        missing["muppy"] = "pympler is not installed"
    try:
        from guppy import hpy

        calls["guppy"] = hpy().heap
    except ImportError:
        missing["guppy"] = "guppy3 is not installed"


def main() -> None:
    """Every round measures everything, beginning with another one each time."""
    objects, rounds = int(sys.argv[1]), int(sys.argv[2])
    sessions = [Session(number) for number in range(objects // OBJECTS_IN_SESSION)]
    extension, reason = _native.load()
    count = count_heap if extension is None else extension.count_heap
    containers = [container for _, container in named_containers()]
    calls: dict[str, Callable[[], object]] = {
        "collect": gc.collect,
        "objgraph": objgraph.typestats,
        "counter": lambda: Counter(map(type, gc.get_objects())),
        "census": gc_otel.take_census,
        "walk": lambda: count(containers, 0),
        "exact": lambda: gc_otel.take_census(sample_every=1),
        "cycles": gc_otel.find_cycles,
    }
    missing = {"native": reason} if extension is None else {}
    add_others(calls, missing)
    if objects > SMALL_OBJECTS:
        for name in ("muppy", "guppy"):
            calls.pop(name, None)
            missing[name] = "minutes for each round: measured on the small heap only"
    else:
        calls["twin"] = lambda: count_heap([], 0)
    gc.collect()
    gc.disable()
    for call in calls.values():
        call()
    samples: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            samples[name].append(spent_ms(calls[name]))
    census = gc_otel.take_census()
    del sessions
    print(
        json.dumps(
            {"samples": samples, "missing": missing, "tracked": census.tracked_objects, "every": census.sampled_every}
        )
    )


if __name__ == "__main__":
    main()

"""Milliseconds of a census, and of what else looks at every object: ``census_cost.py OBJECTS ROUNDS [others]``.

The others are in a process of their own: what they import, and what they leave, would be counted with the heap.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import objgraph

import gc_otel
from gc_otel import _native
from gc_otel.heap import pages
from gc_otel.heap.census import take_census_in_child
from gc_otel.heap.census_child import why_not
from gc_otel.heap.counting import count_heap
from gc_otel.heap.names import named_containers

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


def census_in_child(samples: dict[str, list[float]]) -> None:
    """How long this process stands still for the clone, what it does beside that, and how long the answer takes.

    What is written to for the first time afterwards costs a page fault: a collection right after it writes to most of the heap.
    """
    began_ns, cpu_ns = time.perf_counter_ns(), time.thread_time_ns()
    census = take_census_in_child()
    pause_ms = (census.pause_ns or 0) / 1e6
    samples["pause"].append(pause_ms)
    samples["beside"].append((time.thread_time_ns() - cpu_ns) / 1e6 - pause_ms)
    samples["answer"].append((time.perf_counter_ns() - began_ns) / 1e6)
    samples["child_memory"].append((census.child_memory_bytes or 0) / 2**20)
    samples["after"].append(spent_ms(gc.collect))


def census_of_cold_pages(samples: dict[str, list[float]]) -> None:
    """The same pause where the kernel was not asked to look at the pages before.

    The collection is not measured: it meets the page faults that otherwise the next one would.
    """
    with mock.patch.object(pages, "have_looked_at", return_value=None):
        samples["cold"].append((take_census_in_child().pause_ns or 0) / 1e6)
    gc.collect()


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


def ours(samples: dict[str, list[float]], missing: dict[str, str]) -> dict[str, Callable[[], object]]:
    """The census in all its forms, and what it is compared with."""
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
    if extension is None:
        missing["native"] = reason
    why = why_not()
    if why is not None:
        missing["pause"] = why
    else:
        calls["child"] = lambda: census_in_child(samples)
        calls["cold child"] = lambda: census_of_cold_pages(samples)
    if sys.version_info < (3, 12):
        missing["floor"] = "CPython walks from 3.12 on"
        return calls
    try:
        calls["floor"] = empty_walk()
    except (OSError, subprocess.CalledProcessError) as error:
        missing["floor"] = f"not compiled: {error}"
    return calls


def others(missing: dict[str, str]) -> dict[str, Callable[[], object]]:
    """What is not installed is told."""
    calls: dict[str, Callable[[], object]] = {"collect": gc.collect, "twin": lambda: count_heap([], 0)}
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
    return calls


def main() -> None:
    """Every round measures everything, beginning with another one each time."""
    objects, rounds = int(sys.argv[1]), int(sys.argv[2])
    sessions = [Session(number) for number in range(objects // OBJECTS_IN_SESSION)]
    samples: defaultdict[str, list[float]] = defaultdict(list)
    missing: dict[str, str] = {}
    calls = others(missing) if sys.argv[3:] == ["others"] else ours(samples, missing)
    gc.collect()
    gc.disable()
    for call in calls.values():
        call()
    samples.clear()
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

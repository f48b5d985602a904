"""Cycles are found, counted and named exactly, and nothing is changed by it."""

from __future__ import annotations

import gc
import importlib.util
import random
import sys
import weakref
from pathlib import Path

import pytest

import gc_otel
from gc_otel import _native
from gc_otel.errors import NotSupported
from gc_otel.heap import child, trial
from gc_otel.heap.cycles import CycleGroup, find_cycles_in_child, signature_of

_SPEC = importlib.util.spec_from_file_location("shapes", Path(__file__).with_name("shapes.py"))
shapes = importlib.util.module_from_spec(_SPEC)
sys.modules["shapes"] = shapes
_SPEC.loader.exec_module(shapes)

HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
needs_gil = pytest.mark.skipif(not HAS_GIL, reason="refused without a GIL; see the test of that")
TIMES = 30


@pytest.fixture(params=["native", "python", "child"])
def either(request, monkeypatch):
    """Both walks in this process, and the native one in a child of it."""
    if request.param == "python":
        monkeypatch.setattr(_native, "load", lambda: (None, "the twin is under test"))
    elif _native.load()[0] is None:
        pytest.skip(f"no extension here: {_native.load()[1]}")
    if request.param == "child":
        if child.why_not() is not None:
            pytest.skip(child.why_not())
        monkeypatch.setattr(gc_otel, "find_cycles", find_cycles_in_child, raising=False)
    return request.param


def garbage_by_collecting() -> list:
    """What a full collection finds, by DEBUG_SAVEALL: the truth, at a price that only a test may pay."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        return gc.garbage[:]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.collect()


@needs_gil
@pytest.mark.usefixtures("quiet_gc", "either")
@pytest.mark.parametrize("name", shapes.SHAPES)
def test_shape(name) -> None:
    """Each of them: as many cycles as were made, named by what they are made of, all that a collection frees."""
    shape = shapes.SHAPES[name]
    shape.make()
    gc.collect()  # what is made once only: caches, a class
    before = gc_otel.find_cycles()
    assert before.cycles == 0, str(before)
    for _ in range(TIMES):
        shape.make()
    found = gc_otel.find_cycles()
    collected = garbage_by_collecting()
    assert found.cycles == TIMES * shape.cycles, str(found)
    (group,) = found.groups
    for word in shape.named:
        assert word.format("shapes.") in group.signature
    assert shape.closes_itself or found.garbage_objects == len(collected)
    assert gc_otel.find_cycles().garbage_objects == 0
    assert found.groups[0].objects <= found.garbage_objects


def test_so_many_shapes() -> None:
    """None is lost by accident."""
    assert len(shapes.SHAPES) == 22


@needs_gil
@pytest.mark.usefixtures("quiet_gc", "either")
def test_changes_nothing() -> None:
    """No finalizer, no weak reference callback, no flag, no object fewer, and the garbage is still there."""
    told = []

    class Finalized:
        def __del__(self):
            told.append("finalized")

    one = Finalized()
    one.itself = one
    watch = weakref.ref(one, lambda _: told.append("weak reference"))
    del one
    state = gc.isenabled(), gc.get_debug(), gc.get_threshold(), [each["collections"] for each in gc.get_stats()]
    first, second = gc_otel.find_cycles(), gc_otel.find_cycles()
    assert (gc.isenabled(), gc.get_debug(), gc.get_threshold()) == state[:3]
    assert [each["collections"] for each in gc.get_stats()] == state[3]
    assert first.groups == second.groups
    assert first.cycles == 1
    assert told == []
    assert watch() is not None
    assert gc.garbage == []
    gc.collect()
    assert sorted(told) == ["finalized", "weak reference"]


@needs_gil
@pytest.mark.usefixtures("quiet_gc", "either")
def test_what_lives_is_no_garbage() -> None:
    """Cycles held by a local, by C code, or by an object of C code are left out."""
    held = shapes.Node()
    held.itself = held
    by_c_code = iter([held])
    assert gc_otel.find_cycles().cycles == 0
    assert next(by_c_code) is held


@needs_gil
@pytest.mark.usefixtures("quiet_gc", "either")
def test_hangers_on_are_garbage_and_no_cycle() -> None:
    """What a cycle alone holds is freed with it, and is in none."""
    items = []
    items += [items, [[], []], [[]]]
    del items
    found = gc_otel.find_cycles()
    assert [(each.signature, each.cycles, each.objects) for each in found.groups] == [("list", 1, 1)]
    assert found.garbage_objects == 6
    assert found.garbage_bytes > found.groups[0].size_bytes


@needs_gil
@pytest.mark.usefixtures("quiet_gc", "either")
def test_bytes_that_a_cycle_holds_are_its_own() -> None:
    """What the collector does not track weighs most; what others hold too counts in part."""
    shared = bytearray(300_000)
    items = [bytearray(100_000), shared, shared]
    items.append(items)
    del items
    found = gc_otel.find_cycles()
    assert 100_000 + 200_000 < found.groups[0].size_bytes < 100_000 + 200_000 + 1000
    assert found.garbage_bytes == pytest.approx(found.groups[0].size_bytes, abs=1)


@needs_gil
@pytest.mark.usefixtures("quiet_gc", "either")
def test_a_long_chain_of_garbage() -> None:
    """A cycle of twenty thousand lists needs no deep recursion."""
    first = last = []
    for _ in range(20_000):
        last = [last]
    first.append(last)
    del first, last
    found = gc_otel.find_cycles()
    assert (found.cycles, found.groups[0].objects) == (1, 20_001)
    assert found.groups[0].signature.endswith("... (20001 objects)")


@needs_gil
@pytest.mark.usefixtures("quiet_gc")
@pytest.mark.parametrize("seed", range(6))
def test_twins_agree_on_random_garbage(extension, seed) -> None:
    """The same components, ways around and bytes of a tangle of lists, dicts and objects."""
    rng = random.Random(seed)
    nodes = [rng.choice((list, shapes.Node, shapes.Slotted))() for _ in range(120)]
    for _ in range(150):
        one, other = rng.choice(nodes), rng.choice(nodes)
        if type(one) is list:
            one.append(other)
        else:
            setattr(one, "other" if type(one) is shapes.Slotted else f"to_{rng.randrange(3)}", other)
    del nodes, one, other
    native, python = extension.find_garbage(), trial.find_garbage()
    rows, others = (sorted(found[0], key=str) for found in (native, python))
    assert [row[:3] for row in rows] == [row[:3] for row in others]
    assert [row[3] for row in rows] == pytest.approx([row[3] for row in others], abs=1)
    assert native[2:] == pytest.approx(python[2:], abs=1)
    assert native[2] > 0


@needs_gil
@pytest.mark.usefixtures("quiet_gc", "either")
def test_uncollectable_objects_are_listed() -> None:
    """What is in gc.garbage is reachable and lost all the same."""
    gc.garbage.append(shapes.Node())
    try:
        (group,) = gc_otel.find_cycles().uncollectable
    finally:
        gc.garbage.clear()
    assert (group.type, group.objects) == ("shapes.Node", 1)
    assert group.size_bytes > 0


def test_signature_is_the_same_wherever_it_begins() -> None:
    """The least of all turns; a long way around is cut, and says how long it is."""
    assert signature_of(["dict", "app.Node"], 2) == signature_of(["app.Node", "dict"], 2) == "app.Node -> dict"
    assert signature_of(["b", "a", "b", "c"], 4) == "a -> b -> c -> b"
    assert signature_of(list("hgfedcba"), 8) == "a -> h -> g -> f -> e -> d -> ... (8 objects)"


def test_table() -> None:
    """Signatures, then all garbage; without any it says so."""
    groups = (CycleGroup("Node -> dict", 2, 4, 2048), CycleGroup("list", 1, 1, 56))
    found = gc_otel.Cycles(groups, (), 1000, 7, 2200, 1_500_000, "native")
    assert str(found).splitlines() == [
        "cycle         cycles  objects    bytes",
        "Node -> dict       2        4  2.0 KiB",
        "list               1        1     56 B",
        "7 of 1,000 tracked objects are garbage, 2.1 KiB; 1.5 ms, native walk, all of it a pause of the process",
    ]
    assert str(gc_otel.Cycles((), (), 9, 0, 0, 0, "python")).startswith("no garbage cycles\n0 of 9")


def test_refused_without_a_gil(monkeypatch) -> None:
    """Reference counts that are not whole cannot be subtracted from."""
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    with pytest.raises(NotSupported, match="without a GIL") as caught:
        gc_otel.find_cycles()
    assert "PYTHON_GIL=1" in caught.value.remedy

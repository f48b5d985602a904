"""The native walk over what the collector tracks: everything of every generation, and sizes as the interpreter has them."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections import Counter

import pytest

from gc_otel.errors import NotSupported
from gc_otel.flight.recorder import gc_mode
from gc_otel.heap import child, cycles_child
from gc_otel.heap.cycles import find_cycles, find_cycles_in_child

COUNT = 100
CPYTHON_WALKS = sys.version_info >= (3, 12)


class Old:
    """Through two collections."""


class Middle:
    """Through one."""


class Young:
    """Through none."""


def generator(first):
    second = yield first
    yield second, lambda: first


async def coroutine(first):
    second = await asyncio.sleep(0, first)
    return first, second


async def asynchronous_generator(first):
    second = await asyncio.sleep(0, first)
    yield first, second


def kept_frame(*arguments, **keywords):
    first, *others = arguments, keywords, None, None
    return [sys._getframe(), lambda: (first, others)][0]


@pytest.fixture(params=["lists", "cpython"])
def walker(request, extension, monkeypatch):
    """The extension with the one walk or the other: where counts do not agree the collector's lists are not believed."""
    if request.param == "cpython":
        if not CPYTHON_WALKS:
            pytest.skip("CPython walks from 3.12 on")
        monkeypatch.setattr(gc, "get_count", lambda: (1, 2, 3))
    elif gc_mode() == "freethreaded":
        pytest.skip("without a GIL there are no lists")
    assert extension.walk_writes() == (request.param == "cpython")
    return extension


def counted(extension) -> dict[type, tuple[int, int]]:
    """Objects and bytes by type."""
    return {row[0]: row[1:3] for row in extension.count_heap([], 1)[0]}


@pytest.mark.usefixtures("quiet_gc")
def test_every_generation_is_walked(walker) -> None:
    """In each of the functions that walk."""
    old = [Old() for _ in range(COUNT)]
    gc.collect()
    middle = [Middle() for _ in range(COUNT)]
    gc.collect(0)
    young = [Young() for _ in range(COUNT)]
    wanted = [Old, Middle, Young]
    found = counted(walker)
    assert [found[cls][0] for cls in wanted] == [COUNT] * 3
    selected, count = walker.select_objects(wanted, 4 * COUNT)
    assert count == 3 * COUNT
    assert Counter(map(type, selected)) == dict.fromkeys(wanted, COUNT)
    held = [old[0], middle[0], young[0]]
    pairs = walker.find_referrers(held, 1000)
    for place, holder in enumerate((old, middle, young)):
        assert any(found is holder and held_place == place for found, held_place in pairs)


@pytest.mark.usefixtures("quiet_gc")
def test_what_is_frozen(walker, request) -> None:
    """It is counted, unless CPython walks and passes it over; it is garbage for nobody."""
    gc.unfreeze()
    request.addfinalizer(gc.freeze)
    gc.collect()
    frozen = [Old() for _ in range(COUNT)]
    lost = Middle()
    lost.itself = lost
    gc.freeze()
    del lost
    for _ in range(COUNT):
        found = Young()
        found.itself = found
    del found
    seen = counted(walker).get(Old, (0, 0))[0]
    assert seen in ({0, COUNT} if walker.walk_writes() else {COUNT})
    for _ in range(2):
        groups = walker.find_garbage()[0]
        assert sum(Young in row[0] for row in groups) == COUNT
        assert [row for row in groups if Middle in row[0]] == []
    del frozen


@pytest.mark.skipif(child.why_not() is not None or gc_mode() == "freethreaded", reason="no child here")
@pytest.mark.usefixtures("quiet_gc", "walker")
def test_a_child_finds_the_same() -> None:
    """Where CPython walks, pointers are gathered before the clone; else in the child."""
    for cls in (Old, Middle, Young):
        for _ in range(COUNT):
            found = cls()
            found.itself = found
    del found
    in_process, in_child = find_cycles(), find_cycles_in_child()
    assert in_child.groups == in_process.groups
    assert in_child.tracked_objects == pytest.approx(in_process.tracked_objects, abs=COUNT)


@pytest.mark.skipif(
    child.why_not() is not None or gc_mode() != "generational", reason="no child, or what is frozen is walked"
)
@pytest.mark.usefixtures("quiet_gc")
def test_a_child_with_nearly_as_many_types_as_there_is_room_for(monkeypatch) -> None:
    """Their table is made beforehand, and does not grow, which would take memory of malloc's; one that is full is told of."""
    for number in range(1500):
        each = type(f"Kind{number}", (), {})()
        each.itself = each
    del each
    monkeypatch.setattr(cycles_child, "_MORE_TYPES", 0)
    for room, found in ((2047, 1500), (1000, None)):
        monkeypatch.setattr(cycles_child, "all_types", lambda room=room: range(room))
        if found is None:
            with pytest.raises(NotSupported, match="no memory"):
                find_cycles_in_child()
        else:
            assert sum("Kind" in each.signature for each in find_cycles_in_child().groups) == found


@pytest.mark.usefixtures("quiet_gc")
@pytest.mark.parametrize("of", [generator, coroutine, asynchronous_generator, kept_frame])
def test_sizes_of_what_has_a_frame(walker, of) -> None:
    """As sys.getsizeof() says, which asks the object."""
    made = list(map(of, range(COUNT)))  # a comprehension has a frame of its own, on some versions
    kind = type(made[0])
    before = counted(walker)[kind]
    made += list(map(of, range(COUNT)))
    after = counted(walker)[kind]
    assert after[0] - before[0] == COUNT
    assert after[1] - before[1] == sum(map(sys.getsizeof, made[COUNT:]))
    for each in made:
        if of is coroutine:
            each.close()


@pytest.mark.skipif(CPYTHON_WALKS, reason="CPython walks")
@pytest.mark.usefixtures("quiet_gc")
@pytest.mark.parametrize("function", ["get_count", "get_threshold"])
def test_lists_that_are_not_where_they_are_thought_are_not_read(extension, function, monkeypatch) -> None:
    """What the interpreter tells of itself is compared first, whoever asks."""
    monkeypatch.setattr(gc, function, lambda: (1, 2, 3))
    for ask in (
        lambda: extension.count_heap([], 1),
        lambda: extension.select_objects([Old], 1),
        lambda: extension.find_referrers([Old], 1),
        extension.find_garbage,
        lambda: extension.start_census([], 1, 1),
        lambda: extension.start_cycles(1000, 1),
    ):
        with pytest.raises(OSError, match="not where CPython has them"):
            ask()


@pytest.mark.skipif(gc_mode() == "freethreaded", reason="there is nothing to compare")
@pytest.mark.parametrize("answer", [list, lambda: ("one", 2, 3), lambda: 1 / 0])
def test_what_the_comparison_raises_is_raised(extension, answer, monkeypatch) -> None:
    """And nothing is read."""
    monkeypatch.setattr(gc, "get_count", answer)
    with pytest.raises((TypeError, ZeroDivisionError)):
        extension.count_heap([], 1)


@pytest.mark.usefixtures("quiet_gc")
def test_thresholds_of_the_program_are_no_obstacle(extension) -> None:
    """Whatever they are."""
    before = gc.get_threshold()
    kept = [Old() for _ in range(COUNT)]
    try:
        for thresholds in ((0, 0, 0), (1, 2**31 - 1, 5)):
            gc.set_threshold(*thresholds)
            assert counted(extension)[Old][0] == COUNT
            assert extension.walk_writes() == (gc_mode() == "freethreaded")
    finally:
        gc.set_threshold(*before)
    del kept

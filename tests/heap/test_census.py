"""The census counts what is there, names it, and runs nobody's code."""

from __future__ import annotations

import dataclasses
import gc
import sys
import types
from collections import OrderedDict, defaultdict, deque

import pytest

import gc_otel
from gc_otel.flight.recorder import gc_mode
from gc_otel.heap.census import Census
from gc_otel.heap.counting import count_heap, shallow_bytes
from gc_otel.heap.counts import TypeCount

COUNT = 200


class Session:
    """An object with attributes of several kinds."""

    def __init__(self, number: int) -> None:
        self.text = b"session %d" % number
        self.items = [b"item %d" % number, {"inner": [number]}]


def rows(census: Census) -> defaultdict[str, TypeCount]:
    return defaultdict(lambda: TypeCount("", 0, 0), {each.name: each for each in census.types})


def named(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


@pytest.mark.usefixtures("quiet_gc")
def test_counts_types_and_names_containers_by_owner(either) -> None:
    """Instances are exact; their lists, dicts and strings are found at them."""
    before = gc_otel.take_census(sample_every=1)
    sessions = [Session(number) for number in range(COUNT)]
    census = gc_otel.take_census(sample_every=1)
    found, earlier = rows(census), rows(before)
    name = named(Session)
    assert census.walker == either
    assert found[name].objects == COUNT
    assert not found[name].estimated
    assert found[name].size_bytes == sum(shallow_bytes(each) for each in sessions)
    assert found[f"list of {name}"].objects == 2 * COUNT
    dicts = COUNT + sum(gc.is_tracked(each.__dict__) for each in sessions) if sys.version_info < (3, 11) else COUNT
    assert found[f"dict of {name}"].objects == dicts
    assert found["bytes"].estimated
    assert found["bytes"].objects - earlier["bytes"].objects == pytest.approx(2 * COUNT, abs=COUNT / 10)
    assert name not in earlier


@pytest.mark.usefixtures("quiet_gc", "either")
def test_containers_with_a_name_are_called_by_it(shop) -> None:
    """A global of a module, and what is directly in it."""
    shop.PENDING = [{"number": number} for number in range(COUNT)]
    shop.Basket = types.new_class("Basket", exec_body=lambda space: space.update(__module__="shop", open={1, 2}))
    found = rows(gc_otel.take_census(sample_every=1))
    assert found["list in shop.PENDING"].objects == 1
    assert found["dict in shop.PENDING"].objects == COUNT
    assert found["set in shop.Basket.open"].objects == 1


@pytest.mark.usefixtures("quiet_gc", "either")
def test_runs_no_code_of_the_objects(traps) -> None:
    """Not of instances, not of classes, and nothing is collected."""
    name, objects = traps
    collections = [each["collections"] for each in gc.get_stats()]
    found = rows(gc_otel.take_census(sample_every=1))
    assert found[name].objects == len(objects)
    assert [each["collections"] for each in gc.get_stats()] == collections


@pytest.mark.usefixtures("quiet_gc", "either")
def test_shared_object_counts_once() -> None:
    """Held by many, one object is one object."""
    before = rows(gc_otel.take_census(sample_every=1))["bytes"]
    text = bytes(COUNT * 500)  # made at run time: a constant would be held by the code
    holders = [[text] for _ in range(COUNT)]
    after = rows(gc_otel.take_census(sample_every=1))["bytes"]
    assert len(holders) == COUNT
    assert after.objects - before.objects <= 5
    assert len(text) * 0.9 < after.size_bytes - before.size_bytes < len(text) * 1.1


@pytest.mark.usefixtures("quiet_gc")
def test_frozen_objects(request, either) -> None:
    """All of them, or none: docs/heap.md says who sees them."""
    frozen = [Session(number) for number in range(500)]
    gc.freeze()
    request.addfinalizer(gc.unfreeze)
    counted = rows(gc_otel.take_census()).get(named(Session))
    seen = 0 if counted is None else counted.objects
    own_walk = gc_mode() == "generational"
    assert seen in ({0} if either == "python" else {len(frozen)} if own_walk else {0, len(frozen)})


@pytest.mark.usefixtures("quiet_gc", "either")
def test_sample_estimates_the_same() -> None:
    """One holder in eight looked into: strings within a fifth, tracked objects still exact."""
    sessions = [Session(number) for number in range(4000)]
    exact, sample = (rows(gc_otel.take_census(sample_every=every)) for every in (1, 8))
    name = named(Session)
    assert sample[name].objects == exact[name].objects == len(sessions)
    assert sample["bytes"].objects == pytest.approx(exact["bytes"].objects, rel=0.2)
    assert sample[f"list of {name}"].objects == pytest.approx(exact[f"list of {name}"].objects, rel=0.2)


@pytest.mark.usefixtures("quiet_gc", "either")
def test_what_a_large_named_container_holds_in_containers(shop) -> None:
    """One item in many is looked at, and what is in it counts for all of them."""
    shop.ROWS = [{"items": [number]} for number in range(60_000)]
    counted = rows(gc_otel.take_census())
    for kind in ("dict", "list"):
        assert counted[f"{kind} in shop.ROWS"].objects == pytest.approx(60_000, rel=0.25)


@pytest.mark.usefixtures("quiet_gc")
def test_owners_add_up_to_the_containers(request, either) -> None:
    """What is charged to owners and what is left are all lists there are."""
    if either == "native":  # the twin does not see what is frozen, and gc.get_objects() neither
        gc.unfreeze()
        request.addfinalizer(gc.freeze)
    kept = [[number] for number in range(3000)]
    for every in (1, 16):
        census = gc_otel.take_census(sample_every=every)
        tracked = sum(type(each) is list for each in gc.get_objects())
        lists = sum(each.objects for each in census.types if each.name == "list" or each.name.startswith("list "))
        assert lists == pytest.approx(tracked, rel=0.1)
    del kept


@pytest.mark.parametrize(
    "value",
    [
        [1, 2, 3],
        list(range(100)),
        {"a": 1},
        dict.fromkeys(range(1000)),
        dict.fromkeys(map(str, range(1000))),
        {1},
        frozenset(range(100)),
        (1, 2),
        bytearray(100),
        b"bytes" * 9,
        "ascii",
        "\u00e9" * 30,
        "\u4e00" * 9,
        "\U0001f600",
        2**99,
        1.5,
        Session,
        pytest.param(deque([1]), id="deque"),
        (lambda: None),
        types.SimpleNamespace(a=1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_sizes_are_those_of_the_interpreter(value) -> None:
    """sys.getsizeof() says the same where it says only what the object itself has."""
    if type(value) in (type, deque):
        assert 0 < shallow_bytes(value) <= sys.getsizeof(value)
    else:
        assert shallow_bytes(value) == sys.getsizeof(value)


@pytest.mark.usefixtures("quiet_gc")
def test_twins_agree_on_sizes(extension) -> None:
    """The bytes of many layouts, one type each, counted by both."""
    contents = ([], [(1, 2)] * 3, [(number, number) for number in range(50)])
    keep = []
    for base in (list, dict, set, frozenset, tuple, OrderedDict):
        cls = types.new_class(f"Sub{base.__name__}", (base,))
        keep += [cls(content) for content in contents]
    for base in (bytearray, bytes):
        keep += [types.new_class(f"Sub{base.__name__}", (base,))(b"x" * 9)]
    wanted = {type(each) for each in keep}
    native, python = (
        {row[0]: row[1:3] for row in count([], 1)[0] if row[0] in wanted}
        for count in (extension.count_heap, count_heap)
    )
    assert native.keys() == wanted
    assert native == python


def test_difference_sorts_by_bytes_and_tells_the_rate() -> None:
    """An hour in seconds; new types are marked, unchanged ones left out."""
    earlier = Census(0, 0, 1, (TypeCount("old", 10, 1000), TypeCount("same", 1, 1)), 11, 5000, 1, "native")
    later = dataclasses.replace(
        earlier,
        monotonic_ns=1800 * 10**9,
        types=(TypeCount("new", 5, 300), TypeCount("same", 1, 1), TypeCount("old", 4, 400)),
    )
    difference = later.since(earlier)
    assert difference.seconds == 1800
    assert [each.name for each in difference.types] == ["new", "old"]
    new, old = difference.types
    assert (new.is_new, new.objects, new.size_bytes_per_hour) == (True, 5, 600)
    assert (old.is_new, old.objects, old.objects_per_hour) == (False, -6, -12)
    assert "new (new)" in str(difference)
    assert "old" not in str(difference)
    assert str(later.since(later)) == "nothing grew in 0.0 s"


def test_table_shows_what_types_do_not_explain() -> None:
    """The rest of resident memory has a row of its own, and estimates a mark."""
    census = Census(0, 0, 2_000_000, (TypeCount("a.B", 1234, 2048, estimated=True),), 9, 1024 * 1024, 16, "native")
    assert census.unattributed_bytes == 1024 * 1024 - 2048
    assert str(census).splitlines() == [
        "type                                objects       bytes",
        "a.B                                  ~1,234    ~2.0 KiB",
        "all types                             1,234     2.0 KiB",
        "unattributed (no type explains it)           1022.0 KiB",
        "2.0 ms, native walk, one holder in 16 looked into",
    ]
    assert dataclasses.replace(census, rss_bytes=None).unattributed_bytes is None


def test_refuses_nonsense() -> None:
    """A negative sampling is the caller's mistake."""
    with pytest.raises(ValueError, match="0 or more"):
        gc_otel.take_census(sample_every=-1)

"""Who holds an object is named by what code calls it, merged, and without a value."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import functools
import gc
import json
import sys
import threading
import types

import pytest

import gc_otel
from gc_otel.heap import roots
from gc_otel.heap.tracked import can_list

COUNT = 50


class Held:
    """What is looked for; a class of its own in each test would be found by its name only."""


class Holder:
    def __init__(self, held):
        self.held = held

    @property
    def trap(self):
        raise AssertionError("a property was asked")

    def __getattr__(self, name):
        raise AssertionError(f"__getattr__ was asked for {name}")


class Slotted:
    __slots__ = ("empty", "held")


VARIABLE = contextvars.ContextVar("request_scope")


def ways(holders: gc_otel.Holders) -> list[str]:
    """Every way as one line, without places in files."""
    found = []

    def walk(step, before):
        line = [*before, step.edge.partition(" /")[0], *([step.type.rpartition(".")[2]] if step.type else [])]
        if not step.children:
            found.append(" | ".join(line))
        for child in step.children:
            walk(child, line)

    for root in holders.roots:
        walk(root, [])
    return found


def test_merged_with_the_accumulation_point(shop) -> None:
    """Fifty in one dict are one way, and the dict is where they accumulate."""
    shop.PENDING = {f"secret {number}": Held() for number in range(COUNT)}
    holders = gc_otel.find_holders(Held)
    assert (holders.instances, holders.reached) == (COUNT, COUNT)
    assert ways(holders) == ["module shop | .PENDING | dict | [str key] | Held"]
    (pending,) = holders.roots[0].children
    assert (pending.objects, pending.length, pending.instances, pending.is_accumulation_point) == (
        1,
        COUNT,
        COUNT,
        True,
    )
    assert (pending.children[0].objects, pending.children[0].is_accumulation_point) == (COUNT, False)
    text = str(holders)
    assert f" module shop\n └ .PENDING  dict  len {COUNT}      ← accumulation point\n" in text
    assert f"    └ [str key]  {Held.__module__}.Held ×{COUNT}\n" in text
    assert "secret" not in text + json.dumps(dataclasses.asdict(holders))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(Held, ".it | Held", id="global"),
        pytest.param(lambda: [Held()], ".it | list | [item] | Held", id="list"),
        pytest.param(lambda: (1, {Held()}), ".it | tuple | [item] | set | [item] | Held", id="nested"),
        pytest.param(lambda: {Held(): 1}, ".it | dict | [as key] | Held", id="key"),
        pytest.param(lambda: Holder(Held()), ".it | Holder | .held | Held", id="attribute"),
        pytest.param(
            lambda: type("Store", (), {"shared": [Held()]}), ".it | type | .shared | list | [item] | Held", id="class"
        ),
        pytest.param(
            lambda: functools.partial(print, Held()), ".it | partial | .args | tuple | [item] | Held", id="partial"
        ),
        pytest.param(lambda: types.MethodType(print, Held()), ".it | method | .__self__ | Held", id="method"),
    ],
)
def test_edges(shop, make, expected) -> None:
    """Each kind of holder says how it holds; no property and no __getattr__ is asked."""
    shop.it = make()
    assert ways(gc_otel.find_holders("Held")) == [f"module shop | {expected}"]


def test_slots_and_closures(shop) -> None:
    """A slot by its name; a closure by its cell."""
    shop.it = Slotted()
    shop.it.held = Held()
    assert ways(gc_otel.find_holders(Held)) == ["module shop | .it | Slotted | .held | Held"]

    def enclose(held):
        return lambda: held

    shop.it = enclose(Held())
    (way,) = ways(gc_otel.find_holders(Held))
    assert way == "module shop | .it | function | .__closure__ | tuple | [item] | cell | .cell_contents | Held"


def test_attribute_that_the_class_does_not_mention(shop) -> None:
    """Set from outside, its name is nowhere in the class's code: it cannot be told from data, and is not shown."""
    shop.it = Holder(None)
    shop.it.__dict__["put_there"] = Held()
    (way,) = ways(gc_otel.find_holders(Held))
    assert way in ("module shop | .it | Holder | [attribute] | Held", "module shop | .it | Holder | [held] | Held")


def test_keys_of_a_dict_put_there_from_outside_are_no_names(shop) -> None:
    """It looks like the object's namespace, and what is in it is data."""
    shop.it = Holder(None)
    shop.it.put_there = {"a customer's name": Held()}
    (way,) = ways(gc_otel.find_holders(Held))
    assert "customer" not in way


def test_classes_that_compare_in_their_own_way(shop, odd) -> None:
    """Are told apart without asking them, as holders and as what is held."""
    shop.ODD = [odd(Held()) for _ in range(3)]
    shop.CLASS = odd
    (way,) = ways(gc_otel.find_holders(Held))
    assert way == "module shop | .ODD | list | [item] | Odd | .held | Held"
    (way,) = ways(gc_otel.find_holders(odd))
    assert way == "module shop | .ODD | list | [item] | Odd"


def test_variable_of_a_thread() -> None:
    """A running frame, with file and line."""
    ready, finish = threading.Event(), threading.Event()

    def work():
        mine = [Held()]
        ready.set()
        finish.wait(60)
        del mine

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    try:
        assert ready.wait(60)
        holders = gc_otel.find_holders(Held)
    finally:
        finish.set()
        thread.join(60)
    assert ways(holders) == ["thread worker, work() | local mine | list | [item] | Held"]
    assert f"{__file__}:" in holders.roots[0].edge


def test_own_locals_are_not_kept_alive() -> None:
    """Asking for a frame's variables makes a copy before 3.13, which would hold them: it is gone afterwards."""
    held = Held()
    gc_otel.find_holders(Held)
    before = gc_otel.refcount(held)
    gc_otel.find_holders(Held)
    assert gc_otel.refcount(held) == before == 1


@pytest.mark.skipif(not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="find_cycles() needs a GIL")
@pytest.mark.usefixtures("quiet_gc")
def test_leaves_no_garbage_behind() -> None:
    """Looking makes no cycles of its own."""
    gc_otel.find_holders(Held)
    gc_otel.show_refs([Held()])  # what is loaded at first use
    gc.collect()
    gc_otel.find_holders(Held)
    gc_otel.take_census()
    gc_otel.show_refs([Held()])
    found = gc_otel.find_cycles()
    assert found.cycles == 0, str(found)


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="locals() is a new dict each time from 3.13 on")
def test_locals_that_the_program_keeps_are_left() -> None:
    """The copy is emptied only when nobody else has it."""
    held = Held()
    mine = locals()
    gc_otel.find_holders(Held)
    assert mine["held"] is held


@pytest.mark.skipif(not can_list(), reason="no tasks and contexts without the extension before 3.14")
def test_asyncio_task_and_context_variable() -> None:
    """A task that waits, and a variable of a context."""

    async def serve(held):
        await asyncio.sleep(3600)
        del held

    async def main():
        task = asyncio.create_task(serve([Held()]))
        await asyncio.sleep(0)
        holders = gc_otel.find_holders(Held)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return holders

    (way,) = ways(asyncio.run(main()))
    assert way.startswith("asyncio task serve()")
    assert way.endswith("[variable] | list | [item] | Held")

    context = contextvars.Context()
    context.run(VARIABLE.set, (Held(),))
    holders = gc_otel.find_holders(Held)
    assert any("contextvar request_scope | tuple | [item] | Held" in way for way in ways(holders))


@pytest.mark.usefixtures("quiet_gc")
def test_garbage_is_told_apart() -> None:
    """Alive and reached by nothing with a name."""

    class Lost:
        """Of this test alone."""

    one = Lost()
    one.itself = one
    del one
    holders = gc_otel.find_holders(Lost)
    assert (holders.instances, holders.reached, holders.roots) == (1, 0, ())
    assert "1 of them held by nothing that has a name" in str(holders)
    gc.collect()


def test_untracked_types_and_limits(shop) -> None:
    """Types that the collector does not track are found too; what is not shown is counted."""
    shop.numbers = [complex(number, 1) for number in range(COUNT)]
    holders = gc_otel.find_holders("complex", most=1)
    assert holders.reached >= COUNT
    assert len(holders.roots) == 1
    if holders.roots_left_out:
        assert "more roots hold fewer" in str(holders)
    with pytest.raises(ValueError, match="1 or more"):
        gc_otel.find_holders(Held, most=0)
    assert gc_otel.find_holders("no.such.Type").instances == 0


def test_roots_leave_lazy_modules_alone(monkeypatch) -> None:
    """What only looks like a module is not asked for anything."""

    class Lazy:
        def __getattribute__(self, name):
            raise AssertionError(f"asked for {name}")

    monkeypatch.setitem(sys.modules, "lazy_stand_in", Lazy())
    assert "module lazy_stand_in" not in [root.name for root in roots.find_roots()]

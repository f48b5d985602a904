"""Types are found by their names, whoever made them."""

from __future__ import annotations

import gc
import os

import pytest

from gc_otel import _native
from gc_otel.errors import NotSupported
from gc_otel.heap import tracked
from gc_otel.heap.finding import NoSuchType, find_types


def make(module):
    return type("Basket", (), {"__module__": module})


def test_by_whole_name_and_by_its_end():
    """A class made twice has two types."""
    one, again = make("shop.cart"), make("shop.cart")
    name, types = find_types("shop.cart.Basket")
    assert (name, {*types}) == ("shop.cart.Basket", {one, again})
    assert find_types("Basket")[0] == "shop.cart.Basket"
    assert find_types("str") == ("str", [str])
    assert find_types("NoneType")[1] == [type(None)]


def test_several_of_that_name():
    """All are told."""
    kept = make("shop.cart"), make("stock.cart")
    with pytest.raises(NoSuchType, match="2 types are called Basket") as caught:
        find_types("Basket")
    assert caught.value.remedy == "Name one in full: shop.cart.Basket, stock.cart.Basket."
    assert len(kept) == 2


def test_those_that_are_near():
    """By what they hold of it, and by how alike they are."""
    kept = make("shop.cart")
    with pytest.raises(NoSuchType) as caught:
        find_types("basket")
    assert "shop.cart.Basket" in caught.value.remedy
    with pytest.raises(NoSuchType) as caught:
        find_types("Bsaket")
    assert "shop.cart.Basket" in caught.value.remedy
    with pytest.raises(NoSuchType) as caught:
        find_types("qqqqqqqqqqqqqq")
    assert "gc-otel census" in caught.value.remedy
    assert kept


def test_what_is_said_ends_it():
    """Whoever asked has gone."""

    def enough(*_):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        find_types("str", enough)


def test_beside_tuples_in_the_making(run_program):
    """Whoever holds one of these makes its maker fail; up to 3.13 a list of all objects would."""
    if not tracked.can_list():
        pytest.skip("refused without the extension before 3.14")
    told = run_program("holders_beside_tuples.py")
    assert told == {"errors": [], "found": 20}


@pytest.fixture(params=["native", "python"])
def either(request, monkeypatch):
    if request.param == "python":
        monkeypatch.setattr(_native, "load", lambda: (None, "the twin is under test"))
    elif _native.load()[0] is None:
        pytest.skip("no extension here")
    return request.param


class Meta(type):
    """Whose classes have a hash and an equality of their own, which are not to be asked."""

    def __hash__(cls):
        raise AssertionError("__hash__ was called")

    def __eq__(cls, other):
        raise AssertionError("__eq__ was called")


def test_types_are_counted(either):
    """Those with a metaclass that would run code too."""
    name = f"Counted{os.urandom(4).hex()}"  # a class of an earlier run of this test may not be collected yet
    kind = Meta(name, (), {})
    kept = [kind() for _ in range(31)]
    counted = {id(cls): count for cls, count in tracked.count_types()}
    assert counted[id(kind)] == len(kept)
    assert any(each is kind for each in find_types(name)[1])


def test_objects_are_selected(either, monkeypatch):
    """The last ones, and how many there are; not where that would harm others."""
    kind = type("Kind", (), {})
    kept = [kind() for _ in range(31)]
    if not tracked.can_list():
        with pytest.raises(NotSupported, match="cannot be listed"):
            tracked.select_objects([kind], 5)
        monkeypatch.setattr(tracked, "_LISTS_ARE_SAFE", True)
    found, count = tracked.select_objects([kind], 5)
    assert (len(found), count) == (5, 31)
    assert all(each in kept for each in found)


def test_referrers_are_found(either, monkeypatch):
    """Pairs of a holder and the place of what it holds; a tuple that somebody holds among them."""
    monkeypatch.setattr(tracked, "_LISTS_ARE_SAFE", True)
    target, other = [1], [2]
    holder = {"one": target, "held": (target, other)}
    gc.collect()
    pairs = tracked.find_referrers([target, other], 100)
    assert any(each is holder and place == 0 for each, place in pairs)
    assert {place for each, place in pairs if each is holder["held"]} == {0, 1}
    assert len(tracked.find_referrers([target, other], 1)) == 1


@pytest.mark.skipif(_native.load()[0] is None, reason="no extension here")
def test_a_tuple_in_the_making_is_not_told():
    """Here held until it is whole: its maker would fail up to 3.13."""
    target, pairs = [1], []

    def produce():
        yield target
        pairs.extend(tracked.find_referrers([target], 100))
        yield from range(50)

    made = tuple(produce())
    assert pairs
    assert not [each for each, _ in pairs if each is made or type(each) is tuple]

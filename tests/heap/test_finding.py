"""Types are found by their names, whoever made them."""

from __future__ import annotations

import pytest

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

"""Both implementations of each walk."""

from __future__ import annotations

import sys
import types

import pytest

from gc_otel import _native


class Picky(type):
    """A metaclass that nobody may ask whether two classes are the same."""

    def __eq__(cls, other):
        raise AssertionError("somebody compared the class")

    def __hash__(cls):
        raise AssertionError("somebody hashed the class")


class Hostile(Picky):
    """And whose classes may not be asked for anything else either."""

    def __getattribute__(cls, name):
        raise AssertionError(f"somebody asked the class for {name}")

    def __instancecheck__(cls, value):
        raise AssertionError("somebody asked whether it is an instance")


class Trap(metaclass=Hostile):
    """Every way in which reading an object could run code of its class, and a container of its own."""

    def __init__(self):
        self.items = [None]

    def __sizeof__(self):
        raise AssertionError("__sizeof__ was called")

    def __getattribute__(self, name):
        raise AssertionError(f"somebody asked the object for {name}")

    def __len__(self):
        raise AssertionError("__len__ was called")

    def __hash__(self):
        raise AssertionError("__hash__ was called")

    def __eq__(self, other):
        raise AssertionError("__eq__ was called")

    def __repr__(self):
        raise AssertionError("__repr__ was called")


@pytest.fixture
def traps():
    """The name of a class that nothing may be asked of, and three objects of it."""
    return f"{__name__}.Trap", [Trap() for _ in range(3)]


@pytest.fixture
def odd():
    """A class that may not be compared; its objects hold what they are given."""

    class Odd(metaclass=Picky):
        def __init__(self, held):
            self.held = held

    return Odd


@pytest.fixture
def either(kind, monkeypatch):
    """``native`` or ``python``: what take_census() and find_cycles() use in this test."""
    if kind == "python":
        monkeypatch.setattr(_native, "load", lambda: (None, "the twin is under test"))
    return kind


@pytest.fixture
def shop(monkeypatch):
    """An empty module of that name."""
    module = types.ModuleType("shop")
    monkeypatch.setitem(sys.modules, "shop", module)
    yield module
    # Without a GIL only a collection frees a module: what it holds would be there in the next test.
    vars(module).clear()


@pytest.fixture
def extension():
    """The C extension, or a skip."""
    found, why_not = _native.load()
    if found is None:
        pytest.skip(f"no extension here: {why_not}")
    return found

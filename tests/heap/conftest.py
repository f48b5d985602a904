"""Both implementations of each walk."""

from __future__ import annotations

import sys
import types

import pytest

from gc_otel import _native


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
    vars(
        module
    ).clear()  # without a GIL only a collection frees a module: what it holds would be there in the next test


@pytest.fixture
def extension():
    """The C extension, or a skip."""
    found, why_not = _native.load()
    if found is None:
        pytest.skip(f"no extension here: {why_not}")
    return found

"""First in gc.callbacks a recorder takes CPython's dict as it comes; behind a neighbour, or called by anybody else, it reads names."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gc_otel.flight.recorder import gc_mode

pytestmark = [
    pytest.mark.usefixtures("restored_gc"),
    pytest.mark.skipif(gc_mode() != "generational", reason="this collector has other rules"),
]


class Node:
    """One object of a cycle."""

    def __init__(self) -> None:
        self.me = self


def collect(times: int) -> None:
    for _ in range(times):
        Node()
        gc.collect(0)


def collected() -> list[int]:
    return [each["collected"] for each in gc.get_stats()]


def reorder(_phase: str, info: dict[str, Any]) -> None:
    """What CPython put first comes last, and something else between."""
    generation = info.pop("generation")
    info["elsewhere"] = 12345
    info["generation"] = generation


def replace(_phase: str, info: dict[str, Any]) -> None:
    """As many entries as before, in another order."""
    entries = list(info.items())
    info.clear()
    info.update(reversed(entries))


@pytest.mark.parametrize("neighbour", [reorder, replace])
def test_a_neighbour_in_front_changes_the_dict(rig, quiet_gc, install, neighbour) -> None:
    """Before, while and after it stands there, every number is CPython's."""
    before = collected()
    with install(rig.recorder):
        collect(5)
        gc.callbacks.insert(0, neighbour)
        collect(5)
        gc.callbacks.remove(neighbour)
        collect(5)
        after = collected()
    recorded = rig.read().generations
    assert [each.collected for each in recorded] == [late - early for early, late in zip(before, after, strict=True)]
    assert recorded[0].collections == 15
    assert recorded[0].collected >= 15


@pytest.mark.parametrize("neighbour", [reorder, replace])
def test_a_neighbour_behind_changes_the_dict(rig, quiet_gc, install, neighbour) -> None:
    """CPython makes a new one for each phase."""
    with install(rig.recorder):
        gc.callbacks.append(neighbour)
        collect(10)
        gc.callbacks.remove(neighbour)
    generation = rig.read().generations[0]
    assert (generation.collections, generation.collected >= 10) == (10, True)


class Split:
    """Its instances share the keys of their dicts, whose values are elsewhere."""

    def __init__(self) -> None:
        self.generation, self.collected, self.uncollectable = 0, 1, 0


ENTRIES = st.dictionaries(
    st.one_of(st.sampled_from(["generation", "collected", "uncollectable", "candidates", "duration"]), st.integers()),
    st.one_of(st.integers(), st.none(), st.text(max_size=2)),
    max_size=40,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(infos=st.lists(st.one_of(ENTRIES, st.builds(lambda: vars(Split()))), max_size=8))
def test_anybody_else_calls_what_stands_in_gc_callbacks(make_mapping, make_recorder, rig_of, quiet_gc, infos) -> None:
    """Any dict, once CPython's were seen: nothing breaks, and the next collection is recorded as it was."""
    mapping = make_mapping(-1)
    rig = rig_of(mapping, make_recorder(mapping))
    rig.recorder.install()
    try:
        callback = gc.callbacks.pop()
        gc.callbacks.insert(0, callback)  # hypothesis has one of its own
        collect(2)  # CPython's dicts are known from here on
        for info in infos:
            for phase in ("start", "stop"):
                callback(phase, info)
        before = rig.read()
        collect(1)
        after = rig.read()
    finally:
        assert rig.recorder.uninstall()
    assert after.generations[0].collections == before.generations[0].collections + 1
    assert after.generations[0].collected >= before.generations[0].collected + 1

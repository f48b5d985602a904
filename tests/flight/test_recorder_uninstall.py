"""A recorder leaves gc.callbacks without a trace, and at any moment without skipping a neighbour."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("restored_gc", "quiet_gc")

PHASES = ["start", "stop"]


class Neighbour:
    """A callback that notes each of its calls, and does something in one of them."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.to_do: tuple[str, Any] | None = None
        self.answers: list[Any] = []

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        self.phases.append(phase)
        if self.to_do is not None and phase == self.to_do[0]:
            (_, act), self.to_do = self.to_do, None
            self.answers.append(act())


@pytest.fixture
def row(rig) -> list[Neighbour]:
    """Three neighbours: one before the recorder, two behind it."""
    neighbours = [Neighbour() for _ in range(3)]
    gc.callbacks.append(neighbours[0])
    rig.recorder.install()
    gc.callbacks.extend(neighbours[1:])
    return neighbours


def test_install_appends_one_callback(rig) -> None:
    """Installed twice it stands there once, last."""
    before = list(gc.callbacks)
    rig.recorder.install()
    rig.recorder.install()
    assert gc.callbacks[: len(before)] == before
    assert len(gc.callbacks) == len(before) + 1
    assert rig.recorder.uninstall()


def test_uninstall_twice(rig) -> None:
    """The second time there is nothing to do, and that is no failure."""
    before = list(gc.callbacks)
    rig.recorder.install()
    assert rig.recorder.uninstall() is True
    assert gc.callbacks == before
    assert rig.recorder.uninstall() is True
    assert gc.callbacks == before


def test_uninstall_without_install(rig) -> None:
    """A recorder that was never installed touches nobody's callback."""
    gc.callbacks.append(neighbour := Neighbour())
    assert rig.recorder.uninstall() is True
    assert gc.callbacks[-1] is neighbour


def test_somebody_else_took_our_callback_out(rig, row) -> None:
    """Where a program has cleared gc.callbacks, uninstalling is still no failure."""
    gc.callbacks[:] = [each for each in gc.callbacks if each in row]
    left = list(gc.callbacks)
    assert rig.recorder.uninstall() is True
    assert gc.callbacks == left


def test_nothing_is_written_after_uninstall(rig) -> None:
    """Neither a collection nor a call by hand reaches the file any more."""
    rig.recorder.install()
    gc.collect()
    rig.recorder.uninstall()
    before = bytes(rig.mapping.view())
    gc.collect()
    rig.collect(1)
    assert bytes(rig.mapping.view()) == before
    assert rig.read().events == 1


def test_two_recorders_do_not_take_each_other_out(rig, make_mapping, make_recorder) -> None:
    """Each removes its own callback only."""
    other = make_recorder(make_mapping(-1))
    rig.recorder.install()
    other.install()
    assert rig.recorder.uninstall()
    gc.collect()
    assert rig.read().events == 0
    assert other.uninstall()


def test_uninstall_skips_nobody_outside_of_collections(rig, row) -> None:
    """Taken out between two collections, all neighbours go on."""
    assert rig.recorder.uninstall() is True
    for each in row:
        each.phases.clear()
    gc.collect(1)
    assert [each.phases for each in row] == [PHASES] * 3


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("position", [0, 1, 2])
def test_uninstall_from_a_neighbour(rig, row, position, phase) -> None:
    """Called from inside a callback, no neighbour misses a phase, and only a later call removes it."""
    row[position].to_do = (phase, rig.recorder.uninstall)
    before = list(gc.callbacks)
    gc.collect(1)
    assert row[position].answers == [False]
    assert [each.phases for each in row] == [PHASES] * 3
    assert gc.callbacks == before
    events = rig.read().events
    assert rig.recorder.uninstall() is True
    assert len(gc.callbacks) == len(before) - 1
    assert [each for each in before if each not in gc.callbacks] == [before[-3]]
    for each in row:
        each.phases.clear()
    gc.collect(1)
    assert [each.phases for each in row] == [PHASES] * 3
    assert rig.read().events == events


def test_uninstall_from_a_finalizer(rig, row) -> None:
    """Called by an object that the collector finalizes: not now, and nothing is written from there on."""
    answers = []

    class Leaving:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            answers.append(rig.recorder.uninstall())

    Leaving()
    length = len(gc.callbacks)
    gc.collect(1)
    assert answers == [False]
    assert len(gc.callbacks) == length
    assert [each.phases for each in row] == [PHASES] * 3
    assert rig.read().events == 0
    assert rig.recorder.uninstall() is True
    assert len(gc.callbacks) == length - 1
    assert rig.read().events == 0


def test_uninstall_while_another_thread_collects(rig, row) -> None:
    """From a thread that does not collect itself: refused while the other is inside, granted afterwards."""
    inside, go_on = threading.Event(), threading.Event()

    class Slow:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            inside.set()
            go_on.wait(20)

    def work() -> None:
        Slow()
        gc.collect(1)

    collector = threading.Thread(target=work)
    collector.start()
    assert inside.wait(20)
    assert rig.recorder.uninstall() is False
    go_on.set()
    collector.join()
    assert [each.phases for each in row] == [PHASES] * 3
    assert rig.recorder.uninstall() is True

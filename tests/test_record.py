"""The light stand-in for frozen dataclasses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import gc_otel
from gc_otel.record import Record, replace

_IMPORTABLE = str(Path(gc_otel.__file__).parents[1])


class Point(Record):
    """Two fields, one with a default."""

    x: int
    y: int = 2


def test_made_by_position_and_by_name() -> None:
    """Defaults fill what is not given."""
    assert (Point(1).x, Point(1).y) == (1, 2)
    assert Point(1, 2) == Point(y=2, x=1) == Point(1)
    assert repr(Point(1)) == "Point(x=1, y=2)"


@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1, 2, 3), {}), ((1,), {"z": 1})])
def test_wrong_fields_are_refused(args, kwargs) -> None:
    """Missing, superfluous and unknown ones, with the names that there are."""
    with pytest.raises(TypeError, match="takes x, y"):
        Point(*args, **kwargs)


def test_frozen_and_hashable() -> None:
    """A field cannot be set; equal records have equal hashes, and others are no records of that kind."""
    with pytest.raises(AttributeError, match="frozen"):
        Point(1).x = 5
    assert len({Point(1), Point(1, 2), Point(3)}) == 2
    assert Point(1) != (1, 2)


def test_replace() -> None:
    """The rest stays."""
    assert replace(Point(1, 7), x=5) == Point(5, 7)


DEAR = {"dataclasses", "inspect", "pathlib", "psutil", "re", "threading", "typing", "urllib.parse", "uuid"}


def test_recording_imports_nothing_dear(flight_dir, kind) -> None:
    """A process that is recorded and sampled from outside pays for none of these."""
    code = f"""
import sys
before = set(sys.modules)
from gc_otel.config import Config
from gc_otel.probe import probe
stop = probe.start(Config.from_env(recorder={kind!r}), run_mode=True)
print(*set(sys.modules) - before)
stop()
"""
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {[_IMPORTABLE, *sys.path]!r}\n{code}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    brought = set(done.stdout.split())
    assert "gc_otel.probe.monitor" in brought
    if kind == "native":
        assert brought.isdisjoint(DEAR)
    assert brought.isdisjoint({"psutil", "opentelemetry", "dataclasses", "pathlib", "uuid"})

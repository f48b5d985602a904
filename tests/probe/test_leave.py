"""What a recorded program leaves when it ends, and that its descriptors are its own."""

from __future__ import annotations

import os
import signal

import pytest

from gc_otel.flight import reader
from gc_otel.flight.file import FlightFile

KEPT = {"SIGKILL": -signal.SIGKILL, "SIGTERM": -signal.SIGTERM, "os._exit": 3}
REMOVED = {"end": 0, "sys.exit": 3, "daemon thread": 0, "garbage": 0}


@pytest.mark.parametrize("way", REMOVED)
def test_a_clean_exit_removes_the_file(run_silent, kind, flight_dir, way):
    """Whatever the exit code, and with finalizers that collect at the very end."""
    told = run_silent("leave.py", kind, way, expect=REMOVED[way])
    assert len(told["files"]) == 1
    assert os.listdir(flight_dir) == []


@pytest.mark.parametrize("way", KEPT)
def test_a_sudden_end_leaves_the_file_dead(run_silent, kind, flight_dir, way):
    """The exit status is what it would be without us; the file tells what was recorded."""
    told = run_silent("leave.py", kind, way, expect=KEPT[way])
    assert os.listdir(flight_dir) == told["files"]
    with FlightFile(flight_dir / told["files"][0]) as file:
        assert not file.is_alive()
        read = reader.read(file)
    assert (read.identity.pid, read.identity.state, read.identity.recorder) == (told["pid"], "running", kind)
    assert read.identity.program == "leave.py"
    assert read.collector.collections >= 1
    assert (read.collector.torn, read.collector.in_progress) == (False, None)
    assert read.memory.rss_bytes > 1_000_000
    assert read.identity.exited_unix_ns is None


def test_a_program_may_close_every_descriptor(run_silent, kind):
    """Recording goes on, the file stays locked, and stop() closes none of those that took the numbers."""
    told = run_silent("closerange.py", kind)
    assert told["numbers"] == list(range(3, 23))
    assert told["recorded_since"] == 1
    assert told["alive"] is True
    assert told["same_files"] is True
    assert (told["written"], told["contents"]) == ([4], ["mine"])
    assert (told["mappings"], told["files"]) == (0, [])

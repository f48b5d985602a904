"""Everything at once.  GCOTEL_TORTURE_SECONDS makes it longer."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("opentelemetry.sdk.metrics")

SECONDS = float(os.environ.get("GCOTEL_TORTURE_SECONDS", "3"))
FREE_THREADED = not getattr(sys, "_is_gil_enabled", lambda: True)()
TORTURE = Path(__file__).parents[1] / "programs" / "torture.py"


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 60)
def test_the_program_survives_the_torture(run_silent, kind):
    """No hang, no error, every interrupt accounted for, every collection recorded or told as missed."""
    seed = random.randrange(10**6)
    told = run_silent("torture.py", str(SECONDS), kind, str(seed), timeout_s=SECONDS + 50)
    tally = Counter(told["tally"])
    assert told["unexpected"] == []
    assert (told["recorder"], told["torn"], told["faults"]) == (kind, False, [])
    for signal_name in ("Interrupt", "Alarm"):
        places = ("caught", "let pass", "lost in a finalizer", "lost in us")
        found = sum(tally[f"{place}: {signal_name}"] for place in places)
        assert found == tally[f"handled: {signal_name}"] > 0, told
    children = set() if FREE_THREADED else {"child exit 10"}
    assert {key for key in tally if key.startswith("child exit")} == children, told
    assert told["recorded"] + told["no_start"] + told["unseen"] == told["counted"], told
    if kind == "native":
        assert (told["no_start"], told["unseen"]) == (0, 0)
        assert (told["censuses"] > 0, told["samples"] > 0) == (not FREE_THREADED,) * 2
        assert FREE_THREADED or any("__main__.Noisy" in name for name in told["cycles"])
        assert tally["lost in us: Interrupt"] + tally["lost in us: Alarm"] == 0


@pytest.mark.slow
@pytest.mark.skipif(
    FREE_THREADED, reason="without a GIL a collection waits for a larger heap, and seldom meets the lock"
)
def test_the_torture_can_fail(program_env):
    """A callback that records into OpenTelemetry hangs this program, and the program says so by its exit."""
    command = [sys.executable, str(TORTURE), "1", "naive"]
    done = subprocess.run(command, env=program_env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stdout
    assert "Timeout" in done.stderr
    assert "it did not hang" not in done.stdout

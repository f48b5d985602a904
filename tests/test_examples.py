"""The examples run, and show what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"

pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the examples stand in the checkout, not in a wheel")

HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()


def run(name: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def unique_mib(text: str) -> list[float]:
    return [float(each.replace(",", "")) for each in re.findall(r"([\d,.]+) MiB unique", text)]


def test_ten_million_integers() -> None:
    """With half a million: about 36 bytes each, and back."""
    text = run("ten_million_integers.py", "500000")
    before, within, after = unique_mib(text)
    assert within - before > 15
    assert after - before < (within - before) / 2
    (counted,) = re.findall(r"int ~([\d,]+)", text)
    assert 400_000 < int(counted.replace(",", "")) < 600_000


@pytest.mark.skipif(not HAS_GIL, reason="find_cycles() needs a GIL")
def test_two_lists() -> None:
    """The memory stays until the collection, and the cycle has its name."""
    text = run("two_lists.py", "20000000")
    _, before, forgotten, after = unique_mib(text)
    assert forgotten - before > 35
    assert after - before < 10
    assert "arrows between them: 2" in text
    assert re.search(r"list -> list +1 +2 ", text)
    assert "no garbage cycles" in text


def test_reference_counts() -> None:
    """As many as the text says; the call's own depends on the version."""
    counts = [line.split()[-1] for line in run("reference_counts.py").splitlines()]
    during = "6" if sys.version_info < (3, 11) else "5" if sys.version_info < (3, 14) else "4"
    immortal = sys.version_info >= (3, 12)
    assert counts[:7] == ["1", "2", "4", during, "4", "1", "0"]
    assert (counts[7] == "None") == immortal


@pytest.mark.skipif(not HAS_GIL, reason="find_cycles() needs a GIL")
def test_who_holds() -> None:
    """The global dict, as the accumulation point of every session."""
    text = run("who_holds.py", "3000")
    assert re.search(r"__main__\.Session +\+2,999", text)
    assert " module __main__\n └ .PENDING  dict  len 3,000      ← accumulation point\n" in text
    assert "    └ [str key]  __main__.Session ×3,000" in text
    assert "garbage cycles: 0" in text


def test_freeze() -> None:
    """What was put aside is no longer walked, and lives on."""
    text = run("freeze.py")
    before, after = (float(each) for each in re.findall(r"full ([\d.]+) ms", text))
    assert after < before / 5
    (aside,) = re.findall(r"([\d,]+) objects put aside", text)
    assert int(aside.replace(",", "")) > 300_000
    assert "100,000 routes as alive as before" in text

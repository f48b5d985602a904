"""A Flask service under gunicorn, driven by wrk, with library mode and on the same SDK without: see :mod:`benchmarks.blocks`."""

from __future__ import annotations

from itertools import chain
from typing import Final

from benchmarks import blocks
from benchmarks.gunicorn import CASES, missing
from benchmarks.result import Result, skipped

NAME: Final = "service"
TITLE: Final = "A Flask service under gunicorn: with library mode, over the same SDK without"


def run(*, quick: bool, full: bool = False) -> Result:
    """Both kinds of worker, both handlers."""
    return compared(NAME, TITLE, run_mode=False, quick=quick, full=full)


def compared(name: str, title: str, *, run_mode: bool, quick: bool, full: bool) -> Result:
    """Every case; ``full`` takes up to thirty-two times as many requests."""
    if lacking := missing():
        return skipped(name, title, f"needs {', '.join(lacking)}")
    cases = CASES[:2] if quick else CASES
    longer = [case.in_full() for case in cases] if full else cases
    rows = chain.from_iterable(blocks.measure(case, run_mode=run_mode, quick=quick) for case in longer)
    return Result(name, title, tuple(rows), spread="90 % interval of the ratio")

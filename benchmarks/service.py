"""A Flask service under gunicorn with library mode, and the same on the same SDK without.

Judged by turns of ten requests (:mod:`benchmarks.blocks`); wrk's rounds of a second, with the whole of
library mode on and off, stand beside it for the absolute figures and are not judged.
"""

from __future__ import annotations

from itertools import chain
from typing import Final

from benchmarks import blocks, wrk
from benchmarks.gunicorn import CASES, missing
from benchmarks.result import Result, skipped

NAME: Final = "service"
TITLE: Final = "A Flask service under gunicorn: with library mode, over the same SDK without"
_APP: Final = "service_app"


def run(*, quick: bool, full: bool = False) -> Result:
    """Both kinds of worker, both handlers."""
    return compared(NAME, TITLE, _APP, run_mode=False, quick=quick, full=full)


def compared(name: str, title: str, app: str, *, run_mode: bool, quick: bool, full: bool) -> Result:
    """Every case by blocks and by wrk; ``full`` takes up to sixteen times as many requests."""
    if lacking := missing():
        return skipped(name, title, f"needs {', '.join(lacking)}")
    cases = CASES[:2] if quick else CASES
    longer = [case.in_full() for case in cases] if full else cases
    judged = [blocks.measure(case, app, run_mode=run_mode, quick=quick) for case in longer]
    beside = [wrk.measure(case, app, run_mode=run_mode, quick=quick) for case in cases]
    return Result(name, title, tuple(chain(*judged, *beside)), spread="90 % interval of the ratio")

"""A Flask service under gunicorn, recorded by ``gc-otel run``, and not recorded: as :mod:`benchmarks.service`."""

from __future__ import annotations

from typing import Final

from benchmarks.result import Result
from benchmarks.service import compared

NAME: Final = "run-service"
TITLE: Final = "A Flask service under gunicorn: recorded by gc-otel run, over the same not recorded"


def run(*, quick: bool, full: bool = False) -> Result:
    """Both kinds of worker, both handlers."""
    return compared(NAME, TITLE, run_mode=True, quick=quick, full=full)

"""What a benchmark hands back, and how it is judged.

Noise is met in three ways: what is compared runs interleaved in one process or at
least within the same second, differences and ratios are taken per round before any
median, and the spread stands beside every figure.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from statistics import median, quantiles
from typing import Final

_RESAMPLES: Final = 2000

NO_VERDICT: Final = ""
MET: Final = "met"
MISSED: Final = "missed"
UNDECIDED: Final = "undecided"


@dataclass(frozen=True)
class Row:
    """One line of the table: ``value`` with the ``low`` and ``high`` end of its spread, all in ``unit``.

    ``value`` is None where there is nothing to measure, and ``note`` says why.
    """

    label: str
    value: float | None
    unit: str
    low: float | None = None
    high: float | None = None
    ratio: float | None = None
    target: str = ""
    verdict: str = NO_VERDICT
    note: str = ""


@dataclass(frozen=True)
class Result:
    """One benchmark's rows; ``spread`` says what ``low`` and ``high`` are."""

    name: str
    title: str
    rows: tuple[Row, ...]
    spread: str = "quartiles"


def row_of(label: str, samples: Sequence[float], unit: str, **more: object) -> Row:
    """A row with the median of the samples and their quartiles."""
    low, high = quartiles(samples)
    return Row(label, median(samples), unit, low, high, **more)  # type: ignore[arg-type]


def quartiles(samples: Sequence[float]) -> tuple[float, float]:
    """The first and third quartile; of a single sample, itself."""
    if len(samples) < 2:
        return samples[0], samples[0]
    first, _, third = quantiles(samples, n=4, method="inclusive")
    return first, third


def interval_of_median(samples: Sequence[float], *, confidence: float = 0.9) -> tuple[float, float]:
    """A bootstrap interval for the median; the same for the same samples."""
    rng = random.Random(1)
    medians = sorted(median(rng.choices(samples, k=len(samples))) for _ in range(_RESAMPLES))
    tail = round(_RESAMPLES * (1 - confidence) / 2)
    return medians[tail], medians[-1 - tail]


def verdict(*, met: bool) -> str:
    """The word for a target."""
    return MET if met else MISSED


def verdict_of_interval(low: float, high: float, *, least: float = -inf, most: float = inf) -> str:
    """Met or missed only where the whole interval says so: a noisy run decides nothing."""
    if least <= low and high <= most:
        return MET
    return MISSED if high < least or low > most else UNDECIDED


def skipped(name: str, title: str, reason: str) -> Result:
    """A benchmark that cannot run here, and why."""
    return Result(name, title, (Row("skipped", None, "", note=reason),))

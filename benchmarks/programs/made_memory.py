"""Memory of processes that never were, healthy and leaking, by shape and seed: what alerts on growth are judged by.

Levels, noise, limits and lengths are drawn alike for both kinds, so that nothing but the course of memory tells them apart.  Not
the shapes of grafana/shapes.py, which the alerts were tuned on: these vary with the seed, and overlap.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

MIB = 1 << 20
STEP_S = 300
HOURS = 36

#: Bytes above the level by the hour.
Course = Callable[[float], float]


@dataclass(frozen=True)
class Made:
    """One process: ``rss_bytes`` and ``blocks`` a step apart, its age at the first one, and what is true of it."""

    name: str
    shape: str
    leaks: bool
    native: bool
    onset_h: float
    age_h: float
    limit_bytes: int | None
    rss_bytes: list[float]
    blocks: list[float]
    ages_h: list[float]


@dataclass(frozen=True)
class _Size:
    """What is drawn for one process, in bytes and hours."""

    size: float
    rate: float
    hours: float
    onset: float
    phase: float
    wander: list[float]


def _draw(chance: random.Random, level: float) -> _Size:
    wander = [0.0]
    for _ in range(HOURS):
        wander.append(0.85 * wander[-1] + chance.gauss(0, level * 0.03))
    rate = level * 10 ** chance.uniform(-2.3, -1.1)  # a half to eight percent of the level an hour
    hours, onset = chance.choice((1.5, 3, 6, 10)), chance.uniform(0, 12)
    return _Size(level * chance.uniform(0.15, 0.9), rate, hours, onset, chance.uniform(0, 24), wander)


def _healthy(shape: str, of: _Size) -> Course:
    """What a process does that keeps nothing for good."""
    if "cache filled by traffic" in shape:
        return lambda h: of.size * (1 - math.exp(-(h + 0.6 * math.sin(h / 4)) / of.hours))
    if "cache" in shape:
        return lambda h: of.size * (1 - math.exp(-h / of.hours))
    if "traffic of the day" in shape:
        return lambda h: of.size * 0.4 * (1 + math.sin(2 * math.pi * (h + of.phase) / 24))
    if "steps" in shape:
        return lambda h: of.size * 0.3 * sum(h > of.phase + each * of.hours for each in range(3))
    if "sawtooth" in shape:
        return lambda h: of.size * ((h + of.phase) % of.hours) / of.hours
    if "jobs" in shape:
        return lambda h: of.size if (h + of.phase) % of.hours < of.hours / 5 else 0.0
    if "recycled" in shape:
        return lambda h: of.size * 0.4 * (1 - math.exp(-(h % 9) / 0.7))
    if "wander" in shape:
        return lambda h: _between(of.wander, h)
    return lambda _: 0.0


def _leak(shape: str, of: _Size) -> Course:
    """What it keeps for good."""
    if "leak" not in shape:
        return lambda _: 0.0
    if "by traffic" not in shape:
        return lambda h: of.rate * max(0.0, h - of.onset)

    def by_day(h: float) -> float:
        """With the requests: fast by day, slow at night."""
        at = max(0.0, h - of.onset)
        return of.rate * (
            at + 3 * (math.cos((of.onset + of.phase) / 3.82) - math.cos((of.onset + at + of.phase) / 3.82))
        )

    return by_day


def _between(steps: list[float], hour: float) -> float:
    low = min(int(hour), len(steps) - 2)
    return steps[low] + (steps[low + 1] - steps[low]) * (hour - low)


HEALTHY = (
    "flat",
    "traffic of the day",
    "cache that fills",
    "cache filled by traffic",
    "steps",
    "sawtooth",
    "jobs",
    "recycled",
    "slow wander",
)
LEAKING = (
    "leak",
    "leak by traffic",
    "leak under a sawtooth",
    "leak under jobs",
    "leak after a cache",
    "native leak",
    "native leak by traffic",
)


def make(shape: str, seed: int) -> Made:
    """The process of that shape and seed: the same each time.

    The limit is one that the process would not meet without its leak: whoever meets it is not healthy.
    """
    chance = random.Random(f"{shape}/{seed}")
    level = MIB * 2 ** chance.uniform(6, 9.5)
    noise, per_block = 10 ** chance.uniform(-3.3, -1.8), chance.uniform(90, 190)
    of = _draw(chance, level)
    healthy, leak = _healthy(shape, of), _leak(shape, of)
    age_h = 0.0 if "cache" in shape else chance.choice((0.0, chance.uniform(0, 60)))
    most = max(level + healthy(hour / 4) for hour in range(4 * HOURS))
    limit = None if chance.random() < 0.25 else int(most * chance.uniform(1.15, 5))
    native = "native" in shape
    rss, blocks, ages = [], [], []
    for step in range(HOURS * 3600 // STEP_S + 1):
        hour = step * STEP_S / 3600
        kept = leak(hour)
        python = level * (1 - 0.5 * math.exp(-(hour + age_h) / 0.5)) + healthy(hour) + (0.0 if native else kept)
        bytes_now = (python + (kept if native else 0.0)) * (1 + chance.gauss(0, noise))
        if limit is not None and bytes_now > limit:
            break  # the kernel
        rss.append(bytes_now)
        blocks.append(0.7 * python * (1 + chance.gauss(0, noise / 2)) / per_block)
        ages.append(hour % 9 if shape == "recycled" else hour + age_h)
    onset_h = of.onset if shape in LEAKING else math.inf
    return Made(f"{shape}/{seed}", shape, shape in LEAKING, native, onset_h, age_h, limit, rss, blocks, ages)

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

#: Bytes above the level by the hour; (of objects, of native memory).
Course = Callable[[float], tuple[float, float]]


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


def _course(shape: str, chance: random.Random, level: float) -> tuple[Course, float]:
    """The course, and from when on it leaks."""
    size, phase = level * chance.uniform(0.15, 0.9), chance.uniform(0, 24)
    rate = level * 10 ** chance.uniform(-2.3, -1.1)  # a half to eight percent of the level an hour
    hours, onset = chance.choice((1.5, 3, 6, 10)), chance.uniform(0, 12)
    grown = {
        "flat": lambda h: 0.0,
        "traffic of the day": lambda h: size * 0.4 * (1 + math.sin(2 * math.pi * (h + phase) / 24)),
        "cache that fills": lambda h: size * (1 - math.exp(-h / hours)),
        "cache filled by traffic": lambda h: size * (1 - math.exp(-(h + 0.6 * math.sin(h / 4)) / hours)),
        "steps": lambda h: size * 0.3 * sum(h > phase + each * hours for each in range(3)),
        "sawtooth": lambda h: size * ((h + phase) % hours) / hours,
        "jobs": lambda h: size if (h + phase) % hours < hours / 5 else 0.0,
        "recycled": lambda h: size * 0.4 * (1 - math.exp(-(h % 9) / 0.7)),
    }
    if shape == "slow wander":
        steps = [0.0]
        for _ in range(HOURS):
            steps.append(0.85 * steps[-1] + chance.gauss(0, level * 0.03))
        return (lambda h: (_between(steps, h), 0.0)), math.inf
    if shape in grown:
        return (lambda h, of=grown[shape]: (of(h), 0.0)), math.inf

    def since(h: float) -> float:
        return rate * max(0.0, h - onset)

    def by_day(h: float) -> float:
        """Grows with the requests: fast by day, slow at night."""
        at = max(0.0, h - onset)
        return rate * (at + 3 * (math.cos((onset + phase) / 3.82) - math.cos((onset + at + phase) / 3.82)))

    leaks = {
        "leak": lambda h: (since(h), 0.0),
        "leak by traffic": lambda h: (by_day(h), 0.0),
        "leak under a sawtooth": lambda h: (since(h) + size * 0.3 * (h % hours) / hours, 0.0),
        "leak under jobs": lambda h: (since(h) + grown["jobs"](h), 0.0),
        "leak after a cache": lambda h: (since(h) + grown["cache that fills"](h), 0.0),
        "native leak": lambda h: (0.0, since(h)),
        "native leak by traffic": lambda h: (0.0, by_day(h)),
    }
    return leaks[shape], onset


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
    """The process of that shape and seed: the same each time."""
    chance = random.Random(f"{shape}/{seed}")
    level = MIB * 2 ** chance.uniform(6, 9.5)
    noise, per_block = 10 ** chance.uniform(-3.3, -1.8), chance.uniform(90, 190)
    course, onset_h = _course(shape, chance, level)
    age_h = 0.0 if "cache" in shape else chance.choice((0.0, chance.uniform(0, 60)))
    limit = None if chance.random() < 0.25 else int(level * chance.uniform(1.4, 6))
    rss, blocks, ages = [], [], []
    for step in range(HOURS * 3600 // STEP_S + 1):
        hour = step * STEP_S / 3600
        start = level * 0.5 * math.exp(-(hour + age_h) / 0.5)
        objects, native = course(hour)
        python = level - start + objects
        bytes_now = (python + native) * (1 + chance.gauss(0, noise))
        if limit is not None and bytes_now > limit:
            break  # the kernel
        rss.append(bytes_now)
        blocks.append(0.7 * python * (1 + chance.gauss(0, noise / 2)) / per_block)
        ages.append(hour % 9 if shape == "recycled" else hour + age_h)
    leaks = shape in LEAKING
    return Made(f"{shape}/{seed}", shape, leaks, "native" in shape, onset_h, age_h, limit, rss, blocks, ages)

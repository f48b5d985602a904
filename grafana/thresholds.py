"""Every threshold once: dashboards colour by them, and the alerts compare with them.

In the rule files they are recorded series, ``gc_otel:threshold:NAME``, in a file of their own,
grafana/rules/thresholds.yaml: whoever wants another value edits that one file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Threshold:
    """A number with its unit in the name, and why it is that one."""

    name: str
    value: float
    reason: str

    @property
    def series(self) -> str:
        """The recorded series that holds it."""
        return f"gc_otel:threshold:{self.name}"

    @property
    def expr(self) -> str:
        """The number in an expression.  max(): where two rulers record it, scalar() of both would be NaN, and alerts silent."""
        return f"scalar(max({self.series}))"


GC_SHARE_WARNING: Final = Threshold(
    "gc_share_warning",
    0.1,
    "A judgement: a tenth of the work is gone, and the slowest requests show it.",
)
GC_SHARE_CRITICAL: Final = Threshold(
    "gc_share_critical",
    0.25,
    "A judgement: three quarters are left for the work, and requests queue.",
)
PAUSE_P99_SECONDS: Final = Threshold(
    "pause_p99_seconds", 0.1, "A tenth of a second in one request of a hundred is what users begin to notice."
)
LONG_PAUSES_PER_HOUR: Final = Threshold(
    "long_pauses_per_hour",
    12,
    "A pause of half a second every five minutes; among many young collections the 99th percentile does not see it.",
)
FULL_COLLECTIONS_PER_SECOND: Final = Threshold(
    "full_collections_per_second", 0.5, "A full collection every two seconds visits the whole heap again and again."
)
FULL_COLLECTIONS_SHARE: Final = Threshold(
    "full_collections_share",
    0.02,
    "Full collections of a small heap are cheap: below 2 % of the time they may be many.",
)
EXPLICIT_COLLECTIONS_PER_SECOND: Final = Threshold(
    "explicit_collections_per_second", 1, "gc.collect() once a second is a habit of the program, not a remedy."
)
MEMORY_RATIO_WARNING: Final = Threshold(
    "memory_ratio_warning", 0.6, "Below this a straight line to the limit is mostly a warm-up that will bend."
)
MEMORY_RATIO_CRITICAL: Final = Threshold(
    "memory_ratio_critical", 0.9, "The last tenth goes in one large request; what comes then is the OOM killer."
)
GROWTH_RATIO_PER_HOUR: Final = Threshold(
    "growth_ratio_per_hour",
    0.001,
    "The floor of memory rises by this much, every hour, eleven hours in a row: noise rises in some of them, not in all.",
)
GROWTH_LAST_STEP: Final = Threshold(
    "growth_last_step",
    0.9,
    "What fills up slows down: the last hour's step must be this much of the mean step.",
)
UNATTRIBUTED_SHARE: Final = Threshold(
    "unattributed_share", 0.5, "Half of the growth is more than small objects of the largest size could hold."
)
DEPLOY_GROWTH_RATIO: Final = Threshold(
    "deploy_growth_ratio",
    0.3,
    "30 % more memory a process than at the same time yesterday is not traffic of another weekday.",
)
DROPPED_RATIO: Final = Threshold(
    "dropped_ratio", 0.01, "With 1 % of the collections missing the 99th percentile is no longer what it says."
)
OVERHEAD_RATIO: Final = Threshold(
    "overhead_ratio", 0.02, "An observer that takes 2 % of a core is a fault of ours, or of the settings."
)
RESTARTS_PER_HALF_HOUR: Final = Threshold(
    "restarts_per_half_hour", 3, "Once is a deploy, twice an accident, three times in half an hour a loop."
)

BAD_ENDS_PER_QUARTER: Final = Threshold(
    "bad_ends_per_quarter",
    3,
    "Once is an accident; three within a quarter of an hour are a service that cannot start, or falls.",
)

ALL: Final = tuple(each for each in list(globals().values()) if isinstance(each, Threshold))

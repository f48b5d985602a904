"""Colours and estimates that several dashboards share."""

from __future__ import annotations

from typing import Final

from grafana import thresholds as at
from grafana.labels import BY_INSTANCE, limit_bytes, used_bytes
from grafana.panels import rising

SHARE: Final = rising(at.GC_SHARE_WARNING.value, at.GC_SHARE_CRITICAL.value)
PAUSE: Final = rising(at.PAUSE_P99_SECONDS.value, 5 * at.PAUSE_P99_SECONDS.value)
FULL: Final = rising(at.MEMORY_RATIO_WARNING.value, at.MEMORY_RATIO_CRITICAL.value)


def time_to_limit(worst: str, window: str = "3h:5m") -> str:
    """Seconds until the line through the last ``window`` meets the limit; only where it rises."""
    used, limit = used_bytes(BY_INSTANCE), limit_bytes(BY_INSTANCE)
    slope = f"deriv(({used})[{window}])"
    return f"{worst}(({limit} - {used}) / ({slope} > 0))" if worst else f"({limit} - {used}) / ({slope} > 0)"

"""How the processes of the last day ended."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Final

from gc_otel.cli.checks import Check, ok, warn
from gc_otel.flight.folder import Folder
from gc_otel.service.endings import read_endings
from gc_otel.service.reasons import EXCEPTION, KILLED, OOM, UNKNOWN, signal_reason

_GROUP = "ended processes"
_DAY_NS: Final = 86_400_000_000_000

#: Nobody wants these; a SIGTERM or an exit code may well be meant.
_UNWANTED: Final = frozenset({OOM, KILLED, EXCEPTION, UNKNOWN, *map(signal_reason, (4, 6, 7, 8, 11))})


def check_endings(folder: Folder) -> Iterator[Check]:
    """Which of them call for a look."""
    since_unix_ns = time.time_ns() - _DAY_NS
    reasons = Counter(each.reason for each in read_endings(folder) if each.ended_unix_ns >= since_unix_ns)
    unwanted = {reason: count for reason, count in reasons.items() if reason in _UNWANTED}
    finding = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    if unwanted:
        yield warn(_GROUP, f"kept of the last day: {finding}", "gc-otel postmortem PID shows what is known of one.")
    elif reasons:
        yield ok(_GROUP, f"kept of the last day: {finding}")

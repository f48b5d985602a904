"""Which alert keeps which others quiet, for Alertmanager: one page for one trouble, the worst of it.

Alertmanager takes an absent label for an empty one, so `equal` may name labels that some installations do not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from grafana.labels import INSTANCE, PROCESS, SERVICE
from grafana.yamltext import Data, comment, document, indented, plain


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While ``source`` fires, ``targets`` with the same values of the ``equal`` labels are not told."""

    source: str
    targets: tuple[str, ...]
    equal: tuple[str, ...]
    why: str


INHIBITIONS: Final = (
    Inhibition(
        "PythonProcessOomKilled",
        (
            "PythonMemoryWillReachLimit",
            "PythonMemoryGrowing",
            "PythonMemoryGrowthUnattributed",
            "PythonProcessesEndBadly",
            "PythonProcessKilled",
            "PythonProcessRestartLoop",
        ),
        SERVICE,
        "The limit was met, and processes were killed for it: what led there, and what follows, is one piece of news.",
    ),
    Inhibition(
        "PythonMemoryNearLimit",
        ("PythonMemoryWillReachLimit", "PythonMemoryGrowing", "PythonMemoryGrowthUnattributed"),
        INSTANCE,
        "The limit is near: that it will be reached, and that memory grows, is known.",
    ),
    Inhibition(
        "PythonGcTimeCritical",
        ("PythonGcTimeHigh", "PythonGcFullCollectionStorm", "PythonGcExplicitCollections"),
        PROCESS,
        "A process that spends its time in the collector: these say by what, and its runbook asks for them.",
    ),
    Inhibition(
        "PythonGcTimeCritical",
        ("PythonGcPauseLong", "PythonGcPausesVeryLong"),
        SERVICE,
        "The same where the other alert is of the whole service.",
    ),
)


def _rule(each: Inhibition) -> Data:
    return {
        "source_matchers": [f'alertname = "{each.source}"'],
        "target_matchers": [f'alertname =~ "{"|".join(each.targets)}"'],
        "equal": list(each.equal),
    }


def _rules() -> list[str]:
    lines = ["inhibit_rules:"]
    for each in INHIBITIONS:
        lines += [*comment(each.why, 2), *indented(plain([_rule(each)]), 2)]
    return lines


def snippet() -> str:
    """What belongs into an alertmanager.yml that is there already."""
    return document(
        "For your alertmanager.yml: while one of these alerts fires, those that follow from it are quiet.", _rules()
    )


def example() -> str:
    """A whole alertmanager.yml that tells nobody: it is there to be looked at."""
    route: Data = {
        "receiver": "nobody",
        "group_by": ["alertname", *SERVICE],
        "group_wait": "30s",
        "group_interval": "5m",
        "repeat_interval": "4h",
    }
    lines = [*plain({"route": route, "receivers": [{"name": "nobody"}]}), *_rules()]
    return document(
        "Alerts are grouped by service and shown in Alertmanager's own page; give a receiver of yours.", lines
    )

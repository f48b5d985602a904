"""What an alert is, and how its descriptions name the place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from gc_otel.cli.assets import RUNBOOKS_URL
from grafana.thresholds import Threshold

PLACE: Final = "{{ $labels.job }}{{ with $labels.service_name }}, service {{ . }}{{ end }}"
TARGET: Final = f"{PLACE}, on {{{{ $labels.instance }}}}"
ON_PROCESS: Final = f"{TARGET}{{{{ with $labels.process_pid }}}}, pid {{{{ . }}}}{{{{ end }}}}"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert.  ``hold`` is its ``for``, ``keep`` its ``keep_firing_for``; ``why`` stands above it in the file."""

    name: str
    severity: Literal["critical", "warning", "info"]
    expr: str
    hold: str
    summary: str
    description: str
    why: str
    keep: str = ""

    @property
    def annotations(self) -> dict[str, str]:
        """As they stand in the rule."""
        return {
            "summary": self.summary,
            "description": self.description,
            "runbook_url": f"{RUNBOOKS_URL}/{self.name}.md",
        }


def above(series: str, threshold: Threshold) -> str:
    """That the series is above the recorded threshold."""
    return f"{series} > {threshold.expr}"

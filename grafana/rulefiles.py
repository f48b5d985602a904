"""The rule files: Prometheus' YAML, written so that people can read and change it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from grafana.alert import Alert
from grafana.alerts import ALERTS
from grafana.recording import MAIN, NATIVE, PAUSES, THRESHOLDS, Group
from grafana.yamltext import comment, document, indented, quoted

#: The three that are loaded together, in this order.
TOGETHER: Final = ("thresholds.yaml", "recording.yaml", "alerts.yaml")


def _recording(group: Group) -> Iterator[str]:
    yield f"- name: {group.name}"
    yield f"  interval: {group.interval}"
    yield "  rules:"
    for each in group.records:
        yield from comment(each.why, 2)
        yield f"  - record: {each.record}"
        yield f"    expr: {quoted(each.expr)}"


def _alert(alert: Alert) -> Iterator[str]:
    yield from comment(alert.why, 2)
    yield f"  - alert: {alert.name}"
    yield f"    expr: {quoted(alert.expr)}"
    yield f"    for: {alert.hold}"
    if alert.keep:
        yield f"    keep_firing_for: {alert.keep}"
    yield "    labels:"
    yield f"      severity: {alert.severity}"
    yield "    annotations:"
    for key, value in alert.annotations.items():
        yield f"      {key}: {quoted(value)}"


def _groups(*groups: Iterable[str]) -> list[str]:
    return ["groups:", *(line for group in groups for line in group)]


def _alerts() -> Iterator[str]:
    yield "- name: gc_otel.alerts"
    yield "  interval: 1m"
    yield "  rules:"
    for each in ALERTS:
        yield from _alert(each)


def prometheus_rule() -> str:
    """All that is loaded together, as the object that the Prometheus operator reads."""
    groups = _groups(*map(_recording, (THRESHOLDS, PAUSES, MAIN)), _alerts())
    head = ["apiVersion: monitoring.coreos.com/v1", "kind: PrometheusRule", "metadata:", "  name: gc-otel", "spec:"]
    return document("grafana/rules/*.yaml as one object for the Prometheus operator.", [*head, *indented(groups, 2)])


def files() -> dict[str, str]:
    """Contents by file name."""
    return {
        "thresholds.yaml": document(
            "What the alerts compare with. The one file to edit: every alert reads its threshold from here. Where a threshold "
            "series is missing, GcOtelThresholdMissing fires.",
            _groups(_recording(THRESHOLDS)),
        ),
        "recording.yaml": document(
            "What the Python fleet dashboard and the alerts read.", _groups(_recording(PAUSES), _recording(MAIN))
        ),
        "native-histograms.yaml": document(
            "Only where Prometheus turns classic histograms into native ones (convert_classic_histograms_to_nhcb). Needs a server that "
            "knows histogram_sum: Prometheus, Mimir and Thanos do, vmalert does not.",
            _groups(_recording(NATIVE)),
        ),
        "alerts.yaml": document("Alerts. Needs recording.yaml and thresholds.yaml beside it.", _groups(_alerts())),
    }

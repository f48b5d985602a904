"""The same rules for Grafana's own ruler, as files for its provisioning (provisioning/alerting).

What differs from Prometheus, by Grafana's sources and documentation:

- A rule fires where its condition is not 0.  In PromQL an alert fires where its expression has a value, 0
  included; so the condition asks whether there is a number.
- ``$value`` is a text there; a number is ``$values.A.Value``.
- No data is no alert, as in Prometheus.
- A recording rule says to which data source its result is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from gc_otel.cli.assets import DATASOURCE_UID
from grafana.alert import Alert
from grafana.alerts import ALERTS
from grafana.board import FOLDER
from grafana.recording import MAIN, PAUSES, THRESHOLDS, Group, Record
from grafana.yamltext import Data, document, plain

_EXPRESSIONS: Final = "__expr__"
_UID_MOST: Final = 40


def _uid(name: str) -> str:
    """Grafana allows 40 letters, digits, - and _."""
    text = re.sub(r"[^A-Za-z0-9]+", "-", name)
    return text if len(text) <= _UID_MOST else text[: _UID_MOST - 9] + f"-{_digest(text):08x}"


def _digest(text: str) -> int:
    """A number that tells long names with the same beginning apart (FNV-1a, 32 bits)."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def _query(expr: str) -> Data:
    model: Data = {"refId": "A", "expr": expr, "instant": True, "range": False, "editorMode": "code"}
    return {
        "refId": "A",
        "relativeTimeRange": {"from": 600, "to": 0},
        "datasourceUid": DATASOURCE_UID,
        "model": model,
    }


def _is_there() -> Data:
    model: Data = {"refId": "B", "type": "math", "expression": "is_number($A) || is_inf($A)"}
    return {
        "refId": "B",
        "relativeTimeRange": {"from": 600, "to": 0},
        "datasourceUid": _EXPRESSIONS,
        "model": model,
    }


def _annotation(text: str) -> str:
    return text.replace("$value ", "$values.A.Value ")


def _alert(alert: Alert) -> Data:
    rule: dict[str, Data] = {
        "uid": _uid(f"gc-otel-{alert.name}"),
        "title": alert.name,
        "condition": "B",
        "data": [_query(alert.expr), _is_there()],
        "noDataState": "OK",
        "execErrState": "Error",
        "for": alert.hold,
    }
    if alert.keep:
        rule["keepFiringFor"] = alert.keep
    annotations: dict[str, Data] = {key: _annotation(text) for key, text in alert.annotations.items()}
    return {**rule, "labels": {"severity": alert.severity}, "annotations": annotations}


def _record(record: Record) -> Data:
    target: Data = {"metric": record.record, "from": "A", "targetDatasourceUid": DATASOURCE_UID}
    return {
        "uid": _uid(record.record),
        "title": record.record,
        "data": [_query(record.expr)],
        "record": target,
    }


def _group(name: str, interval: str, rules: Iterable[Data]) -> Data:
    return {"orgId": 1, "name": name, "folder": FOLDER, "interval": interval, "rules": list(rules)}


def _recorded(groups: Iterable[Group]) -> list[Data]:
    return [_group(group.name, group.interval, map(_record, group.records)) for group in groups]


def files() -> dict[str, str]:
    """Contents by file name."""
    alerts = [_group("gc_otel.alerts", "1m", map(_alert, ALERTS))]
    return {
        "gc_otel-alerts.yaml": document(
            "Grafana-managed alerts: for provisioning/alerting. They read what is recorded, by Prometheus (rules/thresholds.yaml and "
            "rules/recording.yaml) or by Grafana itself (gc_otel-recording.yaml); not by both.",
            plain({"apiVersion": 1, "groups": alerts}),
        ),
        "gc_otel-recording.yaml": document(
            "Grafana-managed recording rules, where no ruler of Prometheus' kind runs. Grafana writes them to the data source by remote write.",
            plain({"apiVersion": 1, "groups": _recorded((THRESHOLDS, PAUSES, MAIN))}),
        ),
    }

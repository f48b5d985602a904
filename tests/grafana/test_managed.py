"""The same rules for Grafana's own ruler: the keys that its provisioning knows, and the same words."""

from __future__ import annotations

import re

import pytest

from gc_otel.cli.assets import sources

#: What Grafana's provisioning of rules reads (its package services/provisioning/alerting), as far as it is used here.
GROUP = {"orgId", "name", "folder", "interval", "rules"}
QUERY = {"refId", "relativeTimeRange", "datasourceUid", "model"}
ALERT = {"uid", "title", "condition", "data", "noDataState", "execErrState", "for", "labels", "annotations"}
RECORD = {"uid", "title", "data", "record"}


@pytest.fixture(scope="module")
def managed():
    """Rules by file and title."""
    import yaml

    found = {}
    for path in sources()["alerting"].glob("*.yaml"):
        content = yaml.safe_load(path.read_text())
        assert (set(content), content["apiVersion"]) == ({"apiVersion", "groups"}, 1)
        assert all(set(group) == GROUP for group in content["groups"])
        found[path.name] = {rule["title"]: rule for group in content["groups"] for rule in group["rules"]}
    return found


@pytest.fixture(scope="module")
def managed_alerts(managed):
    return managed["gc_otel-alerts.yaml"]


@pytest.fixture(scope="module")
def managed_records(managed):
    return managed["gc_otel-recording.yaml"]


def test_the_same_alerts(managed_alerts, alerts):
    """Expression, severity, and how long it holds, rule by rule."""
    assert list(managed_alerts) == [alert["alert"] for alert in alerts]
    for alert in alerts:
        rule = managed_alerts[alert["alert"]]
        assert rule["data"][0]["model"]["expr"] == alert["expr"]
        assert (rule["for"], rule["labels"]) == (alert["for"], alert["labels"])
        assert rule.get("keepFiringFor") == alert.get("keep_firing_for")


def test_the_same_words(managed_alerts, alerts):
    """But for the value: `$value` is a text in Grafana, and the number has another name."""
    for alert in alerts:
        annotations = managed_alerts[alert["alert"]]["annotations"]
        assert {key: text.replace("$values.A.Value", "$value") for key, text in annotations.items()} == alert[
            "annotations"
        ]
        assert not re.search(r"\$value\b(?!s)", annotations["description"])
        assert "${" not in str(annotations), "Grafana would put the environment's variable there"


def test_the_same_recording_rules(managed_records, rules):
    """Thresholds too; the variant for native histograms is not among them."""
    wanted = {rule["record"]: rule["expr"] for file, rule in rules if file in ("thresholds.yaml", "recording.yaml")}
    assert {title: rule["data"][0]["model"]["expr"] for title, rule in managed_records.items()} == wanted
    for title, rule in managed_records.items():
        assert set(rule) == RECORD
        assert rule["record"] == {"metric": title, "from": "A", "targetDatasourceUid": "prometheus"}


def test_grafana_knows_every_key(managed_alerts, managed_records):
    """An unknown one would be dropped without a word."""
    for rule in managed_alerts.values():
        assert ALERT <= set(rule) <= ALERT | {"keepFiringFor"}
    for rule in [*managed_alerts.values(), *managed_records.values()]:
        assert all(set(query) == QUERY for query in rule["data"])
        assert [query["model"]["refId"] for query in rule["data"]] == [query["refId"] for query in rule["data"]]


def test_an_alert_fires_where_there_is_a_value(managed_alerts):
    """0 included, which PythonGcDisabled has; no data is no alert."""
    for rule in managed_alerts.values():
        query, condition = rule["data"]
        assert (query["model"]["instant"], query["datasourceUid"]) == (True, "prometheus")
        assert rule["condition"] == condition["refId"]
        assert condition["datasourceUid"] == "__expr__"
        assert condition["model"] == {"refId": "B", "type": "math", "expression": "is_number($A) || is_inf($A)"}
        assert (rule["noDataState"], rule["execErrState"]) == ("OK", "Error")


def test_uids_are_unique_and_short_enough(managed_alerts, managed_records):
    """40 letters, digits, - and _."""
    uids = [rule["uid"] for rule in [*managed_alerts.values(), *managed_records.values()]]
    assert len(set(uids)) == len(uids)
    assert all(re.fullmatch(r"[\w-]{1,40}", uid) for uid in uids)

"""pint's checks, restated, and what every alert must carry."""

from __future__ import annotations

import re

from gc_otel import cli
from gc_otel.cli.assets import RUNBOOKS_URL
from gc_otel.settings import SETTINGS

#: What Prometheus 2.42, Mimir, Thanos and VictoriaMetrics all have.
EVERYWHERE = {
    "absent", "avg_over_time", "clamp_max", "clamp_min", "deriv", "histogram_quantile", "increase",
    "min_over_time", "predict_linear", "rate", "resets", "round", "scalar", "vector",
}  # fmt: skip
FILES = {"thresholds.yaml", "recording.yaml", "alerts.yaml", "native-histograms.yaml"}


def test_files(groups):
    """Four, one group or two each, with names that are not taken twice."""
    assert set(groups) == FILES
    names = [group["name"] for of_file in groups.values() for group in of_file]
    assert len(names) == len(set(names))


def test_recorded_names_say_level_metric_and_operation(rules, lang):
    """level:metric:operation; unique but for the native variant, which is loaded instead."""
    for _file, rule in rules:
        if "record" in rule:
            assert re.fullmatch(r"[a-z_]+:[a-z_0-9]+:[a-z_0-9]+", rule["record"]), rule["record"]
            assert rule["record"].partition(":")[0] in lang.LEVELS
    names = [rule["record"] for file, rule in rules if "record" in rule and file != "native-histograms.yaml"]
    assert len(names) == len(set(names))
    native = {rule["record"] for file, rule in rules if file == "native-histograms.yaml"}
    assert native <= set(names)


def test_recorded_series_have_the_labels_of_their_level(rules, lang):
    """No more: otherwise the level's name lies."""
    for _, rule in rules:
        if "record" in rule:
            assert lang.result_labels(rule["expr"]) == lang.LEVELS[rule["record"].partition(":")[0]], rule["record"]


def test_rules_read_what_was_recorded_before(groups, lang):
    """In the order of the files: thresholds, recording, alerts."""
    seen: set[str] = set()
    for file in ("thresholds.yaml", "recording.yaml", "alerts.yaml"):
        for rule in (rule for group in groups[file] for rule in group["rules"]):
            missing = {each.name for each in lang.selectors(rule["expr"]) if ":" in each.name} - seen
            assert not missing, f"{rule.get('record') or rule.get('alert')} reads {missing}"
            seen.add(rule.get("record", ""))


def test_no_function_of_one_engine_only(rules, lang):
    """But in the file for native histograms, which says so."""
    for file, rule in rules:
        extra = {"histogram_sum"} if file == "native-histograms.yaml" else set()
        assert lang.functions(rule["expr"]) <= EVERYWHERE | extra, rule


def test_alerts_carry_what_people_need(alerts):
    """Severity, a constant summary, a description with values, a runbook; and how long it must hold."""
    assert len(alerts) >= 12
    for alert in alerts:
        assert re.fullmatch(r"(Python|GcOtel)[A-Z]\w+", alert["alert"])
        assert alert["labels"] == {"severity": alert["labels"]["severity"]}
        assert alert["labels"]["severity"] in ("critical", "warning", "info")
        assert re.fullmatch(r"\d+[mh]", alert["for"])
        assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
        assert "{{" not in alert["annotations"]["summary"]
        assert alert["annotations"]["runbook_url"] == f"{RUNBOOKS_URL}/{alert['alert']}.md"


def test_names_of_alerts_are_unique(alerts):
    """One runbook each."""
    assert len({alert["alert"] for alert in alerts}) == len(alerts)


def test_descriptions_use_labels_that_the_alert_has(alerts, lang):
    """A label that by() dropped would be an empty space."""
    for alert in alerts:
        used = set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["description"]))
        assert used <= lang.result_labels(alert["expr"]), alert["alert"]
        optional = set(re.findall(r"with \$labels\.(\w+)", alert["annotations"]["description"]))
        assert used & {"service_name", "process_pid"} == optional, f"{alert['alert']}: these labels may be absent"


def test_an_alert_compares(alerts):
    """One that is true whenever its series exists would always fire."""
    for alert in alerts:
        compares = re.search(r"[<>]|==| unless |absent\(", alert["expr"])
        assert compares or "growth11h" in alert["expr"], alert["alert"]  # recorded only where it grew


def test_every_threshold_is_used_and_watched(rules, alerts, lang):
    """By a rule, and by the alert that tells when it is missing."""
    thresholds = {rule["record"] for file, rule in rules if file == "thresholds.yaml"}
    watching = next(alert for alert in alerts if alert["alert"] == "GcOtelThresholdMissing")
    assert {each.name for each in lang.selectors(watching["expr"])} == thresholds
    used = {
        each.name
        for _, rule in rules
        if rule is not watching
        for each in lang.selectors(rule["expr"])
        if each.name in thresholds
    }
    assert used == thresholds


def test_regular_expressions_are_needed(rules, lang):
    """=~ with a plain word is =; anchors are there already."""
    for _, rule in rules:
        for each in lang.selectors(rule["expr"]):
            for op, value in each.matchers.values():
                if op in ("MatchOp.Re", "MatchOp.NotRe"):
                    assert re.search(r"[|.*+?\[(]", value), rule
                    assert not value.startswith("^")
                    assert not value.endswith("$")


def test_windows_hold_several_samples(rules, lang):
    """A rate needs four scrapes of a minute in its window."""
    for _, rule in rules:
        for each in lang.selectors(rule["expr"]):
            if {"rate", "increase"} & set(each.around):
                assert each.range_s >= 240, rule


def test_runbooks_and_alerts_match(alerts, runbooks):
    """One to one."""
    assert set(runbooks) == {alert["alert"] for alert in alerts}


def test_runbooks_have_the_four_sections(runbooks):
    """Meaning, Impact, Diagnosis, Mitigation; none empty."""
    for name, path in runbooks.items():
        text = path.read_text()
        assert text.startswith(f"# {name}\n")
        parts = re.split(r"^## (\w+)$", text, flags=re.MULTILINE)
        assert parts[1::2] == ["Meaning", "Impact", "Diagnosis", "Mitigation"], name
        assert all(len(part.strip()) > 20 for part in parts[2::2]), name


def _words_for_people(dashboards, runbooks, alerts):
    yield from ((name, path.read_text()) for name, path in runbooks.items())
    yield from ((alert["alert"], alert["annotations"]["description"]) for alert in alerts)
    for uid, board in dashboards.items():
        for panel in board["panels"]:
            yield uid, panel.get("description", "") + panel.get("options", {}).get("content", "")


def test_commands_and_settings_exist(dashboards, runbooks, alerts):
    """gc-otel commands with their options, and GC_OTEL_ variables."""
    commands = {command.name for command in cli.COMMANDS}
    settings = {setting.variable for setting in SETTINGS}
    named = 0
    for where, text in _words_for_people(dashboards, runbooks, alerts):
        for command in re.findall(r"`gc-otel ([a-z]+)|(?<!`)gc-otel (doctor|ps|config)", text):
            named += 1
            assert set(command) & commands, (where, command)
        assert set(re.findall(r"GC_OTEL_[A-Z_]+", text)) <= settings, where
    assert named > 20


def test_every_diagnosis_names_a_command(runbooks, alerts):
    """What to run on the host, first of all; but for the rules' own trouble."""
    for name, path in runbooks.items():
        diagnosis = path.read_text().partition("## Diagnosis")[2].partition("## Mitigation")[0]
        assert "`gc-otel " in diagnosis or name == "GcOtelThresholdMissing", name


def test_runbooks_name_panels_that_exist(dashboards, runbooks):
    """What stands in italics is a panel or a dashboard."""
    titles = {board["title"] for board in dashboards.values()}
    titles |= {panel["title"] for board in dashboards.values() for panel in board["panels"]}
    for name, path in runbooks.items():
        for words in re.findall(r"(?<![*`])\*([A-Za-z][^*`]+)\*(?!\*)", path.read_text()):
            assert words in titles, (name, words)


def test_runbooks_lead_to_runbooks_that_exist(runbooks):
    """Links among them."""
    for name, path in runbooks.items():
        for target in re.findall(r"\]\((\w+)\.md\)", path.read_text()):
            assert target in runbooks, (name, target)

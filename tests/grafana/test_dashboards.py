"""The rules of Grafana's dashboard-linter, and some that are ours, over the JSON that ships."""

from __future__ import annotations

import json
import re

import pytest

UIDS = {
    "gc-otel-fleet": "Python fleet",
    "gc-otel-service": "Python service",
    "gc-otel-process": "Python process",
    "gc-otel-leak": "Leak hunt",
}
ALL_VALUES = {"cluster": ".*", "namespace": ".*", "job": ".+", "service": ".*", "instance": ".+", "pid": ".*"}
LABEL = {"service": "service_name", "pid": "process_pid"}
CONFIGMAP_BYTES = 1 << 20


def test_uids_and_titles_are_stable(dashboards):
    """Links and bookmarks name them."""
    assert {uid: dashboard["title"] for uid, dashboard in dashboards.items()} == UIDS
    assert all(dashboard["uid"] == uid for uid, dashboard in dashboards.items())


def test_each_fits_into_a_configmap(dashboards):
    """With its whitespace, as it is shipped."""
    assert all(len(json.dumps(each, indent=1).encode()) < CONFIGMAP_BYTES / 4 for each in dashboards.values())


def test_nobody_edits_them_in_place(dashboards):
    """They are provisioned: an edit would be lost."""
    assert [each["editable"] for each in dashboards.values()] == [False] * len(UIDS)
    assert all(each["graphTooltip"] == 1 for each in dashboards.values())


def test_they_lead_to_each_other(dashboards):
    """One menu, with time and variables kept."""
    for dashboard in dashboards.values():
        (link,) = dashboard["links"]
        assert link["type"] == "dashboards"
        assert (link["keepTime"], link["includeVars"], link["asDropdown"]) == (True, True, True)
        assert set(link["tags"]) <= set(dashboard["tags"])


def test_data_links_lead_somewhere(dashboards, panels):
    """The uid exists there, and so does every variable that is handed over."""
    found = 0
    for _, panel in panels:
        for link in panel["fieldConfig"]["defaults"].get("links", []) if "fieldConfig" in panel else []:
            found += 1
            uid = re.match(r"/d/([\w-]+)\?", link["url"])[1]
            names = {each["name"] for each in dashboards[uid]["templating"]["list"]}
            handed = set(re.findall(r"\${(\w+):queryparam}", link["url"])) | set(
                re.findall(r"&var-(\w+)=", link["url"])
            )
            assert handed <= names
            assert "${__url_time_range}" in link["url"]
    assert found >= 8


@pytest.mark.parametrize("uid", UIDS)
def test_variables(dashboards, uid):
    """A data source, and then a chain of labels, each restricted by those before it."""
    first, *others = dashboards[uid]["templating"]["list"]
    if uid == "gc-otel-leak":
        *others, window, floor = others
        assert (window["name"], window["type"], window["current"]["value"]) == ("window", "custom", "3h")
        assert (floor["name"], floor["type"], floor["current"]["value"]) == ("floor", "custom", "30m")
        assert "5m" in window["query"], "a leak that is made on purpose shows within minutes"
    assert (first["name"], first["type"], first["query"]) == ("datasource", "datasource", "prometheus")
    assert [each["name"] for each in others] == list(ALL_VALUES)[: len(others)]
    for position, each in enumerate(others):
        name = each["name"]
        assert (each["multi"], each["includeAll"], each["allValue"]) == (True, True, ALL_VALUES[name])
        assert each["refresh"] == 2, "values follow the time range"
        assert each["datasource"]["uid"] == "${datasource}"
        restricted = ", ".join(f'{LABEL.get(n, n)}=~"${n}"' for n in list(ALL_VALUES)[:position])
        assert (
            each["query"] == f"label_values(cpython_memory_allocated_blocks{{{restricted}}}, {LABEL.get(name, name)})"
        )


def test_every_query_asks_the_chosen_data_source(panels, targets, dashboards):
    """Panels, targets and annotations."""
    asked = [panel["datasource"] for _, panel in panels if panel["type"] != "text"]
    asked += [target["datasource"] for _, _, target in targets]
    asked += [each["datasource"] for board in dashboards.values() for each in board["annotations"]["list"]]
    assert all(each == {"type": "prometheus", "uid": "${datasource}"} for each in asked)


def test_panels_say_what_they_show(panels):
    """Title and description, and where to look next; text panels speak for themselves."""
    for uid, panel in panels:
        assert panel["title"], uid
        assert len(panel["description"]) > 40, (uid, panel["title"])
        if panel["type"] != "text":
            assert re.search(r"[Ll]ook |Compare|leads to|Search|runbook|doctor|gc\.", panel["description"]), (
                uid,
                panel["title"],
            )


def test_where_to_look_next_exists(dashboards, panels):
    """`Look next at: X` names a panel of the same dashboard, or of another that is named too."""
    for uid, panel in panels:
        for words in re.findall(r"(?:Look next at|look next at): (.*?)(?:\.|$)", panel["description"]):
            boards = [board for board in dashboards.values() if board["title"] in words] or [dashboards[uid]]
            titles = [each["title"] for board in boards for each in board["panels"]]
            known = any(title in words for title in titles) or any(
                board["title"] in words for board in dashboards.values()
            )
            assert known or "marks" in words or "bars" in words, (uid, panel["title"], words)


def test_panels_have_unit_and_thresholds(panels):
    """Grafana's own default is red from 80, whatever the unit."""
    for uid, panel in panels:
        if panel["type"] == "text":
            continue
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["unit"], (uid, panel["title"])
        steps = defaults["thresholds"]["steps"]
        assert steps[0]["value"] is None
        values = [step["value"] for step in steps[1:]]
        assert values == sorted(values)


def test_panels_have_queries(panels):
    """All but texts."""
    assert [panel["title"] for _, panel in panels if panel["type"] != "text" and not panel.get("targets")] == []
    for uid, panel in panels:
        refs = [target["refId"] for target in panel.get("targets", [])]
        assert len(refs) == len(set(refs)), (uid, panel["title"])


def test_panels_lie_on_the_grid_and_not_on_each_other(dashboards):
    """24 columns, no cell taken twice, nothing that floats above a gap."""
    for uid, dashboard in dashboards.items():
        taken: dict[tuple[int, int], str] = {}
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            assert place["x"] >= 0
            assert place["x"] + place["w"] <= 24, (uid, panel["title"])
            for cell in (
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            ):
                assert cell not in taken, (uid, panel["title"], taken.get(cell))
                taken[cell] = panel["title"]
        lines = {y for _, y in taken}
        assert lines == set(range(max(lines) + 1)), f"{uid}: an empty line"


def test_ids_are_unique(dashboards):
    """Links to single panels name them."""
    for dashboard in dashboards.values():
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(ids) == len(set(ids))


def test_durations_ask_for_exemplars(targets):
    """Where quantiles and the heatmap are drawn over time."""
    asking = {(uid, panel["title"]) for uid, panel, target in targets if target.get("exemplar")}
    assert {
        ("gc-otel-service", "Pauses"),
        ("gc-otel-service", "Pause quantiles"),
        ("gc-otel-service", "p99 by generation"),
    } <= asking

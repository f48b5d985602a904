"""A real Alertmanager with the inhibition that ships, and vmalert with the rules."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from gc_otel.cli.assets import sources

yaml = pytest.importorskip("yaml", reason=".[test] brings pyyaml for one interpreter")

DEPLOY = Path(__file__).parents[2] / "deploy"
EXAMPLE = DEPLOY / "compose" / "alertmanager" / "alertmanager.yml"
SNIPPET = DEPLOY / "alertmanager" / "inhibit-rules.yaml"

in_a_checkout = pytest.mark.skipif(not DEPLOY.is_dir(), reason="deploy/ stands in the checkout, not in a wheel")

PLACE = {"job": "python", "service_name": "shop", "instance": "a:9464", "process_pid": "7"}


def severities():
    groups = yaml.safe_load((sources()["rules"] / "alerts.yaml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def labels_of(alert, place):
    """As the rule gives them: what its description names, and no more."""
    rule = severities()[alert]
    named = {"job", *re.findall(r"\$labels\.(\w+)", rule["annotations"]["description"])}
    return {"alertname": alert, **rule["labels"], **{key: value for key, value in place.items() if key in named}}


def named(alert, matchers):
    """Whether a list such as ['alertname =~ "A|B"'] takes it in."""
    return any(alert in re.findall(r"\w+", each.partition('"')[2]) for each in matchers)


@pytest.fixture
def alertmanager(tool, serve, free_port, poll, page, tmp_path):
    """A function that sends alerts and gives what became of all so far: {labels as JSON: status}."""
    port = free_port()
    serve(
        tool("alertmanager"),
        f"--config.file={EXAMPLE}",
        f"--storage.path={tmp_path}/alertmanager",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    )
    api = f"http://127.0.0.1:{port}"
    poll(lambda: page(f"{api}/-/ready"), bool)

    def tell(*alerts):
        now = datetime.now(timezone.utc)
        body = [
            {"labels": each, "startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat()}
            for each in alerts
        ]
        request = urllib.request.Request(
            f"{api}/api/v2/alerts", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=10).close()

        def told():
            found = json.loads(page(f"{api}/api/v2/alerts"))
            return {json.dumps(each["labels"], sort_keys=True): each["status"] for each in found}

        wanted = {json.dumps(each, sort_keys=True) for each in alerts}
        return poll(told, lambda found: wanted <= set(found) and "unprocessed" not in str(found))

    return tell


@in_a_checkout
def test_amtool_finds_no_fault(tool):
    """The whole example; and the snippet, put into somebody's own file."""
    done = subprocess.run(
        [tool("amtool"), "check-config", EXAMPLE], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rules = yaml.safe_load(SNIPPET.read_text())["inhibit_rules"]
    assert rules == yaml.safe_load(EXAMPLE.read_text())["inhibit_rules"]
    assert f"{len(rules)} inhibit rules" in done.stdout


@in_a_checkout
def test_alerts_are_grouped_by_service(tool):
    """One notification for all processes of a service: the same alert of two workers is one piece of news."""
    command = [tool("amtool"), "config", "routes", "test", f"--config.file={EXAMPLE}", "alertname=PythonGcTimeHigh"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "nobody")
    assert yaml.safe_load(EXAMPLE.read_text())["route"]["group_by"] == [
        "alertname",
        "cluster",
        "namespace",
        "job",
        "service_name",
    ]


@in_a_checkout
def test_inhibition_names_alerts_that_exist():
    """And labels that the target has, where the source has them too: Alertmanager takes two absent ones for equal."""
    alerts = severities()
    for rule in yaml.safe_load(SNIPPET.read_text())["inhibit_rules"]:
        names = [
            re.findall(r"\w+", each.partition('"')[2])
            for key in ("source_matchers", "target_matchers")
            for each in rule[key]
        ]
        assert all(name in alerts for each in names for name in each), rule
        assert all(alerts[name]["labels"]["severity"] == "critical" for name in names[0])


@in_a_checkout
def test_what_follows_from_a_critical_alert_is_quiet(alertmanager):
    """For each rule and target: quiet at the same place while the source fires, and told where it does not."""
    for number, rule in enumerate(yaml.safe_load(SNIPPET.read_text())["inhibit_rules"]):
        source = re.search(r'"(\w+)"', rule["source_matchers"][0])[1]
        targets = [name for name in severities() if named(name, rule["target_matchers"])]
        assert targets
        place = {**PLACE, "service_name": f"shop-{number}"}  # what fires for another rule is not in the way
        other = {**place, "instance": "b:9464"} if "instance" in rule["equal"] else {**place, "service_name": "other"}
        sent = [labels_of(source, place), *(labels_of(name, where) for name in targets for where in (place, other))]
        told = alertmanager(*sent)
        for name in targets:
            here, there = (json.dumps(labels_of(name, where), sort_keys=True) for where in (place, other))
            assert told[here]["state"] == "suppressed", (source, name)
            assert told[here]["inhibitedBy"]
            assert told[there]["state"] == "active", (source, name)


def test_vmalert_runs_the_rule_files(tool, serve, free_port, poll, page, tmp_path):
    """VictoriaMetrics' ruler, over the files as they ship, replays two minutes of them; what it records can be read."""
    port = free_port()
    api = f"http://127.0.0.1:{port}"
    serve(
        tool("victoria-metrics"),
        f"-storageDataPath={tmp_path}/data",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-search.latencyOffset=0s",
        "-inmemoryDataFlushInterval=1s",
    )
    poll(lambda: page(f"{api}/health"), lambda text: text == "OK")
    until = datetime.now(timezone.utc)
    command = [
        tool("vmalert"),
        *(f"-rule={sources()['rules'] / name}" for name in ("thresholds.yaml", "recording.yaml", "alerts.yaml")),
        f"-datasource.url={api}",
        f"-remoteWrite.url={api}",
        f"-replay.timeFrom={until - timedelta(minutes=2):%Y-%m-%dT%H:%M:%SZ}",
        f"-replay.timeTo={until:%Y-%m-%dT%H:%M:%SZ}",
        "-remoteWrite.flushInterval=100ms",
        "-replay.disableProgressBar",
        "-replay.rulesDelay=0s",
        f"-httpListenAddr=127.0.0.1:{free_port()}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr

    def recorded():
        answer = json.loads(page(f"{api}/api/v1/query", query="gc_otel:threshold:gc_share_warning", nocache="1"))
        return [each["value"][1] for each in answer["data"]["result"]]

    assert poll(recorded, bool) == ["0.1"]

"""Every expression of the dashboards and the recording rules has an answer in a real Prometheus, over a made history."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from gc_otel.cli.assets import sources
from gc_otel.otel.catalog import CATALOG
from gc_otel.otel.service_catalog import SERVICE_CATALOG

END_UNIX_S = 1_790_000_000
HOURS = 7  # the widest window is of six
STEP_S = 120

#: Who is chosen, as the dashboards' variables: behind an exporter service, in library mode, by OTLP, and everybody.
CHOSEN = {
    "exporter": {"job": "python", "service": "catalog"},
    "library": {"job": "billing"},
    "otlp": {"job": "mail/mailer"},
    "all": {},
}
ALL_VALUES = {"cluster": ".*", "namespace": ".*", "job": ".+", "service": ".*", "instance": ".+", "pid": ".*"}

#: Panels that may be empty, and why.
MAY_BE_EMPTY = {
    "Limit in": "memory does not grow",
    "Limit reached in": "memory does not grow",
    "Growth per hour": "memory does not grow",
    "Alerts": "nothing fires",
    "Types by growth": "no type grows",
    "Died badly, 1 h": "only an exporter service counts deaths",
    "Deaths by reason": "nobody ends at this moment, or no exporter service counts",
}
#: Even where everybody is chosen, since bars are drawn where something happened: asked over the whole history.
NOW_EMPTY = {"Deaths by reason"}


@pytest.fixture(scope="module")
def records():
    yaml = pytest.importorskip("yaml")
    groups = yaml.safe_load((sources()["rules"] / "recording.yaml").read_text())["groups"]
    groups += yaml.safe_load((sources()["rules"] / "thresholds.yaml").read_text())["groups"]
    return {rule["record"]: rule["expr"] for group in groups for rule in group["rules"]}


@pytest.fixture
def history(tool, serve, free_port, poll, page, tmp_path):
    """A Prometheus that has the history; asks it an instant query."""
    path = Path(__file__).parents[1] / "grafana" / "_history.py"
    spec = importlib.util.spec_from_file_location("_history", path)
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made  # dataclasses look for it there
    spec.loader.exec_module(made)
    (tmp_path / "history.om").write_text("\n".join(made.generate(END_UNIX_S, hours=HOURS)) + "\n")
    command = [
        tool("promtool"),
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        tmp_path / "history.om",
        tmp_path / "data",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=100)
    (tmp_path / "prometheus.yml").write_text("global: {}\n")
    port = free_port()
    serve(
        tool("prometheus"),
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    poll(lambda: page(f"http://127.0.0.1:{port}/-/ready"), bool)

    def ask(expr: str):
        # POST: with what was recorded put in its place an expression is longer than an address may be.
        body = urllib.parse.urlencode({"query": expr, "time": END_UNIX_S}).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query", data=body, timeout=60) as answer:
            result = json.loads(answer.read())["data"]["result"]
        return [each for each in result if each["value"][1] != "NaN"]

    return ask


def without_recorded(expr: str, records: dict[str, str]) -> str:
    """The same with every recorded series replaced by what it records: a history has no ruler."""
    pattern = re.compile(r"\b([a-z_]+:[a-z_0-9]+:[a-z_0-9]+)(?:{[^}]*})?(?:\[(\w+)\])?(?: offset (\w+))?")

    def inside(match: re.Match[str]) -> str:
        name, window, offset = match.groups()
        body = f"({without_recorded(records[name], records)})"
        if window:
            return f"{body}[{window}:{STEP_S}s]" + (f" offset {offset}" if offset else "")
        return f"last_over_time({body}[{STEP_S}s:{STEP_S}s] offset {offset})" if offset else body

    return pattern.sub(inside, expr)


def with_variables(expr: str, chosen: dict[str, str]) -> str:
    for name, value in {**ALL_VALUES, **chosen}.items():
        expr = expr.replace(f'"${name}"', f'"{value}"')
    expr = expr.replace("$window", "3h").replace("$floor", "30m")
    return re.sub(r"\$__(rate_interval|interval|range)", f"{4 * STEP_S}s", expr)


def test_every_expression_has_an_answer(records, history):
    """Dashboards for each way in which metrics may arrive, and the recording rules; one test, because the history takes 8 s to make."""
    for metric in (*CATALOG, *SERVICE_CATALOG):  # a panel tested on something that was not made would pass by accident
        assert history(f'count({{__name__=~"{metric.name.replace(".", "_")}.*"}})'), metric.name
    assert not history('process_uptime_seconds{job="nobody"}')
    empty = []
    for path in sorted(sources()["dashboards"].glob("*.json")):
        dashboard = json.loads(path.read_text())
        for how, chosen in CHOSEN.items():
            if path.stem == "gc-otel-fleet" and how != "all":
                continue
            for panel in dashboard["panels"]:
                for target in panel.get("targets", []):
                    expr = without_recorded(with_variables(target["expr"], chosen), records)
                    answer = history(expr)
                    if not answer and how == "all" and panel["title"] in NOW_EMPTY:
                        answer = history(f"max_over_time(({expr})[{HOURS}h:{STEP_S}s])")
                    if not answer and (how == "all" or panel["title"] not in MAY_BE_EMPTY):
                        empty.append((path.stem, how, panel["title"], target["refId"]))
        for each in dashboard["annotations"]["list"]:
            history(without_recorded(with_variables(each["expr"], {}), records))  # events: none at this moment is fine
    for name, expr in records.items():
        if not history(without_recorded(expr, records)) and not name.endswith(":growth11h"):
            empty.append(("recording.yaml", name))
    assert empty == []

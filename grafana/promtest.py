"""Tests of the alerts as promtool's YAML: each fires when it should, not a step before, and on no healthy shape."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from grafana.alert import Alert
from grafana.alerts import ALERTS
from grafana.cases import CASES, DURATION, FULL, MISSING, PROCESS, SERVICE, Case, of
from grafana.recording import FULL_SHARE, PROCESS_SHARE, SERVICE_P99, SERVICE_P99_SLOW
from grafana.rulefiles import TOGETHER
from grafana.shapes import HEALTHY, HOURS, LEAKING, STEP_MINUTES, series
from grafana.yamltext import quoted

_BY_NAME: Final = {alert.name: alert for alert in ALERTS}


def rendered(alert: Alert, labels: dict[str, str], shown: str) -> dict[str, str]:
    """The annotations as they must come out: templates filled in by hand, not by the engine under test."""

    def fill(text: str) -> str:
        text = re.sub(
            r"{{ with \$labels\.(\w+) }}(.*?){{ end }}",
            lambda m: m[2].replace("{{ . }}", labels[m[1]]) if m[1] in labels else "",
            text,
        )
        text = re.sub(r"{{ \$labels\.(\w+) }}", lambda m: labels.get(m[1], ""), text)
        return re.sub(
            r"{{ \$value \| \w+ }}", lambda _: shown.removesuffix("B") if "humanize1024" in text else shown, text
        )

    return {key: fill(value) for key, value in alert.annotations.items()}


def _inputs(inputs: list[tuple[str, str]] | tuple[tuple[str, str], ...]) -> Iterator[str]:
    yield "  input_series:"
    for selector, values in inputs:
        yield f"  - series: {quoted(selector)}"
        yield f"    values: {quoted(values)}"


def _expect(alert: str, minute: int, case: Case | None) -> Iterator[str]:
    yield f"  - eval_time: {minute}m"
    yield f"    alertname: {alert}"
    if case is None:
        yield "    exp_alerts: []"
        return
    yield "    exp_alerts:"
    labels = {"severity": _BY_NAME[alert].severity, **case.labels}
    yield "    - exp_labels:"
    yield from (f"        {key}: {quoted(value)}" for key, value in labels.items())
    yield "      exp_annotations:"
    yield from (
        f"        {key}: {quoted(value)}" for key, value in rendered(_BY_NAME[alert], case.labels, case.shown).items()
    )


def _case(case: Case) -> Iterator[str]:
    name = f"{case.alert}{': ' if case.title else ''}{case.title}"
    yield f"- name: {quoted(name)}"
    yield f"  interval: {case.step_min}m"
    yield from _inputs(case.inputs)
    yield "  alert_rule_test:"
    yield from _expect(case.alert, case.fires_min - case.step_min, None)
    yield from _expect(case.alert, case.fires_min, case)
    for minute in case.quiet_at_min:
        yield from _expect(case.alert, minute, None)
    if case.also:
        yield "  promql_expr_test:"
    for minute, alerts in case.also.items():
        expr = 'count by (alertname) (ALERTS{alertstate="firing"})'
        yield from _firing(expr, minute, [f'alertname="{each}"' for each in alerts])


def _firing(expr: str, minute: int, labels: Sequence[str]) -> Iterator[str]:
    yield f"  - expr: {quoted(expr)}"
    yield f"    eval_time: {minute}m"
    yield f"    exp_samples:{'' if labels else ' []'}"
    for each in labels:
        yield f"    - labels: {quoted('{' + each + '}')}"
        yield "      value: 1"


def _shapes() -> Iterator[str]:
    yield "- name: 'no healthy shape raises anything, and leaks do'"
    yield f"  interval: {STEP_MINUTES}m"
    yield from _inputs([each for shape in (*HEALTHY, *LEAKING) for each in series(shape)])
    yield "  promql_expr_test:"
    expr = f'group by (alertname, service_name) (count_over_time(ALERTS{{alertstate="firing"}}[{HOURS}h]))'
    raised = [f'alertname="{alert}", service_name="{shape.name}"' for shape in LEAKING for alert in shape.raises]
    yield from _firing(expr, HOURS * 60, raised)


def _native() -> Iterator[str]:
    """Histograms with custom bounds, as convert_classic_histograms_to_nhcb makes them: 0.15 s a second, all between 0.1 and 0.5 s."""
    yield "- name: 'native histograms give the same series'"
    yield "  interval: 1m"
    histogram = "{{schema:-53 custom_values:[0.1 0.5] count:%d sum:%d buckets:[0 %d]}}"
    grows = f"{histogram % (100, 30, 100)}+{histogram % (30, 9, 30)}x70"
    yield from _inputs([of(DURATION, grows, **FULL)])
    yield "  promql_expr_test:"
    process = ", ".join(f'{key}="{value}"' for key, value in PROCESS.items())
    service = ", ".join(f'{key}="{value}"' for key, value in SERVICE.items())
    for record, labels, value in (
        (PROCESS_SHARE, process, 0.15),
        (FULL_SHARE, process, 0.15),
        (SERVICE_P99, service, 0.496),
        (SERVICE_P99_SLOW, service, 0.496),
    ):
        yield f"  - expr: {quoted(f'round({record}, 0.001)')}"
        yield "    eval_time: 65m"
        yield "    exp_samples:"
        yield f"    - labels: {quoted('{' + labels + '}')}"
        yield f"      value: {value:g}"


_GROUPS: Final = {
    "thresholds.yaml": ("gc_otel.thresholds",),
    "recording.yaml": ("gc_otel.pauses", "gc_otel.services"),
    "native-histograms.yaml": ("gc_otel.pauses.native",),
    "alerts.yaml": ("gc_otel.alerts",),
}


def _file(step_min: int, files: tuple[str, ...], tests: Iterable[str]) -> str:
    head = [
        "# Generated by `python -m grafana`.  promtool test rules FILE",
        "rule_files:",
        *(f"- {each}" for each in files),
    ]
    order = [
        "group_eval_order:",
        *(f"- {group}" for file in files for group in _GROUPS[file]),
    ]
    return "\n".join([*head, f"evaluation_interval: {step_min}m", *order, "tests:", *tests]) + "\n"


def files() -> dict[str, str]:
    """Contents by file name."""
    by_step = {
        step_min: [line for case in CASES if case.step_min == step_min for line in _case(case)]
        for step_min in (1, 5, 10)
    }
    return {
        "alerts_test.yaml": _file(1, TOGETHER, by_step[1]),
        "native_test.yaml": _file(1, ("native-histograms.yaml",), _native()),
        "growth_test.yaml": _file(5, TOGETHER, by_step[5]),
        "shapes_test.yaml": _file(10, TOGETHER, [*by_step[10], *_shapes()]),
        "thresholds_test.yaml": _file(1, TOGETHER[1:], _case(MISSING)),
    }

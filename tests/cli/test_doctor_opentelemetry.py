"""What gc-otel doctor says of OpenTelemetry, for every state of an installation."""

from __future__ import annotations

import sys
from importlib import metadata
from types import SimpleNamespace

import pytest

from gc_otel.cli.checks import opentelemetry
from gc_otel.cli.checks.opentelemetry import Installed, check_opentelemetry

GROUP = "opentelemetry_instrumentor"
OURS = metadata.EntryPoint("gc_otel", "gc_otel.instrumentor:GcInstrumentor", GROUP)
PACKAGES = dict.fromkeys(
    ("opentelemetry-api", "opentelemetry-sdk", "opentelemetry-instrumentation", "opentelemetry-exporter-prometheus"),
    "1.0",
)
HTTP_ONLY = {
    "metrics": frozenset({"console", "prometheus", "otlp_proto_http"}),
    "traces": frozenset({"console", "otlp_proto_http"}),
    "logs": frozenset({"console", "otlp_proto_http"}),
}


def _installed(*, distro=True, exporters=HTTP_ONLY, instrumentors=None, packages=PACKAGES):
    versions = {**packages, "opentelemetry-distro": "1.0b0"} if distro else packages
    return Installed(versions, {"gc_otel": OURS} if instrumentors is None else instrumentors, exporters)


def _told(installed, **env):
    return list(check_opentelemetry(installed, env))


def _bad(installed, **env):
    return [check for check in _told(installed, **env) if check.status != "ok"]


def test_the_packages_of_this_interpreter_are_found():
    """What pip put here is read from its metadata."""
    installed = Installed.look()
    assert installed.versions["opentelemetry-sdk"] == metadata.version("opentelemetry-sdk")
    assert "console" in installed.exporters["metrics"]


def test_missing_packages_fail_by_name():
    """With the command that installs them."""
    (check,) = _bad(_installed(packages={"opentelemetry-api": "1.0"}, distro=False))
    assert check.status == "fail"
    assert check.remedy.startswith("pip install opentelemetry-sdk ")
    assert _bad(_installed(packages={}, distro=False))[0].status == "fail"


def test_a_package_that_is_not_there_has_no_version():
    """Which is not an error of ours."""
    assert opentelemetry._version("no-such-package-anywhere") is None


def test_without_the_distro_nothing_is_set_up_by_default():
    """And so nothing can be missing."""
    told = _told(_installed(distro=False))
    assert {check.status for check in told} == {"ok"}
    assert any("opentelemetry-distro is not installed" in check.finding for check in told)
    assert told[-1].finding.startswith("metrics: OTEL_METRICS_EXPORTER is not set: only a MeterProvider made in code")


def test_the_distro_s_default_of_grpc_is_a_warning_where_only_http_is_installed():
    """One line for the three signals, and the variable that mends it."""
    (check,) = _bad(_installed())
    assert check.status == "warn"
    assert check.finding.startswith("metrics, traces, logs: otlp, the default, by grpc")
    assert check.remedy == "Set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf: the http exporter is installed."


def test_the_remedy_mends_it():
    """With the protocol set, what is installed is what is asked for."""
    assert _bad(_installed(), OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf") == []


@pytest.mark.parametrize(
    ("env", "finding", "remedy"),
    [
        ({"OTEL_METRICS_EXPORTER": "otlp"}, "OTEL_METRICS_EXPORTER=otlp by grpc", "OTEL_EXPORTER_OTLP_PROTOCOL=http"),
        (
            {"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
            "with OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=grpc",
            "OTEL_EXPORTER_OTLP_PROTOCOL=http",
        ),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "=http/json names no known", "grpc or http/protobuf"),
        ({"OTEL_METRICS_EXPORTER": "prometheus, zipkin"}, "needs zipkin", "Install the package of that exporter"),
        (
            {"OTEL_METRICS_EXPORTER": "otlp_proto_grpc"},
            "needs otlp_proto_grpc",
            "opentelemetry-exporter-otlp-proto-grpc",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "prometheus"},
            "traces: OTEL_TRACES_EXPORTER=prometheus",
            "OTEL_TRACES_EXPORTER=none",
        ),
    ],
)
def test_what_the_variables_name_and_is_missing_fails(env, finding, remedy):
    """opentelemetry-instrument would log an error and set up nothing."""
    failed = [check for check in _bad(_installed(), **env) if check.status == "fail"]
    assert failed
    assert finding in failed[0].finding
    assert remedy in failed[0].remedy


def test_no_exporter_at_all_is_what_was_asked_for():
    """``none`` publishes nothing, which is no fault."""
    told = _told(_installed(), OTEL_METRICS_EXPORTER="none", OTEL_TRACES_EXPORTER="None", OTEL_LOGS_EXPORTER="none")
    assert told[-1].finding == "metrics: OTEL_METRICS_EXPORTER=none: only a MeterProvider made in code publishes"
    assert {check.status for check in told} == {"ok"}


def test_nothing_installed_at_all_has_no_exporters():
    """The list says so."""
    told = _told(_installed(exporters={}, distro=False))
    assert any(check.finding == "metrics exporters installed: none" for check in told)


def test_a_configuration_file_stands_for_the_variables(tmp_path):
    """It must be there; then the exporters' variables do not matter."""
    path = tmp_path / "otel.yaml"
    assert "is not there" in _bad(_installed(), OTEL_CONFIG_FILE=str(path))[0].finding
    path.touch()
    assert _bad(_installed(), OTEL_CONFIG_FILE=str(path), OTEL_METRICS_EXPORTER="zipkin") == []


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"OTEL_SDK_DISABLED": "True"}, "OTEL_SDK_DISABLED=true"),
        ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask , gc_otel"}, "names gc_otel"),
        ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"}, "names *"),
    ],
)
def test_switches_that_concern_us_are_warnings(env, words):
    """They are somebody's wish, and the reason why nothing is seen."""
    (check,) = _bad(_installed(distro=False), **env)
    assert (check.status, words in check.finding) == ("warn", True)


def test_an_entry_point_that_is_not_visible_is_a_warning():
    """In code it works all the same."""
    (check,) = _bad(_installed(distro=False, instrumentors={}))
    assert (check.status, "not visible" in check.finding) == ("warn", True)


def test_an_entry_point_that_cannot_be_loaded_fails():
    """opentelemetry-instrument would fail at it too."""
    broken = metadata.EntryPoint("gc_otel", "gc_otel.no_such_module:Thing", GROUP)
    (check,) = _bad(_installed(distro=False, instrumentors={"gc_otel": broken}))
    assert (check.status, "ModuleNotFoundError" in check.finding) == ("fail", True)


def _with_system_metrics():
    theirs = metadata.EntryPoint("system_metrics", "opentelemetry.instrumentation.system_metrics:X", GROUP)
    return _installed(distro=False, instrumentors={"gc_otel": OURS, "system_metrics": theirs})


def _system_metrics_line(**env):
    return [check.finding for check in _told(_with_system_metrics(), **env) if "system-metrics" in check.finding]


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (SimpleNamespace(_DEFAULT_CONFIG={"cpython.gc.collections": None, "x": None}), "cpython.gc.collections"),
        (SimpleNamespace(_build_default_config=lambda: {"process.cpu.time": []}), "process.cpu.time"),
        (SimpleNamespace(_DEFAULT_CONFIG={"x": None}), "nothing of gc_otel's"),
        (SimpleNamespace(), "(it cannot be asked)"),
    ],
)
def test_the_names_left_to_system_metrics_are_told(monkeypatch, module, names):
    """As far as its versions let themselves be asked."""
    monkeypatch.setitem(sys.modules, "opentelemetry.instrumentation.system_metrics", module)
    (line,) = _system_metrics_line()
    assert line.endswith(f"gc_otel does not: {names}")


def test_the_real_system_metrics_is_left_the_semantic_conventions():
    """The version that is installed here."""
    pytest.importorskip("opentelemetry.instrumentation.system_metrics")
    (line,) = _system_metrics_line()
    assert "cpython.gc.collections, cpython.gc.collected_objects" in line


def test_a_disabled_system_metrics_is_not_mentioned():
    """It will publish nothing."""
    assert _system_metrics_line(OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="system_metrics") == []

"""What of OpenTelemetry is installed, and whether what the environment asks for is there."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Any, Final

from gc_otel.cli.checks import Check, fail, ok, warn

_GROUP: Final = "opentelemetry"
_ENTRY_POINT: Final = "gc_otel"

_NEEDED: Final = (
    "opentelemetry-api",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation",
    "opentelemetry-exporter-prometheus",
)
_DISTRO: Final = "opentelemetry-distro"
_SIGNALS: Final = ("metrics", "traces", "logs")
_OTLP_BY_PROTOCOL: Final = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}
_PACKAGES: Final = {
    "otlp_proto_grpc": "opentelemetry-exporter-otlp-proto-grpc",
    "otlp_proto_http": "opentelemetry-exporter-otlp-proto-http",
    "prometheus": "opentelemetry-exporter-prometheus",
}


@dataclass(frozen=True, slots=True)
class Installed:
    """What pip has put there; ``exporters`` by signal."""

    versions: Mapping[str, str] = field(default_factory=dict)
    instrumentors: Mapping[str, metadata.EntryPoint] = field(default_factory=dict)
    exporters: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def look(cls) -> Installed:
        """Ask the metadata of this interpreter's packages."""
        versions = {}
        for package in (*_NEEDED, _DISTRO):
            found = _version(package)
            if found is not None:
                versions[package] = found
        exporters = {
            signal: frozenset(point.name for point in metadata.entry_points(group=f"opentelemetry_{signal}_exporter"))
            for signal in _SIGNALS
        }
        instrumentors = {point.name: point for point in metadata.entry_points(group="opentelemetry_instrumentor")}
        return cls(versions, instrumentors, exporters)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def check_opentelemetry(installed: Installed, env: Mapping[str, str] | None = None) -> Iterator[Check]:
    """Packages, entry point, neighbours, exporters, and the variables that concern us."""
    env = os.environ if env is None else env
    yield from _packages(installed)
    yield from _switches(env)
    yield from _entry_point(installed)
    yield from _system_metrics(installed, env)
    yield ok(
        _GROUP, f"metrics exporters installed: {', '.join(sorted(installed.exporters.get('metrics', ()))) or 'none'}"
    )
    if env.get("OTEL_CONFIG_FILE"):
        yield _config_file(env["OTEL_CONFIG_FILE"])
        return
    yield from _exporters(installed, env)


def _packages(installed: Installed) -> Iterator[Check]:
    there = [f"{name.removeprefix('opentelemetry-')} {version}" for name, version in installed.versions.items()]
    missing = [name for name in _NEEDED if name not in installed.versions]
    if missing:
        yield fail(_GROUP, f"not installed: {', '.join(missing)}", f"pip install {' '.join(missing)}")
    if there:
        yield ok(_GROUP, ", ".join(there))
    if _DISTRO not in installed.versions:
        yield ok(_GROUP, f"{_DISTRO} is not installed; without it, opentelemetry-instrument sets up no exporter")


def _switches(env: Mapping[str, str]) -> Iterator[Check]:
    if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        yield warn(_GROUP, "OTEL_SDK_DISABLED=true: nothing is recorded and nothing published", "Unset it.")
    disabled = [name.strip() for name in env.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")]
    if _ENTRY_POINT in disabled or "*" in disabled:
        named = _ENTRY_POINT if _ENTRY_POINT in disabled else "*"
        yield warn(
            _GROUP,
            f"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS names {named}: opentelemetry-instrument passes gc_otel over",
            f"Take {named} out of it.",
        )


def _entry_point(installed: Installed) -> Iterator[Check]:
    point = installed.instrumentors.get(_ENTRY_POINT)
    if point is None:
        yield warn(
            _GROUP,
            "the entry point gc_otel is not visible: opentelemetry-instrument does not find it",
            "Install the package with pip; a checkout on PYTHONPATH has no entry points. In code it works all the same.",
        )
        return
    try:
        point.load()
    except Exception as error:  # noqa: BLE001 - whatever it is, opentelemetry-instrument would meet it too
        yield fail(
            _GROUP,
            f"the entry point gc_otel cannot be loaded: {type(error).__name__}: {error}",
            "Reinstall gc_otel with its dependencies: pip install --force-reinstall gc_otel",
        )
    else:
        yield ok(_GROUP, "the entry point gc_otel is there for opentelemetry-instrument")


def _system_metrics(installed: Installed, env: Mapping[str, str]) -> Iterator[Check]:
    if "system_metrics" not in installed.instrumentors:
        return
    if "system_metrics" in [name.strip() for name in env.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")]:
        return
    names = _left_to_system_metrics()
    yield ok(
        _GROUP,
        f"where opentelemetry-instrumentation-system-metrics is active, it publishes, and gc_otel does not: {names}",
    )


def _left_to_system_metrics() -> str:
    from gc_otel.otel.catalog import CATALOG

    try:
        module: Any = importlib.import_module("opentelemetry.instrumentation.system_metrics")
        theirs = getattr(module, "_build_default_config", lambda: module._DEFAULT_CONFIG)()  # noqa: SLF001 - no public way
    except Exception:  # noqa: BLE001 - it is theirs, and broken
        return "(it cannot be asked)"
    return ", ".join(metric.name for metric in CATALOG if metric.name in theirs) or "nothing of gc_otel's"


def _config_file(path: str) -> Check:
    if os.path.isfile(path):
        return ok(
            _GROUP, f"OTEL_CONFIG_FILE={path}: exporters are what it says, and the variables for them are not read"
        )
    return fail(_GROUP, f"OTEL_CONFIG_FILE={path} is not there", "Correct the path, or unset it.")


def _exporters(installed: Installed, env: Mapping[str, str]) -> Iterator[Check]:
    """Whether what the variables name is installed: one that is missing keeps all others from being set up."""
    signals_by_check: dict[Check, list[str]] = {}
    for signal in _SIGNALS:
        for check in _exporters_of(signal, installed, env):
            signals_by_check.setdefault(check, []).append(signal)
    for check, signals in signals_by_check.items():
        yield replace(check, finding=f"{', '.join(signals)}: {check.finding}")


def _exporters_of(signal: str, installed: Installed, env: Mapping[str, str]) -> Iterator[Check]:
    variable = f"OTEL_{signal.upper()}_EXPORTER"
    given = env.get(variable, "").strip()
    if given.lower() == "none" or not (given or _DISTRO in installed.versions):
        if signal == "metrics":
            what = f"{variable}={given}" if given else f"{variable} is not set"
            yield ok(_GROUP, f"{what}: only a MeterProvider made in code publishes")
        return
    for name in (part.strip() for part in (given or "otlp").split(",")):
        yield _exporter(signal, name, f"{variable}={given}" if given else "", installed, env)


def _exporter(signal: str, name: str, given: str, installed: Installed, env: Mapping[str, str]) -> Check:
    protocol_variable = f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL"
    if not env.get(protocol_variable):
        protocol_variable = "OTEL_EXPORTER_OTLP_PROTOCOL"
    protocol = env.get(protocol_variable, "").strip()
    asked, needed = given or "otlp, the default,", name
    if name == "otlp":
        needed = _OTLP_BY_PROTOCOL.get(protocol or "grpc", "")
        asked += f" with {protocol_variable}={protocol}" if protocol else " by grpc, the default protocol,"
    if not needed:
        return fail(_GROUP, f"{asked} names no known protocol", f"It takes {' or '.join(_OTLP_BY_PROTOCOL)}.")
    if needed in installed.exporters.get(signal, ()):
        return ok(_GROUP, f"{asked} is met by {needed}")
    # Without any variable this may be a machine that uses OpenTelemetry in code only.
    judge = fail if given or protocol else warn
    remedy = _remedy(signal, name, needed, installed)
    return judge(_GROUP, f"{asked} needs {needed}, which is missing: opentelemetry-instrument sets up nothing", remedy)


def _remedy(signal: str, name: str, needed: str, installed: Installed) -> str:
    if name == "otlp" and needed == "otlp_proto_grpc" and "otlp_proto_http" in installed.exporters.get(signal, ()):
        return "Set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf: the http exporter is installed."
    if name == "prometheus" and signal != "metrics":
        return f"Set OTEL_{signal.upper()}_EXPORTER=none: Prometheus takes metrics only."
    package = _PACKAGES.get(needed)
    install = "Install the package of that exporter" if package is None else f"pip install {package}"
    return f"{install}; or name one that is installed, or none, in OTEL_METRICS_EXPORTER and its like."

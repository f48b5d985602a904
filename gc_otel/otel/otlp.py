"""Pushing by OTLP: what the standard variables ask for, and the library that speaks it.

Endpoint, headers, timeout, compression and certificates are read by opentelemetry-exporter-otlp-proto-http itself. What
is decided here: whether to push, how often, and by which temporality.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from gc_otel.errors import GcOtelError, NotSupported

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter, ResourceMetrics

    from gc_otel.otel.catalog import Kind

PROTOCOL: Final = "http/protobuf"

_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_METRICS_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
_INTERVAL: Final = "OTEL_METRIC_EXPORT_INTERVAL"
_PREFERENCE: Final = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
_INTERVAL_DEFAULT_MS: Final = 60_000
_INTERVAL_LEAST_MS: Final = 100
_LIBRARY: Final = "opentelemetry-exporter-otlp-proto-http"
_GRPC_PORT: Final = 4317

#: What each preference gives as differences, as the SDK does for the instruments of library mode, whose counters are observable.
_DELTA: Final[Mapping[str, frozenset[Kind]]] = {
    "cumulative": frozenset(),
    "delta": frozenset({"counter", "histogram"}),
    "lowmemory": frozenset({"histogram"}),
}

_ADDRESS_IN_MEMORY: Final = re.compile(r" (?:object )?at 0x[0-9a-f]+")
_REASON_LETTERS_MOST: Final = 400


class NotPushed(GcOtelError):
    """The receiver did not take it, or there is none."""

    remedy = "It is tried again. See OTEL_EXPORTER_OTLP_ENDPOINT, and the receiver's own log."


@dataclass(frozen=True, slots=True)
class Push:
    """How to push.  ``delta`` are the kinds of metrics sent as differences; ``problems`` are lines for the user."""

    endpoint: str
    interval_s: float
    preference: str
    problems: tuple[str, ...] = ()

    @property
    def delta(self) -> frozenset[Kind]:
        """Which kinds of metrics are sent as what happened since the last push that was taken."""
        return _DELTA[self.preference]


def push_or_why_not(env: Mapping[str, str]) -> Push | NotSupported | None:
    """What the environment asks for; None where it asks for no push, and the reason where one cannot be."""
    try:
        push = push_of(env)
        if push is not None:
            check_library()
    except NotSupported as error:
        return error
    return push


def lines_of(push: Push | NotSupported | None) -> tuple[str, ...]:
    """What the user is to know of it before anything is pushed."""
    if isinstance(push, NotSupported):
        return (f"{push}. {push.remedy}",)
    return () if push is None else push.problems


def push_of(env: Mapping[str, str]) -> Push | None:
    """What the environment asks for; None where it asks for no push.  NotSupported where it can never be met."""
    given = env.get(_METRICS_ENDPOINT, "").strip() or env.get(_ENDPOINT, "").strip()
    if not given or not _is_chosen(env):
        return None
    endpoint = _shown(given if env.get(_METRICS_ENDPOINT, "").strip() else f"{given.rstrip('/')}/v1/metrics")
    _check_protocol(env)
    problems: list[str] = []
    interval_s = _interval_s(env, problems)
    preference = _preference(env, problems)
    return Push(endpoint, interval_s, preference, tuple(problems))


def _is_chosen(env: Mapping[str, str]) -> bool:
    chosen = env.get("OTEL_METRICS_EXPORTER", "").strip().lower()
    is_disabled = env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return not is_disabled and (not chosen or "otlp" in [each.strip() for each in chosen.split(",")])


def _shown(endpoint: str) -> str:
    """Without what may be secret in it: user, password, query."""
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or parts.scheme not in ("http", "https"):
        raise NotSupported(
            "nothing is pushed by OTLP: its endpoint is no http or https URL",
            remedy=f"Set {_ENDPOINT} to something like http://localhost:4318.",
        )
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{f':{port}' if port is not None else ''}{parts.path}"


def _check_protocol(env: Mapping[str, str]) -> None:
    for variable in ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        protocol = env.get(variable, "").strip()
        if protocol == PROTOCOL:
            return
        if protocol:
            raise NotSupported(
                f"nothing is pushed by OTLP: {variable}={protocol}, and the exporter service speaks {PROTOCOL}",
                remedy=f"Set OTEL_EXPORTER_OTLP_METRICS_PROTOCOL={PROTOCOL}, and {_METRICS_ENDPOINT} to a receiver of it "
                "(port 4318 by custom).",
            )


def _interval_s(env: Mapping[str, str], problems: list[str]) -> float:
    text = env.get(_INTERVAL, "").strip()
    if not text:
        return _INTERVAL_DEFAULT_MS / 1e3
    try:
        interval_ms = float(text)
    except ValueError:
        interval_ms = math.nan
    if not _INTERVAL_LEAST_MS <= interval_ms < math.inf:
        problems.append(
            f"{_INTERVAL}={text!r} cannot be used: it takes milliseconds, {_INTERVAL_LEAST_MS} or more. "
            f"Using the default, {_INTERVAL_DEFAULT_MS}."
        )
        return _INTERVAL_DEFAULT_MS / 1e3
    return interval_ms / 1e3


def _preference(env: Mapping[str, str], problems: list[str]) -> str:
    text = env.get(_PREFERENCE, "").strip()
    word = text.lower() or "cumulative"
    if word not in _DELTA:
        problems.append(
            f"{_PREFERENCE}={text!r} cannot be used: it takes {', '.join(_DELTA)}. Using the default, cumulative."
        )
        return "cumulative"
    return word


class Sender:
    """Sends points, and says why it could not.  For one thread, but for :meth:`interrupt`.

    NotSupported where the library is missing.
    """

    def __init__(self, push: Push, *, timeout_s: float | None = None) -> None:
        """``timeout_s`` replaces that of the environment."""
        self._push = push
        self._exporter = _make_exporter(timeout_s)

    def send(self, resource_metrics: Sequence[ResourceMetrics]) -> None:
        """NotPushed when the receiver has not taken it, after what the library tries again within its timeout."""
        from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData

        with _last_words() as said:
            try:
                result = self._exporter.export(MetricsData(resource_metrics))
            except Exception as error:
                raise NotPushed(self._why(f"{type(error).__name__}: {error}")) from error
        if result is not MetricExportResult.SUCCESS:
            raise NotPushed(self._why("; ".join(said[-2:]) or "no reason was given"))

    def _why(self, reason: str) -> str:
        plain = _ADDRESS_IN_MEMORY.sub("", reason)[:_REASON_LETTERS_MOST].rstrip(".")
        is_grpc = self._push.endpoint.partition("//")[2].partition("/")[0].endswith(f":{_GRPC_PORT}")
        hint = f" ({_GRPC_PORT} is by custom the port of grpc, and this speaks {PROTOCOL})" if is_grpc else ""
        return f"{self._push.endpoint}: {plain}{hint}"

    def interrupt(self) -> None:
        """From another thread: give up what is being tried again.  Nothing can be sent afterwards."""
        self._exporter.shutdown()


def check_library() -> None:
    """NotSupported where the library that speaks OTLP is missing."""
    try:
        import opentelemetry.exporter.otlp.proto.http.metric_exporter  # noqa: F401
    except ImportError as error:
        raise NotSupported(
            f"nothing is pushed by OTLP: {_LIBRARY} is not installed, or not whole ({error})",
            remedy="Run `pip install 'gc_otel[otlp]'`; or set OTEL_METRICS_EXPORTER=none, and this is not said.",
        ) from error


def _make_exporter(timeout_s: float | None) -> MetricExporter:
    check_library()
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    return OTLPMetricExporter() if timeout_s is None else OTLPMetricExporter(timeout=timeout_s)  # type: ignore[arg-type, unused-ignore]  # a float is meant, and was not always said


class _Ear(logging.Handler):
    """Keeps what a library says of its failures; its result is only yes or no."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said = [*self.said[-9:], record.getMessage().rstrip(".")]


@contextmanager
def _last_words() -> Iterator[list[str]]:
    logger, ear = logging.getLogger("opentelemetry.exporter"), _Ear()
    said: list[str] = []
    before, logger.propagate = logger.propagate, False
    logger.addHandler(ear)
    try:
        yield said
    finally:
        said += ear.said
        logger.removeHandler(ear)
        logger.propagate = before

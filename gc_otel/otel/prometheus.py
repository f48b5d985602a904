"""The text of /metrics, by opentelemetry-exporter-prometheus.

HAZARD: the exporter's reader keeps what a scrape collects in one queue for all scrapes.  Two at the
same time take each other's: one page has every series twice, the other none.  So one lock is held
from producing to the last line of text.  Who waits for it takes the text that was begun while he waited.

This is the one place that uses a private part of the SDK, ``MetricReader._set_collect_callback``:
there is no public way to feed a reader with points that are aggregated already.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry
from prometheus_client.core import InfoMetricFamily
from prometheus_client.exposition import choose_encoder, generate_latest

from gc_otel.errors import NotSupported
from gc_otel.otel.forms import COPIED, UnknownForm, without_end
from gc_otel.otel.pieces import Pieces
from gc_otel.otel.producer import PROCESS_PID

PLAIN_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"

#: The first exporter that copies resource attributes to its series.
_VERSION_LEAST: Final = "0.66b0"

_Encoder = Callable[[CollectorRegistry], bytes]


@dataclass(frozen=True, slots=True)
class Rendered:
    """A page.  ``number`` counts renderings from 1."""

    number: int
    content_type: str
    body: bytes


class Page:
    """Renders what ``produce`` gives, one process after the other; both run under one lock, in the thread that asks.

    ``rendered`` is called under it too, when a page is complete.
    """

    def __init__(
        self, produce: Callable[[], Iterable[ResourceMetrics]], rendered: Callable[[], None] = lambda: None
    ) -> None:
        self._lock = threading.Lock()
        self._produce = produce
        self._rendered = rendered
        self._begun = 0
        self._last: dict[str, Rendered] = {}
        self._given: Sequence[ResourceMetrics] = ()
        self._pieces: dict[str, Pieces] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        # The reader's own target_info would be one line for all processes, and no scope labels: they
        # would say the same on every series.
        check_exporter_version()
        reader = PrometheusMetricReader(
            disable_target_info=True,
            scope_info_enabled=False,
            resource_attribute_filter=COPIED.__contains__,
            registry=self._registry,
        )
        reader._set_collect_callback(self._collect)  # noqa: SLF001  # see the module's docstring

    def render(self, accept: str = "") -> Rendered:
        """The page in the format that an Accept header asks for: OpenMetrics, or Prometheus' own text."""
        encode, content_type = _encoder(accept)
        # Read before the lock: a rendering with a higher number began after this call did.
        arrived = self._begun
        with self._lock:
            shared = self._last.get(content_type)
            if shared is not None and shared.number > arrived:
                return shared
            self._begun += 1
            self._last.clear()
            page = Rendered(self._begun, content_type, self._text(encode, content_type))
            self._rendered()
            self._last[content_type] = page
            return page

    def _text(self, encode: _Encoder, content_type: str) -> bytes:
        def render(resource_metrics: Sequence[ResourceMetrics]) -> str:
            self._given = resource_metrics
            return encode(self._registry).decode()

        # Kept for the two formats that were asked for last: each is as large as its page.
        pieces = self._pieces.pop(content_type, None) or Pieces(render)
        self._pieces = {**dict([*self._pieces.items()][-1:]), content_type: pieces}
        try:
            text, resources = pieces.page(self._produce()), pieces.resources
        except UnknownForm:  # libraries of another day: all at once, by them
            everything = list(self._produce())
            text, resources = without_end(render(everything)), [each.resource for each in everything]
        targets = CollectorRegistry(auto_describe=False)
        targets.register(_Targets(resources))
        return text.encode() + encode(targets)

    def _collect(self, *_: object, **__: object) -> MetricsData:
        return MetricsData(self._given)


class _Targets:
    """``target_info`` of every process."""

    def __init__(self, resources: Sequence[Resource]) -> None:
        self._resources = resources

    def collect(self) -> Iterator[InfoMetricFamily]:
        family = InfoMetricFamily("target", "What is known of a process.")
        for each in self._resources:
            attributes = each.attributes
            if PROCESS_PID in attributes:
                family.add_metric([], {_label(name): str(value) for name, value in attributes.items()})
        yield family


def check_exporter_version() -> None:
    """NotSupported where the installed opentelemetry-exporter-prometheus is too old for a page of several processes.

    Not a requirement of the package: it would force the SDK of this year on every program in library mode.
    """
    if "resource_attribute_filter" not in inspect.signature(PrometheusMetricReader).parameters:
        raise NotSupported(
            f"the exporter service needs opentelemetry-exporter-prometheus {_VERSION_LEAST} or newer",
            remedy="Run `pip install -U opentelemetry-exporter-prometheus`. Library mode works with the installed one.",
        )


def _label(name: str) -> str:
    return name.replace(".", "_")


def _encoder(accept: str) -> tuple[_Encoder, str]:
    try:
        encode, content_type = choose_encoder(accept)
    except (ValueError, IndexError, TypeError):  # a version that is no version
        return generate_latest, PLAIN_TEXT
    encoder: Any = encode
    return encoder, content_type

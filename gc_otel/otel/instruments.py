"""The catalogue as instruments on a user's MeterProvider.

Nothing is ever recorded from the gc callback: it writes the flight file, and
the observable callbacks below, which the SDK calls in an ordinary thread
when a reader collects, read that file.  The duration histogram is fed there too:
the SDK calls all observable callbacks before it looks at the synchronous
instruments, so what they record is part of the same collect.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol
from weakref import WeakKeyDictionary

from opentelemetry.metrics import (
    CallbackOptions,
    Histogram,
    Meter,
    MeterProvider,
    Observation,
    get_meter,
    get_meter_provider,
)

from gc_otel._version import __version__
from gc_otel.config import Config
from gc_otel.flight import layout, reader
from gc_otel.flight.recorder import Recorder
from gc_otel.flight.snapshot import Snapshot
from gc_otel.flight.source import Source
from gc_otel.otel.catalog import CATALOG, DURATION, DURATION_BOUNDS_S, GENERATION, Attributes, Metric
from gc_otel.otel.drain import Batch, Drain
from gc_otel.otel.measured import MEASURE_METRICS, MeasureDrain, MeasureMetric

_COLLECTS, _DROPPED_SELF, _DROPPED_LIMIT, _OVERHEAD = (
    layout.PUBLISHED.offset_in_entry(name) for name in ("collects", "dropped_self", "dropped_limit", "overhead_ns")
)


#: A collect may feed the histogram for so long; the SDK gives up a collect, and its reader's
#: interval may be short.  What is left counts as dropped (``limit``).
_FEED_NS_MOST = 250_000_000
_CLOCK_STRIDE = 64

_Callback = Callable[[CallbackOptions], Iterable[Observation]]


class Recording(Protocol):
    """The part of :class:`gc_otel.probe.recording.Probe` that is published."""

    @property
    def source(self) -> Source:
        """The process's own flight file."""

    @property
    def alive(self) -> bool:
        """False once stopped."""

    @property
    def epoch(self) -> int:
        """Changes when the numbers begin from zero."""

    @property
    def recorder(self) -> Recorder:
        """To mark what publishing causes."""

    def published_cells(self) -> memoryview:
        """The cells that the publisher writes."""

    def note_fault(self, where: str, error: BaseException) -> None:
        """Note what failed and was contained."""


class Publisher:
    """Our instruments on one MeterProvider.

    The SDK cannot take instruments back, so they stay registered and observe nothing
    while nothing is bound; a second ``bind`` uses them again.
    """

    def __init__(self, meter: Meter, config: Config) -> None:
        self._config = config
        self._recording: Recording | None = None
        self._epoch = -1
        self._drain = Drain()
        self._snapshot: Snapshot | None = None
        self._base: dict[tuple[str, tuple[object, ...]], float] = {}
        self._last: dict[tuple[str, tuple[object, ...]], float] = {}
        self._left_to_others: set[str] = set()
        self._histogram: Histogram = _create_histogram(meter)
        self._measure_drain = MeasureDrain()
        self._measure_histograms = {metric.name: _create_measure_histogram(meter, metric) for metric in MEASURE_METRICS}
        # The SDK calls callbacks in the order of their registration: the first begins every collect.
        begin: list[_Callback] = [self._begin_collect]
        for metric in CATALOG:
            if metric is not DURATION:
                _create(meter, metric, [*begin, self._observer(metric)])
                begin = []

    def bind(self, recording: Recording, config: Config) -> None:
        """Publish that recording from the next collect on."""
        self._config, self._epoch, self._drain = config, recording.epoch, Drain()
        self._measure_drain = MeasureDrain()
        self._recording = recording

    def unbind(self) -> None:
        """Publish nothing more; totals go on from where they are if something is bound again."""
        self._recording = self._snapshot = None
        self._base = dict(self._last)

    def _begin_collect(self, _: CallbackOptions) -> Iterable[Observation]:
        recording = self._recording
        self._snapshot = None
        if recording is None or not recording.alive:
            return ()
        began_ns = time.thread_time_ns()
        try:
            if recording.epoch != self._epoch:  # a forked child: its numbers began from zero
                self._epoch, self._drain, self._base, self._last = recording.epoch, Drain(), {}, {}
                self._measure_drain = MeasureDrain()
            self._feed_histogram(recording, began_ns)
        except Exception as error:  # noqa: BLE001 - a collect of the user's must not fail by us
            recording.note_fault("collect", error)
        return ()

    def _feed_histogram(self, recording: Recording, began_ns: int) -> None:
        # With a threshold of 1 every allocation here collects: those collections are
        # marked as ours and left out of the histogram, or the next drain would be
        # longer than this one, without end.
        recording.recorder.begin_own_work()
        try:
            snapshot = reader.read(recording.source, latest_since=self._drain.last_event)
            deadline_ns = time.monotonic_ns() + _FEED_NS_MOST
            for batch in self._drain.take(snapshot.collector):
                self._drain.dropped_limit += batch.count - self._record(batch, deadline_ns)
            if snapshot.measured is not None:
                for metric, value, attributes in self._measure_drain.take(snapshot.measured):
                    if self._config.publishes(metric.name):
                        self._measure_histograms[metric.name].record(value, attributes)
        finally:
            recording.recorder.end_own_work()
        cells = recording.published_cells()
        cells[_COLLECTS] += 1
        cells[_DROPPED_SELF] = self._drain.dropped_self
        cells[_DROPPED_LIMIT] = self._drain.dropped_limit
        cells[_OVERHEAD] += time.thread_time_ns() - began_ns
        # The counters of a collect are those of the moment that its histogram speaks of.
        self._snapshot = replace(snapshot, published=reader.read_published(recording.source))

    def _record(self, batch: Batch, deadline_ns: int) -> int:
        """Give the batch to the histogram; returns how many values it could take in time."""
        if not self._config.publishes(DURATION.name):
            return batch.count
        attributes, value = {GENERATION: batch.generation}, batch.duration_ns / 1e9
        for number in range(batch.count):
            if number % _CLOCK_STRIDE == 0 and time.monotonic_ns() > deadline_ns:
                return number
            self._histogram.record(value, attributes)
        return batch.count

    def _observer(self, metric: Metric[Snapshot]) -> _Callback:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            snapshot, recording = self._snapshot, self._recording
            if snapshot is None or recording is None:
                return ()
            if not self._config.publishes(metric.name) or self._is_left_to_others(metric.name):
                return ()
            try:
                return [self._observation(metric, value, attributes) for value, attributes in metric.read(snapshot)]
            except Exception as error:  # noqa: BLE001 - one metric that fails leaves the others
                recording.note_fault(f"metric {metric.name}", error)
                return ()

        return observe

    def _is_left_to_others(self, name: str) -> bool:
        """For good once it was so: the other's ``uninstrument()`` leaves its instruments observing."""
        if name not in self._left_to_others and published_elsewhere(name):
            self._left_to_others.add(name)
        return name in self._left_to_others

    def _observation(self, metric: Metric[Snapshot], value: float, attributes: Attributes) -> Observation:
        if metric.since_recording and metric.kind == "counter":
            key = (metric.name, tuple(attributes.values()))
            value += self._base.get(key, 0)
            self._last[key] = value
        return Observation(value, dict(attributes))


def _create_histogram(meter: Meter) -> Histogram:
    return meter.create_histogram(
        DURATION.name,
        unit=DURATION.unit,
        description=DURATION.description,
        explicit_bucket_boundaries_advisory=list(DURATION_BOUNDS_S),
    )


def _create_measure_histogram(meter: Meter, metric: MeasureMetric) -> Histogram:
    return meter.create_histogram(
        metric.name,
        unit=metric.unit,
        description=metric.description,
        explicit_bucket_boundaries_advisory=list(metric.bounds),
    )


def _create(meter: Meter, metric: Metric[Snapshot], callbacks: list[_Callback]) -> None:
    create = {
        "counter": meter.create_observable_counter,
        "updowncounter": meter.create_observable_up_down_counter,
        "gauge": meter.create_observable_gauge,
    }[metric.kind]
    create(metric.name, callbacks, metric.unit, metric.description)


def published_elsewhere(name: str) -> bool:
    """Whether opentelemetry-instrumentation-system-metrics is active and publishes that name too.

    Asked at every collect, because it may be instrumented after us.  Its class is
    looked at and never instantiated: the instance would be made by the look.
    """
    module = sys.modules.get("opentelemetry.instrumentation.system_metrics")
    instance = getattr(getattr(module, "SystemMetricsInstrumentor", None), "_instance", None)
    if instance is None or not getattr(instance, "is_instrumented_by_opentelemetry", False):
        return False
    return name in (getattr(instance, "_config", None) or ())


_publishers: WeakKeyDictionary[MeterProvider, Publisher] = WeakKeyDictionary()

#: On the API's global provider, which changes once, from a proxy to what the proxy forwards to.
_global_publisher: list[Publisher] = []


def publisher_on(provider: MeterProvider, config: Config) -> Publisher:
    """Our publisher on that provider, made at the first call: instruments are registered once."""
    publisher = _publishers.get(provider)
    is_global = provider is get_meter_provider()
    if publisher is None and is_global and _global_publisher:
        publisher = _global_publisher[0]
    if publisher is None:
        publisher = Publisher(get_meter("gc_otel", __version__, provider), config)
        _publishers[provider] = publisher
    if is_global:
        _global_publisher[:] = [publisher]
    return publisher

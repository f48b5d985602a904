"""Thresholds of 1, so that every allocation collects: what a provider's readers receive, collect by collect.

publishing.py RECORDER cumulative      one reader
publishing.py RECORDER two             a cumulative and a delta reader in turn
publishing.py RECORDER unmarked        one reader; the collections that publishing causes are not marked
A process of its own, because whoever else has a gc callback pays for each of the thousands of collections.
"""

import gc
import sys

from _collected import report, summary
from opentelemetry.sdk.metrics import Histogram, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader

from gc_otel.flight.reader import read_faults
from gc_otel.instrumentor import GcInstrumentor
from gc_otel.otel import instruments
from gc_otel.probe import probe

RECORDER, MODE = sys.argv[1:]
COLLECTS = {"cumulative": 10, "two": 4, "unmarked": 3}[MODE]
ALLOCATIONS = 100
UNMARKED_MOST = 8_000
DELTA = {Histogram: AggregationTemporality.DELTA, ObservableCounter: AggregationTemporality.DELTA}


class Unmarked(instruments.Publisher):
    def bind(self, recording, config):
        class Recorder:
            begin_own_work = end_own_work = staticmethod(lambda: None)

        class Recording:
            recorder = Recorder

            def __getattr__(self, name):
                return getattr(recording, name)

        super().bind(Recording(), config)


def work():
    kept = [[] for _ in range(ALLOCATIONS)]
    kept.append(kept)


if MODE == "unmarked":
    instruments._FEED_NS_MOST = 10**12  # the deadline would hide it
    instruments.Publisher = Unmarked
    instruments.Drain.take.__kwdefaults__["most"] = UNMARKED_MOST
readers = [InMemoryMetricReader()]
if MODE == "two":
    readers.append(InMemoryMetricReader(preferred_temporality=DELTA))
GcInstrumentor().instrument(meter_provider=MeterProvider(readers), recorder=RECORDER)
gc.collect()
gc.freeze()
gc.set_threshold(1, 1, 1)
told = []
for _ in range(COLLECTS):
    for reader in readers:
        work()
        told.append(summary(reader))
gc.set_threshold(700, 10, 10)
faults = [fault.text for fault in read_faults(probe.current().source)]
report({"cumulative": told[:: len(readers)], "delta": told[1::2] if MODE == "two" else [], "faults": faults})

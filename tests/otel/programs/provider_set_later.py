"""Instrument with the API's global provider, which is set only afterwards; three rounds of instrument, uninstrument."""

import gc
import sys

from _collected import report, summary
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from gc_otel.instrumentor import GcInstrumentor

reader = InMemoryMetricReader()
provider = MeterProvider([reader])
ours = GcInstrumentor()
if sys.argv[1] == "before":
    ours.instrument()
metrics.set_meter_provider(provider)
if sys.argv[1] == "after":
    ours.instrument()

rounds = []
for _ in range(3):
    gc.collect()
    rounds.append(summary(reader))
    ours.uninstrument()
    ours.instrument()
report(rounds)

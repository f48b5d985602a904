"""Instrument and uninstrument, three times; tell what the process holds before, during and after.

The first round is for warmth: imports and buffers that belong to others.
"""

import gc
import os
import sys
from pathlib import Path

from _collected import report
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from gc_otel.instrumentor import GcInstrumentor

FOLDER = os.environ["GC_OTEL_DIR"]


def held():
    gc.collect()
    maps = Path("/proc/self/maps").read_text(errors="replace").splitlines()
    return {
        "callbacks": len(gc.callbacks),
        "threads": len(os.listdir("/proc/self/task")),
        "descriptors": sorted(os.listdir("/proc/self/fd")),
        "mapped_files": sum(FOLDER in line for line in maps),
        "files": sorted(os.listdir(FOLDER)),
    }


reader = InMemoryMetricReader()
provider = MeterProvider([reader])
ours = GcInstrumentor()


def instrumented():
    ours.instrument(meter_provider=provider, recorder=sys.argv[1], sample_interval=0.1)
    gc.collect()
    reader.get_metrics_data()
    return held()


instrumented()
ours.uninstrument()
before = held()
for _ in range(2):
    during = instrumented()
    ours.uninstrument()
report({"before": before, "during": during, "after": held()})

"""Recorded for an exporter, with no OpenTelemetry of its own: collects, prints its counts as JSON, and waits."""

from __future__ import annotations

import gc
import json
import os
import sys

from gc_otel.config import Config
from gc_otel.probe import probe

gc.disable()
probe.start(Config.from_env())
before = [each["collections"] for each in gc.get_stats()]
for generation, times in enumerate((30, 20, 10)):
    for _ in range(times):
        gc.collect(generation)
counts = {str(generation): each["collections"] - before[generation] for generation, each in enumerate(gc.get_stats())}
print(json.dumps({"pid": os.getpid(), "collections": counts}), flush=True)
sys.stdin.readline()

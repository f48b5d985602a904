"""A worker in run mode that collects so often, and ends at once, in the way that is asked for: brief.py TIMES HOW."""

from __future__ import annotations

import gc
import os
import signal
import sys

from gc_otel.config import Config
from gc_otel.probe import probe

gc.disable()
probe.start(Config.from_env({**os.environ, "OTEL_SERVICE_NAME": "shop"}), run_mode=True)
for _ in range(int(sys.argv[1])):
    gc.collect(0)
if sys.argv[2] == "wait":
    print(f'{{"pid": {os.getpid()}}}', flush=True)
    sys.stdin.readline()
if sys.argv[2] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "_exit":
    os._exit(0)

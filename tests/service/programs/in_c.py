"""Recorded; then in C code that keeps the GIL, until it is killed."""

from __future__ import annotations

import ctypes
import gc

from gc_otel.config import Config
from gc_otel.probe import probe

probe.start(Config.from_env(sample_interval=0.1))
gc.collect()
print("here", flush=True)
ctypes.PyDLL(None).pause()

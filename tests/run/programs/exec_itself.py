"""Says its flight file, then becomes another program, as `opentelemetry-instrument` and many launchers do."""

from __future__ import annotations

import os
import sys

from gc_otel.probe import probe

print(probe.current().path, flush=True)  # type: ignore[union-attr]
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])

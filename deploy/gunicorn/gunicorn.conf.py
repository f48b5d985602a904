"""gunicorn under `gc-otel run`, or in an image with GC_OTEL_AUTOLOAD: what makes memory and collections better, and better to see.

Nothing here is needed to be recorded. For library mode, with a MeterProvider in each worker, see examples/gunicorn.conf.py.
"""

from __future__ import annotations

import gc

bind = "0.0.0.0:8000"
workers = 4

# What the application loads is shared by all workers: PSS and USS on the dashboards are less than RSS.
preload_app = True

# gunicorn's heartbeat, on memory: on a disk it can stop a worker for as long as the disk likes.
worker_tmp_dir = "/dev/shm"

# Recycling hides a leak for as long as it takes to find it. The growth alerts need processes that live for hours:
# with recycling every few minutes, the Leak hunt dashboard's "Growth over" has to be shorter than that.
max_requests = 0
max_requests_jitter = 0


def when_ready(server):
    """Once, before the workers are forked: what is loaded is visited by no collection any more, and stays shared."""
    gc.collect()
    gc.freeze()

"""Two workers of one shop; nothing here knows of gc_otel."""

from __future__ import annotations

import os

bind = os.environ.get("SHOP_BIND", "0.0.0.0:8000")
workers = 2
threads = 4
preload_app = True
worker_tmp_dir = "/dev/shm"
control_socket_disable = True

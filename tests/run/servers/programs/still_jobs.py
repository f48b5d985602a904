"""A celery application that needs no broker but a folder, named by JOBS_FOLDER."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import still
from celery import Celery

FOLDER = Path(os.environ["JOBS_FOLDER"])
for name in ("queue", "results", "control"):
    (FOLDER / name).mkdir(exist_ok=True)

app = Celery("still_jobs", broker="filesystem://", backend=f"file://{FOLDER / 'results'}")
app.conf.broker_transport_options = {
    "data_folder_in": str(FOLDER / "queue"),
    "data_folder_out": str(FOLDER / "queue"),
    "control_folder": str(FOLDER / "control"),
    "polling_interval": 0.05,
}
app.conf.worker_hijack_root_logger = False
app.conf.worker_prefetch_multiplier = 1


@app.task
def tell() -> dict[str, Any]:
    return still.tell()

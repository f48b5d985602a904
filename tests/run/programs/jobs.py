"""A celery application that needs no broker but a folder, named by JOBS_FOLDER."""

from __future__ import annotations

import os
from pathlib import Path

from celery import Celery

FOLDER = Path(os.environ["JOBS_FOLDER"])
for name in ("queue", "results", "control"):
    (FOLDER / name).mkdir(exist_ok=True)

app = Celery("jobs", broker="filesystem://", backend=f"file://{FOLDER / 'results'}")
app.conf.broker_transport_options = {
    "data_folder_in": str(FOLDER / "queue"),
    "data_folder_out": str(FOLDER / "queue"),
    "control_folder": str(FOLDER / "control"),
}
app.conf.worker_hijack_root_logger = False


@app.task
def who() -> int:
    """The process that does the work."""
    return os.getpid()

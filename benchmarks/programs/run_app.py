"""The Flask service of service_app.py as run mode has it, and a way to end and begin its recording."""

from __future__ import annotations

from benchmarks.programs.service_app import Response, app
from gc_otel.config import Config
from gc_otel.probe import probe


@app.post("/run-recording/<word>")
def run_recording(word: str) -> Response:
    """Record from here on, or no more."""
    current = probe.current()
    if word == "on" and current is None:
        probe.start(Config.from_env(), run_mode=True)
    elif word == "off" and current is not None:
        current.stop()
    return Response(word)


__all__ = ["app"]

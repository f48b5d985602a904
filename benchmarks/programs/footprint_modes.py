"""A process that starts one thing, says so, and waits until its input ends: ``footprint_modes.py MODE``."""

from __future__ import annotations

import sys


def nothing() -> None:
    """The interpreter alone."""


def recorder() -> None:
    """Callback and private memory: no file, no samplers."""
    from gc_otel import _native
    from gc_otel.flight import layout  # noqa: F401 - the room that every recorder brings

    extension, _ = _native.load()
    if extension is None:
        from gc_otel.flight.mapping import PythonMapping
        from gc_otel.flight.python_recorder import PythonRecorder

        PythonRecorder(PythonMapping(-1)).install()
    else:
        extension.Recorder(extension.Mapping(-1)).install()


def psutil() -> None:
    """The library that the samplers use."""
    import psutil  # noqa: F401 - its import is what is measured


def probe() -> None:
    """All that records: file, recorder, monitor thread.  Memory is sampled from outside."""
    from gc_otel.config import Config
    from gc_otel.probe import probe as recording

    recording.start(Config.from_env(), run_mode=True)


def sampled_probe() -> None:
    """The same, with samplers in the process itself."""
    from gc_otel.config import Config
    from gc_otel.probe import probe as recording

    recording.start(Config.from_env())


def stdlib() -> None:
    """What of the standard library nearly every service has imported already."""
    import dataclasses  # noqa: F401
    import pathlib  # noqa: F401
    import re  # noqa: F401
    import threading  # noqa: F401
    import urllib.parse  # noqa: F401
    import uuid  # noqa: F401


def stdlib_probe() -> None:
    """The same, with all that records and samples."""
    stdlib()
    sampled_probe()


def sdk() -> None:
    """A service's own OpenTelemetry."""
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from opentelemetry.metrics import set_meter_provider
    from opentelemetry.sdk.metrics import MeterProvider

    set_meter_provider(MeterProvider([PrometheusMetricReader()]))


def library() -> None:
    """The same, with us."""
    sdk()
    from gc_otel import GcInstrumentor

    GcInstrumentor().instrument()


_ALL = (nothing, recorder, psutil, probe, sampled_probe, stdlib, stdlib_probe, sdk, library)
MODES = {each.__name__: each for each in _ALL}

if __name__ == "__main__":
    MODES[sys.argv[1]]()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()

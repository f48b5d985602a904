"""The package, the interpreter, the recorder, the samplers and the settings."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from gc_otel import _native
from gc_otel._version import __version__
from gc_otel.cli.checks import Check, fail, ok, warn
from gc_otel.cli.output import bytes_text
from gc_otel.config import Config
from gc_otel.flight.recorder import gc_mode, python_duration_clock

_INSTALLATION = "installation"
_SETTINGS = "settings"

_MODES = {
    "generational": "its collector has three generations",
    "incremental": "its collector is incremental: generation 1 is a slice of the old ones, not a generation",
    "freethreaded": "free-threaded: one generation, and collections stop all threads for a part of their time",
}
_CLOCKS = {
    "thread_cpu": "durations are the CPU time of the collecting thread",
    "cpython": "durations are CPython's own",
}
_HOW_TO_BUILD = (
    "Install a C compiler and Python's headers, then: pip install --no-binary gc_otel --force-reinstall gc_otel"
)


def check_installation(config: Config) -> Iterator[Check]:
    """Version, interpreter, recorder, psutil."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.implementation.name == "cpython":
        yield ok(_INSTALLATION, f"gc_otel {__version__} on CPython {version}: {_MODES[gc_mode()]}")
    else:
        yield fail(
            _INSTALLATION,
            f"gc_otel {__version__} on {sys.implementation.name} {version}",
            "Use CPython: gc_otel records CPython's garbage collector.",
        )
    yield _recorder(config)
    yield _psutil()


def _recorder(config: Config) -> Check:
    extension, why_not = _native.load()
    if config.recorder == "python":
        return ok(_INSTALLATION, f"the Python recorder, as GC_OTEL_RECORDER says; {_CLOCKS[python_duration_clock()]}")
    if extension is not None:
        return ok(_INSTALLATION, "the native recorder is built, and used")
    if config.recorder == "native":
        return fail(_INSTALLATION, f"GC_OTEL_RECORDER=native, and it cannot be loaded: {why_not}", _HOW_TO_BUILD)
    return warn(
        _INSTALLATION,
        f"the native recorder cannot be loaded ({why_not}); the Python one is used, and "
        f"{_CLOCKS[python_duration_clock()]}",
        _HOW_TO_BUILD,
    )


def _psutil() -> Check:
    try:
        import psutil
    except ImportError as error:
        return fail(_INSTALLATION, f"psutil cannot be loaded ({error}): no memory is sampled", "pip install psutil")
    return ok(_INSTALLATION, f"psutil {psutil.__version__} samples memory, CPU time, threads and descriptors")


def check_memory_limit() -> Iterator[Check]:
    """The limit that binds this process, as it binds one started from here."""
    from gc_otel.sample.cgroup import LimitReader

    try:
        limit = LimitReader().read()
    except Exception as error:  # noqa: BLE001 - a strange /proc is a finding, not the end of the other checks
        yield warn("memory limit", f"cannot be read: {type(error).__name__}: {error}", "Look at /proc/self/cgroup.")
        return
    if limit is None:
        yield warn(
            "memory limit", "none is known here", "process.memory.limit is not published; nothing else is affected."
        )
    else:
        yield ok(
            "memory limit",
            f"{bytes_text(limit.limit_bytes)}, set by {limit.source}; it binds what is started from here",
        )


def check_settings(config: Config) -> Iterator[Check]:
    """What of the environment cannot be used, or switches recording off."""
    for problem in config.problems:
        finding = str(problem).removeprefix("gc_otel: ")
        yield warn(_SETTINGS, finding, f"Correct or unset {problem.variable}; `gc-otel config` lists all settings.")
    if not config.enabled:
        source = config.sources["enabled"]
        yield warn(_SETTINGS, f"recording is switched off by {source}", f"Unset {source} to record.")
    changed = sorted(source for source in config.sources.values() if source != "default")
    if not config.problems and config.enabled:
        yield ok(_SETTINGS, f"set: {', '.join(changed)}" if changed else "all at their defaults")

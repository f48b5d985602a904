"""One recording per process, in the main interpreter only: start it, find it, stop it."""

from __future__ import annotations

from gc_otel import _native
from gc_otel.config import Config
from gc_otel.errors import NotSupported
from gc_otel.probe.faults import say
from gc_otel.probe.recording import Probe, remove_leftovers

TYPE_CHECKING = False  # as in gc_otel/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable

_current: Probe | None = None


def current() -> Probe | None:
    """The probe of this process, if one is recording."""
    return _current if _current is not None and _current.alive else None


def start(config: Config, *, run_mode: bool = False) -> Callable[[], None]:
    """Record this process; returns its stop.  NotSupported in a sub-interpreter."""
    global _current
    if not in_main_interpreter():
        raise NotSupported("gc_otel records the main interpreter only")
    for problem in config.problems:
        say(str(problem))
    remove_leftovers()
    probe = Probe(config, run_mode=run_mode)
    probe.start()
    _current = probe

    def stop() -> None:
        global _current
        probe.stop()
        if _current is probe:
            _current = None

    return stop


def in_main_interpreter() -> bool:
    """False in a sub-interpreter, legacy or isolated."""
    native, _ = _native.load()
    if native is not None:
        return bool(native.in_main_interpreter())
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            module = __import__(name)
        except ImportError:
            continue
        return _interpreter_id(module.get_current()) == _interpreter_id(module.get_main())
    return True


def _interpreter_id(answer: object) -> int:
    # 3.13 and later answer with a tuple whose first item is the id.
    return int(answer[0]) if isinstance(answer, tuple) else int(answer)  # type: ignore[call-overload]

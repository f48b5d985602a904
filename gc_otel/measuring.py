"""What a block of code costs: allocated blocks, resident memory, and the collections inside it.

    with gc_otel.measure("checkout") as measured:
        ...
    print(measured.blocks, measured.rss_bytes, measured.gc_ns)

    @gc_otel.measure("checkout")
    async def checkout(): ...

The numbers are of the process, so what ran at the same time is in them: other threads that used a core, other tasks of the
event loop during a ``with`` that was suspended.  Such a result is marked ``overlapped``.  A decorated coroutine or generator is
measured step by step instead: what others do between its steps is not in it.

In a recorded process each run is added to histograms in the flight file, by name, and published from there;
whether or not it is recorded, it is set on the current span, where OpenTelemetry is loaded and there is one.
"""

from __future__ import annotations

import functools
import inspect
import sys
import time
from _thread import get_ident
from collections.abc import Callable, Generator, Iterator
from typing import Any, Final, TypeVar

from gc_otel.errors import GcOtelError
from gc_otel.heap.pages import rss_bytes, uss_bytes
from gc_otel.probe import measures, probe

F = TypeVar("F", bound=Callable[..., Any])

#: Other threads may have used a core for so long without being called an overlap: two clocks are not read at once.
_OTHERS_CPU_NS: Final = 50_000
_PREFIX: Final = "gc_otel.measure"
_CAN_SUSPEND: Final = (
    inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE | inspect.CO_GENERATOR
)


class Measured:
    """What one run cost; complete once it has ended.

    ``blocks``: allocated blocks more than before (fewer: negative).  ``rss_bytes`` and ``uss_bytes``: resident and unique
    memory, the latter if asked for; None where /proc does not tell.  ``collections`` and ``gc_ns``: collections inside, and
    the time in them, None in a process that is not recorded.  ``duration_ns``: by the clock, for a coroutine or generator the
    time of its steps.  ``overlapped``: other threads or tasks ran meanwhile, and are in these numbers.
    """

    __slots__ = ("blocks", "collections", "duration_ns", "gc_ns", "name", "overlapped", "rss_bytes", "uss_bytes")

    def __init__(self, name: str) -> None:
        self.name = name
        self.blocks = 0
        self.rss_bytes: int | None = None
        self.uss_bytes: int | None = None
        self.collections = 0
        self.gc_ns: int | None = None
        self.duration_ns = 0
        self.overlapped = False

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in sorted(self.__slots__) if name != "name")
        return f"Measured({self.name!r}, {values})"


class _State:
    """The process at one moment; only the difference of two means anything."""

    __slots__ = ("blocks", "collections", "gc_ns", "others_cpu_ns", "rss_bytes", "time_ns", "uss_bytes")

    def __init__(self, *, uss: bool) -> None:
        self.uss_bytes = uss_bytes() if uss else None
        self.rss_bytes = rss_bytes()
        self.collections, self.gc_ns = measures.collections()
        self.others_cpu_ns = time.process_time_ns() - time.thread_time_ns()
        self.blocks = sys.getallocatedblocks()
        self.time_ns = time.monotonic_ns()


class measure:  # noqa: N801 - used as a decorator and in `with`, as contextlib's are
    """Measure a block of code, or each call of a function, under ``name``; see the module.

    ``uss`` measures unique memory too: some tenths of a millisecond, twice.  Names beyond the first 32 are recorded together, as
    ``other``.
    """

    def __init__(self, name: str, *, uss: bool = False) -> None:
        if type(name) is not str or not name:
            raise TypeError("measure() needs the block's name, a str: measure('checkout')")
        self._name, self._uss = name, uss
        self._entered: dict[int, list[_Run]] = {}  # by thread

    def __enter__(self) -> Measured:
        run = _Run(self._name, uss=self._uss, watch=_Watch.of_caller(sys._getframe(1)))  # noqa: SLF001 - the block's own frame
        return self._enter(run)

    def __exit__(self, *_: object) -> None:
        self._leave()

    async def __aenter__(self) -> Measured:
        run = _Run(self._name, uss=self._uss, watch=_Watch())
        return self._enter(run)

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    def _enter(self, run: _Run) -> Measured:
        self._entered.setdefault(get_ident(), []).append(run)
        run.begin()
        return run.measured

    def _leave(self) -> None:
        runs = self._entered[get_ident()]
        run = runs.pop()
        if not runs:
            del self._entered[get_ident()]
        run.finish()

    def __call__(self, function: F) -> F:
        """Decorate a function, a coroutine function or a generator function."""
        name, uss = self._name, self._uss
        wrapped: Any
        if inspect.isasyncgenfunction(function):
            raise NotMeasurable(f"{function.__qualname__} is an asynchronous generator, which its caller drives")
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapped(*args: Any, **kwargs: Any) -> Any:
                return await _Steps(function(*args, **kwargs), _Run(name, uss=uss))

        elif inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def wrapped(*args: Any, **kwargs: Any) -> Any:
                return (yield from _Steps(function(*args, **kwargs), _Run(name, uss=uss)))

        else:

            @functools.wraps(function)
            def wrapped(*args: Any, **kwargs: Any) -> Any:
                run = _Run(name, uss=uss)
                run.begin()
                try:
                    return function(*args, **kwargs)
                finally:
                    run.finish()

        result: F = wrapped
        return result


class NotMeasurable(GcOtelError, TypeError):
    """What cannot be measured step by step."""

    remedy = "Measure what is in its body: `with gc_otel.measure(...)`."


class _Run:
    """One run: its steps are added up, and told once."""

    def __init__(self, name: str, *, uss: bool, watch: _Watch | None = None) -> None:
        self.measured = Measured(name)
        self._uss, self._watch = uss, watch
        self._before: _State | None = None

    def begin(self) -> None:
        self._before = _State(uss=self._uss)

    def end(self) -> None:
        before, self._before = self._before, None
        if before is None:
            return
        now, measured = _State(uss=self._uss), self.measured
        measured.blocks += now.blocks - before.blocks
        measured.rss_bytes = _grown(measured.rss_bytes, now.rss_bytes, before.rss_bytes)
        measured.uss_bytes = _grown(measured.uss_bytes, now.uss_bytes, before.uss_bytes)
        measured.gc_ns = _grown(measured.gc_ns, now.gc_ns, before.gc_ns)
        measured.collections += now.collections - before.collections
        measured.duration_ns += now.time_ns - before.time_ns
        measured.overlapped |= now.others_cpu_ns - before.others_cpu_ns > _OTHERS_CPU_NS

    def finish(self) -> None:
        self.end()
        if self._watch is not None:
            self.measured.overlapped |= self._watch.has_turned()
        measures.add(self.measured)
        _tell_span(self.measured)


def _grown(so_far: int | None, now: int | None, before: int | None) -> int | None:
    return so_far if now is None or before is None else (so_far or 0) + now - before


class _Watch:
    """Whether the event loop of this thread has turned since: then other tasks may have run.

    Asked of the loop itself, by a callback that it calls at its next turn: whatever loop it is, uvloop too.  Under gevent
    nothing tells, so everything there counts as overlapped.
    """

    def __init__(self) -> None:
        self._turned = "gevent.monkey" in sys.modules and bool(getattr(sys.modules["gevent.monkey"], "saved", None))
        self._handle: Any = None
        asyncio = sys.modules.get("asyncio.events")
        loop = None if asyncio is None else asyncio._get_running_loop()  # noqa: SLF001 - documented, and cheaper than an exception
        if loop is not None and not self._turned:
            self._handle = loop.call_soon(self._turn)

    @classmethod
    def of_caller(cls, frame: Any) -> _Watch | None:
        """None for a function that cannot be suspended, unless greenlets can suspend anything."""
        return cls() if frame.f_code.co_flags & _CAN_SUSPEND or "gevent.monkey" in sys.modules else None

    def _turn(self) -> None:
        self._turned = True

    def has_turned(self) -> bool:
        if self._handle is not None:
            self._handle.cancel()
        return self._turned


class _Steps:
    """Drives a coroutine or a generator, and measures while it runs; what is between its steps is not in it."""

    def __init__(self, driven: Any, run: _Run) -> None:
        self._driven, self._run = driven, run
        self._ended = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __await__(self) -> Generator[Any, Any, Any]:
        return self  # type: ignore[return-value]  # it has what await asks of a generator

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        return self._step(self._driven.send, value)

    def throw(self, *error: Any) -> Any:
        return self._step(self._driven.throw, *error)

    def close(self) -> None:
        self._run.begin()
        try:
            self._driven.close()
        finally:
            self._finish()

    def _step(self, step: Callable[..., Any], *args: Any) -> Any:
        self._run.begin()
        try:
            result = step(*args)
        except BaseException:
            self._finish()
            raise
        self._run.end()
        return result

    def _finish(self) -> None:
        if not self._ended:
            self._ended = True
            self._run.finish()


def _tell_span(measured: Measured) -> None:
    """Attributes of the current span; nothing where no OpenTelemetry is loaded."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return
    try:
        span = trace.get_current_span()
        if span.is_recording():
            for name in Measured.__slots__:
                value = getattr(measured, name)
                if name != "name" and value is not None:
                    span.set_attribute(f"{_PREFIX}.{measured.name}.{name}", value)
    except Exception as error:  # noqa: BLE001 - contained: a block that worked must not fail by being measured
        recording = probe.current()
        if recording is not None:
            recording.note_fault("span of a measured block", error)

"""The one monitor thread of this process, lent to whichever probe is current.

At-fork hooks cannot be unregistered, so there is one set of them, registered at the
first use and idle while no thread runs.  The native ticker's hooks are C functions and
registered themselves: no bytecode, and so no signal handler, runs inside a hook.
"""

from __future__ import annotations

import os

from gc_otel import _native

TYPE_CHECKING = False  # as in gc_otel/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable

    from gc_otel.probe.ticker import Ticker


class Clockwork:
    """A ticker with its fork hooks; ``begin`` and ``end`` are called by one probe at a time."""

    def __init__(self, *, native: bool) -> None:
        self._tick: Callable[[], object] | None = None
        self._on_child: Callable[[], object] | None = None
        self._ticker = self._make(native=native)
        os.register_at_fork(
            before=self._ticker.before_fork,
            after_in_parent=self._ticker.after_fork_in_parent,
            after_in_child=self._ticker.after_fork_in_child,
        )

    def _make(self, *, native: bool) -> Ticker:
        extension, _ = _native.load()
        if native and extension is not None:
            ticker: Ticker = extension.Ticker(self._call_tick, self._call_on_child)
            return ticker
        from gc_otel.probe.ticker import PythonTicker  # brings signal and enum

        twin = PythonTicker(self._call_tick, self._call_on_child)
        # Once more than the native one: a signal's handler that raises ends a hook, and the thread has to end before the fork.
        os.register_at_fork(before=twin.before_fork)
        return twin

    def _call_tick(self) -> None:
        if self._tick is not None:
            self._tick()

    def _call_on_child(self) -> None:
        if self._on_child is not None:
            self._on_child()

    @property
    def running(self) -> bool:
        """Whether the thread exists."""
        return self._ticker.running

    def begin(
        self,
        tick: Callable[[], object],
        on_child: Callable[[], object],
        *,
        interval_ns: int,
        memory: object = None,
        on_bell: Callable[[], object] | None = None,
    ) -> None:
        """Start the thread; OSError when none can be had.

        ``on_bell`` is called in the thread when another process rings at ``memory``, a flight file's.
        """
        self._tick, self._on_child = tick, on_child
        self._ticker.listen(None if on_bell is None else memory, on_bell or _nothing)
        self._ticker.interval_ns = interval_ns
        self._ticker.start()

    def end(self) -> None:
        """End the thread; a tick in progress is waited for."""
        self._ticker.stop()
        self._ticker.listen(None, _nothing)
        self._tick = self._on_child = None


def _nothing() -> None:
    """Nobody listens."""


_clockworks: dict[bool, Clockwork] = {}


def clockwork(*, native: bool) -> Clockwork:
    """The clockwork of this process, native or Python."""
    if native not in _clockworks:
        _clockworks[native] = Clockwork(native=native)
    return _clockworks[native]

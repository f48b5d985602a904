"""The recording of this process, from its start to its stop; it survives forks.

Whatever fails here is contained, noted in the flight file and shown by ``gc-otel doctor``.
"""

from __future__ import annotations

import atexit
import time
from _thread import RLock, get_native_id  # threading costs 5 ms more

from gc_otel import _native
from gc_otel.config import Config
from gc_otel.errors import FlightFolderError
from gc_otel.flight import file as files
from gc_otel.flight import layout
from gc_otel.flight.folder import as_path, open_folder
from gc_otel.flight.recorder import MappingLike, Recorder, python_duration_clock
from gc_otel.probe import live_cycles, parts
from gc_otel.probe.clockwork import clockwork
from gc_otel.probe.ending import unhandled_exception
from gc_otel.probe.faults import FaultLog, remedy_of, say
from gc_otel.probe.identity import header_fields
from gc_otel.probe.live_census import LiveCensus, census_taker
from gc_otel.probe.live_cycles import CycleSeries
from gc_otel.probe.monitor import Monitor, allocated_blocks
from gc_otel.probe.requests import Desk, is_supported
from gc_otel.probe.unpatched import unpatched

TYPE_CHECKING = False  # as in gc_otel/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeVar

    T = TypeVar("T")

_UNINSTALL_PATIENCE_S = 1.0
_NS_PER_S = 1_000_000_000


class Probe:
    """The recording of this process.

    ``epoch`` changes whenever the numbers begin from zero: in a forked
    child, whose recorder, file and monitor are its own.

    ``run_mode``: an exporter service samples this process from outside and publishes. Here only what
    Python alone knows is asked, and /proc for the few numbers that the history must have after a death.
    """

    def __init__(self, config: Config, *, run_mode: bool = False) -> None:
        self.config = config
        self.run_mode = run_mode
        self.location: str | None = None
        self.epoch = 0
        self.recorder_kind = "unknown"
        self._native, self._native_missing = _native.load()
        if config.recorder == "python":
            self._native = None
        self._lock = RLock()
        self._mapping: MappingLike
        self._recorder: Recorder
        self._monitor: Monitor
        self._desk: Desk | None = None
        self._faults: FaultLog
        self._clockwork = clockwork(native=self._native is not None)

    @property
    def _interval_ns(self) -> int:
        return round(self.config.sample_interval * _NS_PER_S)

    @property
    def path(self) -> Path | None:
        """The flight file, or None when recording goes on in private memory."""
        return None if self.location is None else as_path(self.location)

    @property
    def source(self) -> files.OwnMemory:
        """This process's own flight file, to read."""
        return files.OwnMemory(self._mapping)

    @property
    def alive(self) -> bool:
        """False once stopped, and in a child that was forked without hooks."""
        return self._mapping.alive

    @property
    def recorder(self) -> Recorder:
        """The recorder in use."""
        return self._recorder

    def note_fault(self, where: str, error: BaseException) -> None:
        """Note what failed and was contained, for `gc-otel doctor`."""
        self._faults.note(where, error)

    def published_cells(self) -> memoryview:
        """The cells that the publisher writes."""
        first = layout.PUBLISHED.offset_bytes
        return self._mapping.view()[first : first + layout.PUBLISHED.size_bytes].cast("Q")

    def measure_view(self) -> memoryview:
        """The whole file: measured blocks are written there, and the collections read (``probe/measures.py``)."""
        return self._mapping.view()

    def start(self) -> None:
        """Record from here on."""
        with self._lock:
            self._begin()
            atexit.register(self._at_exit)

    def _begin(self) -> None:
        self.recorder_kind = "python" if self._native is None else "native"
        self.location, self._mapping = self._make_mapping()
        self._faults = FaultLog(self._mapping)
        self._recorder = parts.make_recorder(self._native, self._mapping)
        native = self._native is not None
        live_cycles.begin(self._recorder, self._mapping, wanted=self.config.cycles, native=native)
        self._cycle_series = CycleSeries(self._mapping)
        self._recorder.install()
        if self._native is not None:
            self._native.watch_exit(self._mapping)
        self._monitor = self._make_monitor()
        self._census = self._make_census()
        self._desk = self._make_desk()
        try:
            self._clockwork.begin(
                self._round,
                self._begin_again_in_child,
                interval_ns=self._interval_ns,
                memory=self._mapping,
                on_bell=None if self._desk is None else self._serve,
            )
        except OSError as error:
            self.note_fault("monitor thread", error)

    def _make_mapping(self) -> tuple[str | None, MappingLike]:
        clock = "monotonic" if self._native is not None else python_duration_clock()
        header = header_fields(self.config, recorder=self.recorder_kind, duration_clock=clock, forked=self.epoch > 0)

        def make(fd: int) -> MappingLike:
            return parts.map_memory(self._native, fd)

        try:
            folder = open_folder(self.config)
            files.sweep(folder)
            return files.create(folder, header, make)
        except (FlightFolderError, OSError) as error:
            say(f"gc_otel: recording in private memory, invisible to gc-otel ps: {error}. {remedy_of(error)}")
            mapping = make(-1)
            files.write_header(mapping.view(), header)
            FaultLog(mapping).note("flight folder", error)
            return None, mapping

    def _make_monitor(self) -> Monitor:
        return Monitor(
            self._mapping,
            interval_ns=self._interval_ns,
            sampler=self._contained(
                "process sampler", lambda: parts.make_sampler(self.note_fault, run_mode=self.run_mode)
            ),
            read_limit=self._contained("memory limit", lambda: parts.make_limit_reader(run_mode=self.run_mode)),
            with_detail=self.config.memory_detail,
        )

    def _make_census(self) -> LiveCensus:
        take = census_taker(native=self._native is not None)
        return LiveCensus(self._mapping, wanted=self.config.census, take=take, allocated_blocks=allocated_blocks)

    def _make_desk(self) -> Desk | None:
        """Where requests arrive; None where nobody can ask: by setting, or without a file to be found by."""
        serves = self.config.requests and self.location is not None and is_supported()
        self._monitor.tell_requests("served" if serves else "off")
        if not serves or self.location is None:
            return None
        return Desk(self.location, goes_on=self._goes_on, note_fault=self.note_fault)

    def _goes_on(self) -> bool:
        return self._clockwork.running

    def _contained(self, what: str, make: Callable[[], T]) -> T | None:
        try:
            return make()
        except Exception as error:  # noqa: BLE001 - psutil missing or broken, a strange /proc: the rest goes on without
            self.note_fault(what, error)
            return None

    def _round(self) -> None:
        try:
            self._recorder.compare_clocks()
            self._monitor.round()
        except Exception as error:  # noqa: BLE001 - contained and noted: the next round tries again
            self.note_fault("monitor", error)
        try:
            self._cycle_series.round()
            self._census.round(self._goes_on)
        except Exception as error:  # noqa: BLE001 - contained and noted: the next round tries again
            self.note_fault("census", error)
        self._serve()

    def _serve(self) -> None:
        desk = self._desk
        if desk is None:
            return
        began_ns = time.thread_time_ns()
        try:
            if desk.serve():
                self._monitor.add_overhead(time.thread_time_ns() - began_ns + desk.take_children_cpu_ns())
        except Exception as error:  # noqa: BLE001 - contained and noted: who asked gets a time-out
            self.note_fault("requests", error)

    def _begin_again_in_child(self) -> None:
        """In a forked child: everything of the parent's is let go, nothing of it touched.

        Tried twice, because what a signal handler raises in the middle comes once; half of a recording is none.
        """
        self._lock = RLock()  # the old one may have been held by a thread that is not here
        self._recorder.uninstall()
        self.epoch += 1
        parents, failure, interruption = self._mapping, None, None
        for _ in range(2):
            try:
                self._begin()
                failure = None
                break
            except BaseException as error:  # noqa: BLE001 - told or raised below
                failure = error
                interruption = interruption if isinstance(error, Exception) else error
                if self._mapping is not parents:
                    self._let_go()
        if isinstance(failure, Exception):  # a child without a recorder is better than a child without a program
            say(f"gc_otel: this forked process is not recorded: {failure}. {remedy_of(failure)}")
        if interruption is not None:
            raise interruption

    def _let_go(self) -> None:
        import contextlib  # costs 1 ms where nothing fails

        with contextlib.suppress(Exception):
            self._clockwork.end()
            self._recorder.uninstall()
        with contextlib.suppress(Exception):
            self._mapping.close()
            self._remove_file()

    def stop(self) -> None:
        """Leave nothing behind: callback, thread, mapping, file.  A second call does nothing."""
        with self._lock:
            if not self._mapping.alive:
                return
            atexit.unregister(self._at_exit)
            self._clockwork.end()
            self._uninstall_recorder()
            del self._monitor, self._census, self._cycle_series
            files.write_header(self._mapping.view(), {"state": layout.STATES.index("stopped")})
            self._mapping.close()
            self._remove_file()

    def _uninstall_recorder(self) -> None:
        deadline_s = time.monotonic() + _UNINSTALL_PATIENCE_S
        # A collection of another thread ends soon.  One that called us, from a finalizer or
        # a neighbour's callback, ends only after we return: no waiting, and the callback,
        # which does nothing any more, is taken out at the next start or at exit.
        here = layout.GC.cell("collecting_thread_id")
        inside = self._mapping.view().cast("Q")[here] == get_native_id()
        while not self._recorder.uninstall():
            if inside or time.monotonic() > deadline_s:
                _leftovers.append(self._recorder)
                return
            unpatched("time", "sleep")(0.0005)  # under gevent the other one cannot be called from its hub

    def _remove_file(self) -> None:
        if self.location is not None:
            files.remove(self.location)
            self.location = None

    def _at_exit(self) -> None:
        """Note how it ends; the recorder goes on into the last collection of all.

        A clean exit leaves no file, but in run mode: there an exporter takes the last numbers, and puts the file away.
        """
        if not self._mapping.alive:  # a child that was forked without hooks: the file is its parent's
            return
        self._clockwork.end()
        exception = unhandled_exception()
        exited: files.HeaderFields = {
            "state": layout.STATES.index("exited"),
            "exited_unix_ns": time.time_ns(),
            "exception": exception,
        }
        files.write_header(self._mapping.view(), exited)
        if not (self.run_mode or exception):
            self._remove_file()


#: Recorders that were stopped inside a collection and could not leave gc.callbacks.
_leftovers: list[Recorder] = []


def remove_leftovers() -> None:
    """Take them out of gc.callbacks, as far as that can be done by now."""
    _leftovers[:] = [recorder for recorder in _leftovers if not recorder.uninstall()]

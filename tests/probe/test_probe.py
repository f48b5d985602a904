"""Start and stop in this very process: what they leave, and what they survive."""

from __future__ import annotations

import atexit
import gc
import os
import stat
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest

from gc_otel.config import Config, Problem
from gc_otel.errors import FlightFileError, NotSupported
from gc_otel.flight import reader
from gc_otel.flight.file import FlightFile
from gc_otel.probe import clockwork as clockworks
from gc_otel.probe import probe, recording
from gc_otel.sample import cgroup, process

PATIENCE_S = 20.0


def wait_until(holds):
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds() and time.monotonic() < deadline_s:
        time.sleep(0.002)
    return bool(holds())


@pytest.fixture
def atexit_hooks(monkeypatch) -> set[object]:
    """Hooks that are registered at the moment; CPython's own count never falls."""
    hooks: set[object] = set()
    monkeypatch.setattr(atexit, "register", lambda hook: (hooks.add(hook), register(hook)))
    monkeypatch.setattr(atexit, "unregister", lambda hook: (hooks.discard(hook), unregister(hook)))
    return hooks


register, unregister = atexit.register, atexit.unregister


def trace_of_us(flight_dir: Path, atexit_hooks: set[object]) -> dict[str, object]:
    """All places where a started probe is to be seen."""
    return {
        "callbacks": list(gc.callbacks),
        "tasks": set(os.listdir("/proc/self/task")),
        "descriptors": {name: os.readlink(f"/proc/self/fd/{name}") for name in descriptors()},
        "mappings": Path("/proc/self/maps").read_text(errors="replace").count(".flight"),
        "files": os.listdir(flight_dir),
        "atexit": set(atexit_hooks),
        "threads": threading.enumerate(),
    }


def descriptors() -> list[str]:
    return [name for name in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{name}")]


def collections() -> int:
    return sum(each["collections"] for each in gc.get_stats())


def test_start_and_stop_leave_nothing(start_probe, flight_dir, atexit_hooks):
    """Callbacks, threads, descriptors, mappings, files and atexit are as before, every time."""
    start_probe()()  # imports of the first use are no trace
    before = trace_of_us(flight_dir, atexit_hooks)
    for _ in range(3):
        stop = start_probe(sample_interval=3600)
        assert wait_until(lambda: reader.read_interpreter(probe.current().source))
        during = trace_of_us(flight_dir, atexit_hooks)
        assert len(during["callbacks"]) == len(before["callbacks"]) + 1
        assert len(during["tasks"]) == len(before["tasks"]) + 1
        assert (during["mappings"], len(during["files"]), len(during["atexit"])) == (before["mappings"] + 1, 1, 1)
        assert (during["descriptors"], during["threads"]) == (before["descriptors"], before["threads"])
        stop()
        assert trace_of_us(flight_dir, atexit_hooks) == before
        stop()
        assert trace_of_us(flight_dir, atexit_hooks) == before


def test_a_held_view_keeps_the_memory_and_nothing_else(start_probe, flight_dir):
    """A reader that still holds the cells after stop() meets no crash; with it the mapping goes."""
    stop = start_probe()
    cells = probe.current().published_cells()
    source = probe.current().source
    stop()
    assert os.listdir(flight_dir) == []
    assert not any(cells)
    with pytest.raises(FlightFileError, match="closed"):
        source.copy(0, 8)
    del cells
    gc.collect()
    assert str(flight_dir) not in Path("/proc/self/maps").read_text(errors="replace")


def test_a_stopped_probe_is_freed(kind, flight_dir):
    """Nothing that lives on (the thread's hooks, the clockwork, a callback) holds what was stopped."""
    stop = probe.start(Config.from_env(recorder=kind))
    current = weakref.ref(probe.current())
    stop()
    del stop
    gc.collect()
    assert current() is None


def test_current_is_the_recording_one(start_probe):
    """current() is None before, the probe meanwhile, and None after."""
    assert probe.current() is None
    stop = start_probe()
    current = probe.current()
    assert (current.alive, current.epoch) == (True, 0)
    stop()
    assert probe.current() is None
    assert not current.alive


def test_a_second_start_outlives_the_stop_of_the_first(start_probe):
    """Stopping an earlier recording does not make the later one disappear."""
    first = start_probe()
    second = start_probe()
    current = probe.current()
    first()
    assert probe.current() is current
    second()
    assert probe.current() is None


def test_every_collection_is_recorded(start_probe, kind, quiet_gc):
    """What the file says is what CPython counted, and the file says whose it is."""
    start_probe()
    before = collections()
    for generation in (0, 1, 2, 2):
        gc.collect(generation)
    current = probe.current()
    with FlightFile(current.path) as file:
        read = reader.read(file)
        assert file.is_alive()
    assert read.collector.collections == collections() - before == 4
    assert [each.explicit_collections for each in read.collector.generations][2] >= 2
    assert (read.identity.pid, read.identity.recorder) == (os.getpid(), kind)
    assert current.recorder_kind == kind
    assert (current.recorder if kind == "native" else current.recorder.record_phase) in gc.callbacks
    assert read.collector == reader.read_collector(current.source)
    assert stat.S_IMODE(current.path.stat().st_mode) == 0o600


def test_the_monitor_samples_this_process(start_probe):
    """Memory, threads and descriptors are this process's own, and the beat goes on."""
    start_probe(sample_interval=0.1)
    source = probe.current().source
    assert wait_until(lambda: reader.read_memory(source))
    memory = reader.read_memory(source)
    assert memory.rss_bytes > 5_000_000
    assert memory.threads == len(os.listdir("/proc/self/task"))
    assert memory.limit_bytes > 0
    assert memory.limit_source != "unknown"
    first_ns = reader.read_interpreter(source).beat_ns
    assert wait_until(lambda: reader.read_interpreter(source).beat_ns > first_ns)
    assert wait_until(lambda: len(reader.read_history(source)) >= 2)


@pytest.mark.parametrize("trouble", ["a file", "mode 0755", "a link", "no parent"])
def test_an_unusable_folder_means_private_memory(start_probe, flight_dir, monkeypatch, capfd, trouble):
    """One line says so; recording goes on, the program's files are not touched."""
    folder = flight_dir / "flights"
    if trouble == "a file":
        folder.write_text("the user's")
    elif trouble == "mode 0755":
        folder.mkdir()
        folder.chmod(0o755)
    elif trouble == "a link":
        (flight_dir / "real").mkdir(mode=0o700)
        folder.symlink_to(flight_dir / "real")
    else:
        folder = flight_dir / "none" / "flights"
    monkeypatch.setenv("GC_OTEL_DIR", str(folder))
    stop = start_probe()
    current = probe.current()
    assert (current.path, current.alive) == (None, True)
    before = reader.read(current.source).collector.collections
    gc.collect()
    read = reader.read(current.source)
    assert read.collector.collections > before
    assert read.identity.pid == os.getpid()
    (fault,) = read.faults
    assert fault.text.startswith("flight folder: FlightFolderError: ")
    stop()
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "private memory" in err
    assert str(folder) in err
    if trouble == "a file":
        assert folder.read_text() == "the user's"


def test_no_stderr_is_no_trouble(start_probe, monkeypatch, flight_dir):
    """A daemon without a standard error starts as well."""
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setenv("GC_OTEL_DIR", str(flight_dir / "none" / "flights"))
    start_probe()
    assert probe.current().path is None


def test_problems_of_the_configuration_are_said(kind, flight_dir, capfd):
    """One line each, and the program starts."""
    config = Config(
        recorder=kind, dir=str(flight_dir), problems=(Problem("GC_OTEL_DIR", "x", "it takes an absolute path", None),)
    )
    probe.start(config)()
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert "GC_OTEL_DIR='x' cannot be used" in err


def test_a_monitor_that_fails_is_noted_and_goes_on(start_probe, monkeypatch, capfd):
    """The fault stands in the file, the thread lives, the recorder is not touched."""
    start_probe(sample_interval=0.1)
    current = probe.current()

    def fail():
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(current._monitor, "round", fail)
    current._round()
    assert wait_until(lambda: any(fault.count >= 2 for fault in reader.read_faults(current.source)))
    (fault,) = reader.read_faults(current.source)
    assert fault.text == "monitor: ZeroDivisionError: on purpose"
    before = reader.read_collector(current.source).collections
    gc.collect()
    assert reader.read_collector(current.source).collections > before
    assert capfd.readouterr() == ("", "")


def test_a_sampler_that_cannot_be_made_is_done_without(start_probe, monkeypatch):
    """Without psutil the interpreter's numbers go on, and doctor can say why."""

    def refuse(**_):
        raise ImportError("No module named 'psutil'")

    monkeypatch.setattr(process, "ProcessSampler", refuse)
    start_probe()
    source = probe.current().source
    assert [fault.text for fault in reader.read_faults(source)] == [
        "process sampler: ImportError: No module named 'psutil'"
    ]
    assert wait_until(lambda: reader.read_interpreter(source))
    assert reader.read_memory(source) is None


def test_in_run_mode_psutil_is_not_asked(flight_dir, kind, monkeypatch):
    """The exporter does so from outside; what small files tell is in the file all the same, for one that cannot see it."""

    def refuse(*_, **__):
        raise AssertionError("not wanted")

    monkeypatch.setattr(process, "ProcessSampler", refuse)
    monkeypatch.setattr(cgroup, "LimitReader", refuse)
    stop = probe.start(Config.from_env(recorder=kind), run_mode=True)
    try:
        source = probe.current().source
        assert wait_until(lambda: reader.read_interpreter(source))
        assert reader.read_faults(source) == ()
        memory = reader.read_memory(source)
        assert memory.rss_bytes > 0
        assert memory.uss_bytes is None
        assert memory.rss_bytes < memory.limit_bytes
        assert memory.limit_source != "unknown"
    finally:
        stop()


def test_a_source_that_fails_is_noted(start_probe, monkeypatch):
    """A source that disables itself says so in the file; the others go on."""
    from gc_otel.sample.process import ProcessSampler

    def refuse(self):
        raise PermissionError(13, "denied")

    monkeypatch.setattr(ProcessSampler, "_descriptors", refuse)
    start_probe()
    source = probe.current().source
    assert wait_until(lambda: reader.read_memory(source))
    assert [fault.text for fault in reader.read_faults(source)] == [
        "source descriptors: PermissionError: [Errno 13] denied"
    ]
    memory = reader.read_memory(source)
    assert memory.file_descriptors is None
    assert memory.rss_bytes > 0


def test_without_a_thread_recording_goes_on(start_probe, monkeypatch, kind):
    """Where no thread can be had, collections are recorded without a monitor."""
    current_clockwork = clockworks.clockwork(native=kind == "native")

    def refuse(*_, **__):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(current_clockwork, "begin", refuse)
    stop = start_probe()
    source = probe.current().source
    assert [fault.text for fault in reader.read_faults(source)] == [
        "monitor thread: BlockingIOError: [Errno 11] Resource temporarily unavailable"
    ]
    before = reader.read_collector(source).collections
    gc.collect()
    assert reader.read_collector(source).collections > before
    stop()


def test_stop_inside_a_collection_returns(start_probe, flight_dir, quiet_gc, monkeypatch):
    """A finalizer may stop the recording: it returns in bounded time, and nothing crashes."""
    monkeypatch.setattr(recording, "_UNINSTALL_PATIENCE_S", 0.02)
    stop = start_probe()
    done = []

    class Last:
        def __init__(self):
            self.itself = self

        def __del__(self):
            stop()
            done.append(True)

    Last()
    gc.collect()
    assert done == [True]
    gc.collect()
    assert os.listdir(flight_dir) == []
    assert probe.current() is None


def test_neighbours_in_gc_callbacks_are_called_throughout(start_probe, quiet_gc):
    """Starting and stopping changes neither the order nor the calls of other callbacks."""
    calls = []

    def before(phase, info):
        calls.append(("before", phase))

    def after(phase, info):
        calls.append(("after", phase))

    gc.callbacks.append(before)
    try:
        stop = start_probe()
        gc.callbacks.append(after)
        calls.clear()
        gc.collect()
        stop()
        gc.collect()
        each_phase = [(name, phase) for phase in ("start", "stop") for name in ("before", "after")]
        # stop() may collect a young generation itself, to learn whether a collection is running.
        assert calls == each_phase * (len(calls) // len(each_phase))
        assert len(calls) >= 2 * len(each_phase)
        assert gc.callbacks[-2:] == [before, after]
    finally:
        for callback in (before, after):
            if callback in gc.callbacks:
                gc.callbacks.remove(callback)


def test_a_program_that_empties_gc_callbacks(start_probe, flight_dir):
    """Somebody else may have taken our callback out: stop() is content."""
    saved = list(gc.callbacks)
    stop = start_probe()
    gc.callbacks.clear()
    stop()
    assert gc.callbacks == []
    gc.callbacks.extend(saved)
    assert os.listdir(flight_dir) == []


def test_a_file_that_is_gone_is_no_trouble(start_probe, capfd):
    """A user who empties the folder disturbs nothing."""
    stop = start_probe()
    probe.current().path.unlink()
    gc.collect()
    assert reader.read_collector(probe.current().source).collections >= 1
    stop()
    assert capfd.readouterr() == ("", "")


def test_a_sub_interpreter_is_refused(monkeypatch):
    """There is one probe, in the main interpreter."""
    monkeypatch.setattr(probe, "in_main_interpreter", lambda: False)
    with pytest.raises(NotSupported, match="main interpreter only"):
        probe.start(Config())


@pytest.mark.parametrize("answers", [(0, 0, True), (3, 0, False), ((0, 1), (0, 1), True), ((2, 1), (0, 1), False)])
def test_which_interpreter_without_the_extension(monkeypatch, answers):
    """CPython's own modules tell it too, in both their shapes."""
    current, main, expected = answers
    fake = type("Fake", (), {"get_current": staticmethod(lambda: current), "get_main": staticmethod(lambda: main)})
    monkeypatch.setattr(probe._native, "load", lambda: (None, "not built"))
    monkeypatch.setitem(sys.modules, "_interpreters", fake)
    assert probe.in_main_interpreter() is expected


def test_without_a_way_to_ask_it_is_the_main_interpreter(monkeypatch):
    """A build without sub-interpreters has one."""
    monkeypatch.setattr(probe._native, "load", lambda: (None, "not built"))
    for name in ("_interpreters", "_xxsubinterpreters"):
        monkeypatch.setitem(sys.modules, name, None)
    assert probe.in_main_interpreter() is True


def test_automatic_choice_is_the_best_there_is(flight_dir, monkeypatch):
    """Native where it is built, else Python; never an error."""
    monkeypatch.setattr(probe._native, "load", lambda: (None, "not built"))
    stop = probe.start(Config(recorder="auto", dir=str(flight_dir)))
    assert probe.current().recorder_kind == "python"
    stop()


def test_the_child_without_a_new_beginning_lives(start_probe, monkeypatch, capfd):
    """If recording cannot begin in a child, one line says so and the program goes on."""
    start_probe()
    current = probe.current()
    current._clockwork.end()

    def fail():
        raise MemoryError("no room")

    monkeypatch.setattr(current, "_begin", fail)
    current._begin_again_in_child()
    assert current.epoch == 1
    assert capfd.readouterr().err.startswith("gc_otel: this forked process is not recorded: no room")


def test_the_child_that_is_interrupted_begins_once_more(start_probe, monkeypatch, flight_dir):
    """A signal's handler raises in the middle: the child is recorded all the same, has one file, and the program is told."""
    start_probe()
    current = probe.current()
    parents_path, make_monitor = current.path, current._make_monitor
    current._clockwork.end()
    interruptions = [KeyboardInterrupt()]

    def interrupted():
        if interruptions:
            raise interruptions.pop()
        return make_monitor()

    monkeypatch.setattr(current, "_make_monitor", interrupted)
    with pytest.raises(KeyboardInterrupt):
        current._begin_again_in_child()
    before = reader.read_collector(current.source).collections
    gc.collect()
    assert reader.read_collector(current.source).collections == before + 1
    assert {path for path in flight_dir.glob("*.flight*") if path != parents_path} == {current.path}


def test_the_exit_hook_notes_a_clean_end_first(start_probe):
    """A reader that has the file open sees that its process ended by itself."""
    start_probe()
    current = probe.current()
    with FlightFile(current.path) as file:
        current._at_exit()
        read = reader.read_identity(file)
    assert read.state == "exited"
    assert read.created_unix_ns <= read.exited_unix_ns <= time.time_ns()
    assert current.path is None


def test_the_exit_hook_of_a_stopped_probe_does_nothing(start_probe, flight_dir):
    """Neither after stop(), nor in a child that was forked without hooks."""
    stop = start_probe()
    current = probe.current()
    stop()
    current._at_exit()
    assert os.listdir(flight_dir) == []


def test_the_clockwork_is_idle_without_a_probe(kind):
    """Its callables answer nobody when a late hook comes."""
    idle = clockworks.clockwork(native=kind == "native")
    assert not idle.running
    idle._call_tick()
    idle._call_on_child()
    assert idle is clockworks.clockwork(native=kind == "native")


def test_the_clockwork_works_for_one_probe_at_a_time(kind, monkeypatch):
    """What it calls is what the last begin() gave it, until end()."""
    calls = []
    lent = clockworks.Clockwork(native=kind == "native")
    lent.begin(lambda: calls.append("tick"), lambda: calls.append("child"), interval_ns=3_600_000_000_000)
    assert lent.running
    assert wait_until(lambda: calls == ["tick"])
    lent._call_tick()
    lent._call_on_child()
    lent.end()
    lent._call_tick()
    assert (calls, lent.running) == (["tick", "tick", "child"], False)

"""A new flight file wakes the exporter, which would else look for it twice a second only."""

from __future__ import annotations

import ctypes
import errno
import os
import select

import pytest

from gc_otel.service import arrivals, control
from gc_otel.service import exporter as exporters
from gc_otel.service.arrivals import Arrivals


def open_here(path) -> bool:
    """Whether this process, in which the exporter is a thread, has the file open."""
    for number in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{number}") == str(path):
                return True
        except OSError:
            continue
    return False


def test_it_is_readable_when_a_file_gets_its_name(folder, make):
    """Once, until it is drained; a file that is only written, or goes, is no arrival."""
    told = Arrivals(folder, note_fault=print)
    poll = select.poll()
    poll.register(*told.fds(), select.POLLIN)
    (folder.path / "note").write_text("")
    assert poll.poll(0) == []
    made = make()
    assert len(poll.poll(0)) == 1
    told.drain()
    told.drain()
    made.path.unlink()
    assert poll.poll(0) == []
    told.close()
    told.close()
    told.drain()
    assert told.fds() == ()


def test_the_exporter_opens_it_at_once(exporter, folder, make, eventually, monkeypatch):
    """Without its beat, a scrape or a question: so a process that ends a moment later has been seen."""
    monkeypatch.setattr(exporters, "_BEAT_S", 3600.0)
    monkeypatch.setattr(exporters._Exporter, "_is_over", lambda self: not self._launchers)
    exporter(linger_s=None)
    eventually(lambda: control.ask(folder, {"do": "status"}), "the exporter does not answer")
    made = make()
    eventually(lambda: open_here(made.path), "it is not opened")


@pytest.mark.parametrize("refused", ["inotify_init1", "inotify_add_watch"])
def test_without_it_the_exporter_goes_on(folder, monkeypatch, refused):
    """All watchers in use: noted as a fault, and the beat has to do."""

    class Libc:
        """The C library, but for one function."""

        def __getattr__(self, name: str) -> object:
            return self._refuse if name == refused else getattr(libc, name)

        def _refuse(self, *_: object) -> int:
            ctypes.set_errno(errno.EMFILE)
            return -1

    libc = ctypes.CDLL(None, use_errno=True)
    monkeypatch.setattr(arrivals.ctypes, "CDLL", lambda *_, **__: Libc())
    faults = []
    before = len(os.listdir("/proc/self/fd"))
    told = Arrivals(folder, note_fault=lambda where, error: faults.append((where, error.errno)))
    assert faults == [("arrivals", errno.EMFILE)]
    assert told.fds() == ()
    assert len(os.listdir("/proc/self/fd")) == before

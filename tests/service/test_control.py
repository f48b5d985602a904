"""One exporter per folder; launchers join it; nothing that is sent to it does harm."""

from __future__ import annotations

import fcntl
import json
import os
import select
import socket
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gc_otel.flight.folder import Folder
from gc_otel.service import control, reception, status
from gc_otel.service.control import Claim, Followed, is_claimed, join
from gc_otel.service.reception import Reception, pid_of

ANSWER = {"address": "http://127.0.0.1:1", "folder": "/f", "pid": 7}


class Desk:
    """A reception in a thread of its own, that follows whoever asks."""

    def __init__(self, folder):
        self.claim = Claim.take(folder)
        self.followed: list[Followed] = []
        self.reception = Reception(self.claim, follow=self._follow, status=lambda: {"pid": 7})
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _follow(self, followed):
        self.followed.append(followed)
        return ANSWER

    def _run(self):
        while not self._ended.is_set():
            self.turn(20)

    def turn(self, timeout_ms=0):
        poll = select.poll()
        for fd in self.reception.fds():
            poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll(timeout_ms):
            self.reception.handle(fd)
        self.reception.expire()

    def end(self):
        self._ended.set()
        self._thread.join()
        self.reception.close()
        for each in self.followed:
            os.close(each.pidfd)
            if each.stderr_fd is not None:
                os.close(each.stderr_fd)
        self.claim.release()


@pytest.fixture
def desk(folder):
    made = Desk(folder)
    yield made
    made.end()


@pytest.fixture
def own_pidfd():
    pidfd = os.pidfd_open(os.getpid())
    yield pidfd
    os.close(pidfd)


def say(folder, raw, fds=()):
    """Send bytes to the socket; what comes back until it is closed."""
    with socket.socket(socket.AF_UNIX) as client, control._socket_address(folder) as address:
        client.settimeout(30)
        client.connect(address)
        try:
            socket.send_fds(client, [raw], list(fds)) if raw else None
            client.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: client.recv(4096), b""))
        except (ConnectionResetError, BrokenPipeError):
            return b""


def open_files():
    return len(os.listdir("/proc/self/fd"))


def test_a_folder_has_one_claim(folder):
    """Taken once; free again when released, and when its process was killed."""
    assert not is_claimed(folder)
    claim = Claim.take(folder)
    assert is_claimed(folder)
    assert Claim.take(folder) is None
    claim.release()
    assert not is_claimed(folder)
    killed = Claim.take(folder)
    killed.close()  # as the kernel does: the socket's name stays
    assert (folder.path / control.SOCKET_NAME).exists()
    again = Claim.take(folder)
    again.release()
    assert [path.name for path in folder.path.iterdir()] == [control.LOCK_NAME]


def test_a_claim_lives_on_in_a_forked_image(folder):
    """The launcher drops its own; the other one has it still."""
    claim = Claim.take(folder)
    copy = os.dup(claim.fds[0])
    claim.close()
    assert is_claimed(folder)
    os.close(copy)
    assert not is_claimed(folder)


def test_a_look_at_a_claim_does_not_cost_it(folder):
    """Whoever looks holds the lock for an instant; the claim is taken all the same."""
    fd = os.open(folder.path / control.LOCK_NAME, os.O_RDONLY | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_SH)
    threading.Timer(0.03, os.close, [fd]).start()
    claim = Claim.take(folder)
    assert claim is not None
    claim.release()


def test_a_folder_that_cannot_be_used_is_an_error(folder, tmp_path):
    """And leaves no descriptor behind."""
    before = open_files()
    with pytest.raises(OSError, match="No such file"):
        Claim.take(Folder(tmp_path / "nowhere"))
    (folder.path / control.SOCKET_NAME).mkdir()
    with pytest.raises(OSError, match="directory"):
        Claim.take(folder)
    assert open_files() == before
    assert not is_claimed(folder)


def test_a_long_name_of_a_folder_fits(folder):
    """A socket's address has room for 108 bytes."""
    deep = folder.path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True, mode=0o700)
    claim = Claim.take(Folder(deep))
    assert is_claimed(Folder(deep))
    claim.release()


def test_joining_hands_over_pidfd_and_stderr(desk, folder, own_pidfd):
    """The exporter knows the launcher by its pidfd, not by what it says of itself."""
    readable, writable = os.pipe()
    joined = join(folder, pidfd=own_pidfd, stderr_fd=writable, command="py\nthon" + "x" * 200)
    assert (joined.address, joined.folder, joined.pid) == ("http://127.0.0.1:1", "/f", 7)
    (followed,) = desk.followed
    assert (followed.pid, len(followed.command)) == (os.getpid(), 99)
    assert followed.command.startswith("pythonxxx")
    os.write(followed.stderr_fd, b"heard")
    assert os.read(readable, 5) == b"heard"
    os.close(readable)
    os.close(writable)
    assert join(folder, pidfd=own_pidfd, stderr_fd=None, command="python") is not None
    assert desk.followed[1].stderr_fd is None
    assert not os.get_inheritable(desk.followed[0].pidfd)


def test_nobody_to_join(folder, own_pidfd):
    """No exporter; one that was killed; one that has the claim and does not answer."""
    assert join(folder, pidfd=own_pidfd, stderr_fd=None, command="x") is None
    claim = Claim.take(folder)
    claim.listener.close()
    assert join(folder, pidfd=own_pidfd, stderr_fd=None, command="x", patience_s=0.1) is None
    claim.release()
    assert status.ask_status(folder) is None


def test_joining_waits_for_one_that_ends(folder, own_pidfd):
    """None comes when the claim is free: the port is, too."""
    claim = Claim.take(folder)

    def end():
        connection, _ = poll_accept(claim.listener)
        connection.close()
        claim.release()

    ending = threading.Thread(target=end)
    ending.start()
    assert join(folder, pidfd=own_pidfd, stderr_fd=None, command="x", patience_s=30) is None
    assert not is_claimed(folder)
    ending.join()


def poll_accept(listener):
    select.select([listener], [], [], 30)
    return listener.accept()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"nonsense\n",
        b"[1, 2]\n",
        b'{"do": "dance"}\n',
        b'{"do": ["follow"]}\n',
        b'{"do": "follow"}\n',
        b"[" * 4000 + b"\n",
        b"x" * 10_000,
        b'{"do": "status"}',
        b"\xff\xfe\n",
    ],
)
def test_what_is_no_request_is_counted_and_answered(desk, folder, raw):
    """The next client is served as if nothing had been."""
    answer = say(folder, raw)
    assert not answer or "error" in json.loads(answer)
    assert desk.reception.skipped == 1
    assert json.loads(say(folder, b'{"do": "status"}\n')) == {"pid": 7}


def test_descriptors_of_nonsense_are_closed(desk, folder, own_pidfd, sleeper):
    """A pipe for a pidfd, three descriptors, a pidfd of somebody who has gone, descriptors with nonsense."""
    before = open_files()
    readable, writable = os.pipe()
    gone = sleeper()
    gone_fd = os.pidfd_open(gone.pid)
    gone.kill()
    gone.wait()
    request = b'{"do": "follow", "command": 5}\n'
    for fds in ([readable], [readable] * 3, [gone_fd], []):
        assert "error" in json.loads(say(folder, request, fds))
    say(folder, b"nonsense\n", [readable, writable])
    say(folder, b"half a request", [readable, writable])
    for fd in (readable, writable, gone_fd):
        os.close(fd)
    assert desk.reception.skipped == 6
    assert desk.followed == []
    assert open_files() == before
    assert pid_of(own_pidfd) == os.getpid()
    assert pid_of(10**6) is None


WORDS = [
    b'{"do": "follow"',
    b'{"do": "status"}',
    b"\n",
    b"{" * 2000,
    b'"command":',
    b", ",
    b"}",
    b"null",
    b"\xff",
    b"1e999",
]


@pytest.mark.fuzz
@given(
    raw=st.one_of(st.binary(max_size=300), st.lists(st.sampled_from(WORDS), max_size=6).map(b"".join)),
    fds=st.integers(0, 4),
)
@settings(
    max_examples=int(os.environ.get("GCOTEL_FUZZ_EXAMPLES", "60")),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
def test_no_bytes_do_harm(desk, folder, raw, fds):
    """Whatever comes, the next question is answered."""
    say(folder, raw, [0] * fds)
    assert json.loads(say(folder, b'{"do": "status"}\n')) == {"pid": 7}


def test_a_silent_client_is_let_go(desk, folder, monkeypatch):
    """And a crowd of them does not keep others out."""
    monkeypatch.setattr(reception, "_PATIENCE_NS", 50_000_000)
    clients = [socket.socket(socket.AF_UNIX) for _ in range(50)]
    with control._socket_address(folder) as address:
        for each in clients:
            each.settimeout(30)
            each.connect(address)
    assert json.loads(say(folder, b'{"do": "status"}\n')) == {"pid": 7}
    for each in clients:
        assert each.recv(1) == b""
        each.close()
    assert desk.reception.skipped == 50


@pytest.mark.parametrize("answer", [{}, {"pid": "x"}, {"pid": 1, "faults": 3}, {"pid": 1, "faults": [{}]}])
def test_an_answer_of_another_version_is_none(answer):
    """It is not an error: who asks says that there is none that answers."""
    assert status.Status.from_answer(answer) is None

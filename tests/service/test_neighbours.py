"""Another user of the machine, in a /tmp or /dev/shm that both share: he can neither read, plant, swap nor fill ours.

The attacker is a real process of another user id, so these tests need root; what needs no attacker, such as a hostile
file of the own user, is tested for everybody.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gc_otel.config import Config
from gc_otel.errors import FlightFolderError
from gc_otel.flight import file as files
from gc_otel.flight.folder import Folder, open_folder
from gc_otel.flight.mapping import PythonMapping
from gc_otel.service import control
from gc_otel.service.following import Following

pytestmark = pytest.mark.once

ATTACKER = 54321
ATTACK = Path(__file__).parents[1] / "programs" / "attack.py"


@pytest.fixture
def root() -> None:
    if os.getuid() != 0:
        pytest.skip("only root can make a process of another user")


@pytest.fixture
def shared(flight_dir, root) -> Path:
    """A folder like /tmp, in which everybody writes and only owners delete."""
    flight_dir.chmod(0o755)
    path = flight_dir / "shared"
    path.mkdir()
    path.chmod(0o1777)
    return path


@pytest.fixture
def attackers_folder(shared) -> Path:
    path = shared / "attacker"
    path.mkdir(mode=0o700)
    os.chown(path, ATTACKER, ATTACKER)
    return path


@pytest.fixture
def attack(attackers_folder):
    """How every attempt at these paths ended."""

    def run(*paths: Path) -> dict[str, list[str]]:
        done = subprocess.run(
            [sys.executable, ATTACK, str(ATTACKER), *map(str, paths)],
            env={**os.environ, "OWN_FOLDER": str(attackers_folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    return run


def settled(shared: Path) -> tuple[Folder, Path, PythonMapping]:
    """A folder of ours in the shared one, with a file in it."""
    folder = open_folder(Config(dir=str(shared / "ours")))
    location, mapping = files.create(folder, {"pid": os.getpid(), "created_unix_ns": 1}, PythonMapping)
    return folder, Path(location), mapping


def record_in(place: Path) -> subprocess.CompletedProcess[str]:
    """A program that is to record there."""
    code = "from gc_otel.config import Config; from gc_otel.probe import probe; probe.start(Config.from_env()); print(probe.current().path)"
    env = {**os.environ, "GC_OTEL_DIR": str(place)}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)


def test_he_reaches_nothing_in_our_folder(shared, attack):
    """Neither the files nor lock and socket of the exporter: no look, no name, no word; nothing is moved or added."""
    folder, path, _mapping = settled(shared)
    claim = control.Claim.take(folder)
    try:
        tried = attack(path, folder.path / control.LOCK_NAME, folder.path / control.SOCKET_NAME)
    finally:
        claim.release()
    assert {how for each in tried.values() for how in each} <= {"EACCES", "EPERM"}
    assert [each.name for each in folder.files()] == [path.name]
    assert folder.path.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("planted", ["folder", "open folder", "link to his", "link to ours", "file"])
def test_what_he_put_in_its_place_is_refused(shared, attackers_folder, planted):
    """A folder made in our name before we came, or a link: nothing of ours goes there, and the program runs."""
    place, ours = shared / "gc_otel", shared / "other"
    ours.mkdir(mode=0o700)
    if planted.endswith("folder"):
        place.mkdir()
        place.chmod(0o777 if planted.startswith("open") else 0o700)
    elif planted == "file":
        place.write_text("")
    else:
        place.symlink_to(attackers_folder if planted.endswith("his") else ours)
    os.lchown(place, ATTACKER, ATTACKER)
    done = record_in(place)
    assert (done.returncode, done.stdout) == (0, "None\n")
    assert "recording in private memory" in done.stderr
    assert list(attackers_folder.iterdir()) == list(ours.iterdir()) == []
    with pytest.raises(FlightFolderError):
        open_folder(Config(dir=str(place)))


def test_a_folder_of_ours_that_everybody_may_write_is_refused(shared):
    """With the sticky bit too: he could plant there."""
    place = shared / "ours"
    place.mkdir()
    for mode in (0o777, 0o1777, 0o1703):
        place.chmod(mode)
        assert "open to others" in record_in(place).stderr


def test_a_folder_swapped_after_it_was_checked(shared, attackers_folder):
    """Where the parent is not sticky he can: from then on it is refused, and who records and who follows go on."""
    folder, path, mapping = settled(shared)
    claim = control.Claim.take(folder)
    faults = []
    following = Following(folder, note_fault=lambda where, error: faults.append(error))
    following.refresh()
    shutil.copy(path, attackers_folder / "1-1.flight")
    copied = attackers_folder / "1-1.flight"
    os.chown(copied, ATTACKER, ATTACKER)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(attackers_folder / control.SOCKET_NAME))
    listener.listen()
    (attackers_folder / control.LOCK_NAME).write_text("")
    folder.path.rename(shared / "away")
    attackers_folder.rename(folder.path)
    try:
        with pytest.raises(FlightFolderError, match=f"belongs to user {ATTACKER}"):
            files.create(folder, {"pid": 1, "created_unix_ns": 2}, PythonMapping)
        with pytest.raises(OSError, match=f"belongs to user {ATTACKER}"):
            control.Claim.take(folder)
        assert control.ask(folder, {"do": "status"}) is None
        assert not control.is_claimed(folder)
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has come to him
            listener.accept()
        following.refresh()
        assert [each.identity.pid for each in following.living()] == [os.getpid()]
        assert [each.path.name for each in following.unreadable()] == ["1-1.flight"]
        assert sorted(each.name for each in folder.path.iterdir()) == ["1-1.flight", "exporter.lock", "exporter.sock"]
        mapping.view()[0] = mapping.view()[0]
    finally:
        listener.close()
        following.close()
        claim.close()
    assert faults == []


def test_his_files_in_our_folder_are_passed_over(shared, make_device):
    """Were they there, say by root's hand: a file of another user, also a perfect one, is counted and not read."""
    folder, path, _mapping = settled(shared)
    shutil.copy(path, folder.path / "1-1.flight")
    os.chown(folder.path / "1-1.flight", ATTACKER, ATTACKER)
    make_device(folder.path / "2-1.flight")
    following = Following(folder, note_fault=print)
    following.refresh()
    assert [each.path for each in following.living()] == [path]
    assert {each.path.name for each in following.unreadable()} == {"1-1.flight", "2-1.flight"}
    following.close()


@pytest.fixture
def make_device(root):
    def make(path: Path) -> None:
        try:
            os.mknod(path, 0o020600, os.makedev(1, 5))  # /dev/zero: it has as many bytes as one likes
        except PermissionError:
            pytest.skip("this root makes no devices")

    return make


# What is there by the own user's hand.


def test_what_is_no_file_hangs_nobody(make, folder):
    """FIFO, socket, folder, links to a flight file and a second name of one: counted, and the one that lives is shown once."""
    made = make()
    os.mkfifo(folder.path / "1-1.flight")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as planted:
        planted.bind(str(folder.path / "2-1.flight"))
    (folder.path / "3-1.flight").mkdir()
    (folder.path / "4-1.flight").symlink_to(made.path)
    (folder.path / "5-1.flight").symlink_to("/dev/zero")
    following = Following(folder, note_fault=print)
    following.refresh()
    os.link(made.path, folder.path / "6-1.flight")
    shutil.copy(made.path, folder.path / "7-1.flight")
    following.refresh()
    assert [(each.identity.pid, each.path) for each in following.living()] == [(made.pid, made.path)]
    assert sorted(each.path.name[0] for each in following.unreadable()) == list("1234567")
    assert files.sweep(folder, keep=0) == 1  # the copy, whose process is nobody
    following.close()


def test_a_dead_file_does_not_end_a_living_process(make, folder):
    """Made in its name, and newer: it is passed over."""
    made = make()
    ended = []
    following = Following(folder, note_fault=print, ended=ended.append)
    following.refresh()
    make(pid=made.pid, created_unix_ns=2**62, instance_id="another").die()
    following.refresh()
    assert [each.path for each in following.living()] == [made.path]
    assert ended == []
    assert len(following.unreadable()) == 1
    following.close()


def test_a_file_without_its_name_goes_on(service, make, values_of):
    """Deleted from outside: it is followed by its descriptor to its last number."""
    made = make()
    service.page()
    made.path.unlink()
    made.collect(times=3)
    counted = values_of(service.page(), "cpython_gc_collections_total")
    assert sum(counted.values()) == 3
    made.collect()
    made.die()
    service.following.refresh()
    assert sum(values_of(service.page(), "cpython_gc_collections_total").values()) == 4

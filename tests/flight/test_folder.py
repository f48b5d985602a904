"""The folder: which, whether it is fit, what may be in it, and what is swept out."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from gc_otel.config import Config
from gc_otel.errors import FlightFolderError
from gc_otel.flight import file as files
from gc_otel.flight import folder as folders
from gc_otel.flight import layout
from gc_otel.flight.folder import Folder, default_path, filesystem_type, open_folder

HOUR_S = 3600.0


@pytest.fixture
def place(flight_dir, monkeypatch) -> Path:
    """A path that is not there yet, named by the configuration."""
    path = flight_dir / "inner"
    monkeypatch.setenv("GC_OTEL_DIR", str(path))
    return path


def opened(**given: object) -> Folder:
    return open_folder(Config.from_env(**given))


def test_folder_is_made_for_its_user_alone(place) -> None:
    """A missing folder is made with mode 0700; the second time it is found."""
    assert opened().path == place
    assert place.stat().st_mode & 0o777 == 0o700
    assert opened().path == place


def test_reader_makes_no_folder(place) -> None:
    """Who only looks leaves nothing behind."""
    with pytest.raises(FlightFolderError, match="No such file"):
        open_folder(Config.from_env(), create=False)
    assert not place.exists()


def test_folder_whose_parent_is_missing(place, monkeypatch) -> None:
    """Parents are not invented."""
    monkeypatch.setenv("GC_OTEL_DIR", str(place / "a" / "b"))
    with pytest.raises(FlightFolderError, match="cannot be made: No such file"):
        opened()


def test_link_is_refused(place, flight_dir) -> None:
    """A link, even to a fit folder of our own, is not followed."""
    target = flight_dir / "target"
    target.mkdir(mode=0o700)
    place.symlink_to(target)
    with pytest.raises(FlightFolderError, match="links are not followed"):
        opened()


def test_file_in_its_place(place) -> None:
    """A file is no folder."""
    place.write_text("")
    with pytest.raises(FlightFolderError) as raised:
        opened()
    assert raised.value.remedy


def test_foreign_folder_is_refused(place, monkeypatch) -> None:
    """Somebody else's folder, prepared for us, is not used."""
    place.mkdir(mode=0o700)
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    with pytest.raises(FlightFolderError, match=f"belongs to user {owner}, not to {owner + 1}"):
        opened()


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_folder_open_to_others_is_refused(place, mode) -> None:
    """Any right of others is too much, and the remedy says how to take it."""
    place.mkdir()
    place.chmod(mode)
    with pytest.raises(FlightFolderError, match=f"mode {mode:04o}") as raised:
        opened()
    assert raised.value.remedy == f"Run `chmod 700 {place}`."


def test_folder_that_cannot_be_written(place, monkeypatch) -> None:
    """A folder of ours on a read-only filesystem is not fit."""
    place.mkdir(mode=0o700)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(FlightFolderError, match="cannot be written"):
        opened()


def test_disk_is_refused_unless_asked_for(place, monkeypatch) -> None:
    """A slow disk could stall a collection: only on demand."""
    monkeypatch.setattr(folders, "filesystem_type", lambda device: "ext4")
    with pytest.raises(FlightFolderError, match="is on ext4") as raised:
        opened(dir_on_disk=False)
    assert "GC_OTEL_DIR_ON_DISK" in raised.value.remedy
    assert opened(dir_on_disk=True).path == place


def test_unknown_filesystem_is_accepted(place, monkeypatch) -> None:
    """Where /proc does not tell, the user's word is taken."""
    monkeypatch.setattr(folders, "filesystem_type", lambda device: "unknown")
    assert opened().path == place


MOUNTINFO = """\
22 1 0:20 / /proc rw - proc proc rw
24 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 24 0:25 / /dev/shm rw,nosuid master:3 propagate_from:2 - tmpfs tmpfs rw,size=65536k
cut line
31 24 0:26
32 24 0:27 / /odd rw -
"""


@pytest.mark.parametrize(
    ("device", "kind"), [((0, 25), "tmpfs"), ((8, 1), "ext4"), ((0, 26), "unknown"), ((9, 9), "unknown")]
)
def test_filesystem_by_its_device(tmp_path, device, kind) -> None:
    """The type stands behind the dash, however many tags come before it; cut lines are passed over."""
    (tmp_path / "mountinfo").write_text(MOUNTINFO)
    assert filesystem_type(os.makedev(*device), tmp_path / "mountinfo") == kind


def test_filesystem_without_proc(tmp_path) -> None:
    """No /proc, no answer."""
    assert filesystem_type(1, tmp_path / "missing") == "unknown"


def test_filesystem_of_shared_memory() -> None:
    """On this machine /dev/shm is a tmpfs."""
    if not Path("/dev/shm").is_dir():
        pytest.skip("there is no /dev/shm")
    assert filesystem_type(os.lstat("/dev/shm").st_dev) == "tmpfs"


# Where it is.


class FakeShm:
    """A machine with a /dev/shm or without."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, is_there: bool) -> None:
        original = os.path.isdir
        monkeypatch.setattr(os.path, "isdir", lambda path: is_there if path == "/dev/shm" else original(path))


def test_default_is_in_shared_memory(monkeypatch) -> None:
    """Without a setting it is a folder of this user under /dev/shm."""
    FakeShm(monkeypatch, is_there=True)
    assert default_path(Config.from_env({})) == Path(f"/dev/shm/gc_otel-{os.getuid()}")


def test_without_shared_memory_the_runtime_folder(monkeypatch) -> None:
    """Else it is in XDG_RUNTIME_DIR; else there is none, and the error tells the remedy."""
    FakeShm(monkeypatch, is_there=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert default_path(Config.from_env({})) == Path("/run/user/7/gc_otel")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    with pytest.raises(FlightFolderError, match="no XDG_RUNTIME_DIR") as raised:
        default_path(Config.from_env({}))
    assert "GC_OTEL_DIR" in raised.value.remedy


def test_setting_wins(monkeypatch) -> None:
    """What the user says is taken as it is."""
    assert default_path(Config.from_env({"GC_OTEL_DIR": "/a/b"})) == Path("/a/b")


# What is in it.


def test_files_are_listed_by_name_without_temporary_ones(folder) -> None:
    """Only finished flight files are listed, in order."""
    for name in ("2-1.flight", "1-1.flight", "3-1.flight-new", "note.txt"):
        (folder.path / name).touch()
    assert [path.name for path in folder.files()] == ["1-1.flight", "2-1.flight"]


def test_folder_that_vanished(folder) -> None:
    """A folder removed under us is empty."""
    shutil.rmtree(folder.path)
    assert list(folder.files()) == []
    assert folder.used_bytes() == 0


def test_entry_that_vanished_takes_no_room(folder, monkeypatch) -> None:
    """A file that goes between listing and looking counts nothing."""
    monkeypatch.setattr(Folder, "locations", lambda self: [str(self.path / "gone.flight")])
    assert folder.used_bytes() == 0


def test_budget_is_a_share_of_the_filesystem(folder, monkeypatch) -> None:
    """256 MiB at most, and a quarter of a small filesystem such as Docker's /dev/shm."""

    class Sizes:
        f_frsize = 4096
        f_blocks = 16 * 2**30 // 4096

    monkeypatch.setattr(os, "statvfs", lambda path: Sizes)
    assert folder.budget_bytes() == 256 * 2**20
    assert folder.budget_bytes() // layout.FILE_BYTES > 1000
    Sizes.f_blocks = 64 * 2**20 // 4096
    assert folder.budget_bytes() == 16 * 2**20
    Sizes.f_blocks = 8 * 2**20 // 4096
    assert folder.budget_bytes() == 2 * 2**20


def test_beyond_the_budget_no_file_is_made(folder, header, make_mapping, monkeypatch) -> None:
    """The last file that fits is made, the next is refused with a remedy; temporary files count too."""
    monkeypatch.setattr(Folder, "budget_bytes", lambda self: 2 * layout.FILE_BYTES)
    (folder.path / "1-1.flight-new").write_bytes(bytes(layout.FILE_BYTES))
    _path, _mapping = files.create(folder, header, make_mapping)
    with pytest.raises(FlightFolderError, match=f"{2 * layout.FILE_BYTES} are allowed") as raised:
        files.create(folder, {**header, "created_unix_ns": 1}, make_mapping)
    assert "GC_OTEL_DIR" in raised.value.remedy
    assert len(list(folder.path.iterdir())) == 2


def test_the_dead_make_room_for_the_living(folder, make_file, header, make_mapping, monkeypatch) -> None:
    """Within a full budget the oldest dead file goes, and no living one."""
    living, _mapping = make_file()
    oldest, *others = make_dead(make_file, 3)
    monkeypatch.setattr(Folder, "budget_bytes", lambda self: 4 * layout.FILE_BYTES)
    made, _another = files.create(folder, {**header, "created_unix_ns": 1}, make_mapping)
    assert set(folder.files()) == {living, *others, Path(made)}
    assert oldest not in set(folder.files())


def test_the_dead_make_room_on_a_filesystem_that_others_filled(
    folder, make_file, header, make_mapping, monkeypatch
) -> None:
    """ENOSPC though the budget is not used up: what can be given up is given up, and it is tried once more."""
    (dead,) = make_dead(make_file, 1)
    reserve = os.posix_fallocate

    def full_while_it_is_there(fd: int, offset: int, length: int) -> None:
        if dead.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        reserve(fd, offset, length)

    monkeypatch.setattr(os, "posix_fallocate", full_while_it_is_there)
    made, _mapping = files.create(folder, {**header, "created_unix_ns": 1}, make_mapping)
    assert list(folder.files()) == [Path(made)]


# What is swept out.


def make_dead(make_file, count: int) -> list[Path]:
    """Files of dead processes, oldest first."""
    paths = []
    for age in range(count):
        path, mapping = make_file()
        mapping.close()
        os.utime(path, (0, 1_000_000 + age))
        paths.append(path)
    return paths


def test_sweep_keeps_the_newest_dead(folder, make_file) -> None:
    """Of 25 dead files the 5 oldest go; a second sweep finds nothing to do."""
    paths = make_dead(make_file, 25)
    assert files.sweep(folder) == 5
    assert set(folder.files()) == set(paths[5:])
    assert files.sweep(folder) == 0


def test_sweep_spares_the_living(folder, make_file) -> None:
    """However old, a living process's file stays."""
    path, mapping = make_file()
    os.utime(path, (0, 1))
    dead = make_dead(make_file, 2)
    assert files.sweep(folder, keep=0) == 2
    assert list(folder.files()) == [path]
    assert mapping.alive
    assert not any(each.exists() for each in dead)


def test_sweep_spares_what_is_not_surely_ours(folder, make_file, monkeypatch) -> None:
    """Alien, short and special files, links and folders are left for their owners."""
    (good,) = make_dead(make_file, 1)
    (folder.path / "short.flight").write_bytes(b"short")
    (folder.path / "link.flight").symlink_to(good)
    (folder.path / "folder.flight").mkdir()
    os.mkfifo(folder.path / "fifo.flight")
    (folder.path / "note.txt").write_text("mine")
    (folder.path / "link.flight-new").symlink_to(good)
    (folder.path / "folder.flight-new").mkdir()
    before = {path.name for path in folder.path.iterdir()}
    assert files.sweep(folder, keep=0, now_s=HOUR_S * 10**6) == 1
    assert {path.name for path in folder.path.iterdir()} == before - {good.name}


def test_sweep_spares_foreign_files(folder, make_file, monkeypatch) -> None:
    """A file of another user is not deleted."""
    make_dead(make_file, 2)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert files.sweep(folder, keep=0) == 0
    assert len(list(folder.files())) == 2


def test_sweep_removes_old_abandoned_temporaries_only(folder, make_file) -> None:
    """A temporary file goes a minute after its maker left it unlocked, and not while it is locked."""
    old, young, busy = (folder.path / f"{name}.flight-new" for name in ("old", "young", "busy"))
    for path in (old, young):
        path.write_bytes(b"")
    made, mapping = make_file()
    made.rename(busy)
    for path, modified_s in ((old, 1000.0), (busy, 1000.0), (young, 1000.0 + 2)):
        os.utime(path, (0, modified_s))
    assert files.sweep(folder, now_s=1000.0 + 61) == 1
    assert {path.name for path in folder.path.iterdir()} == {"young.flight-new", "busy.flight-new"}
    mapping.close()
    assert files.sweep(folder, now_s=1000.0 + 63) == 2
    assert list(folder.path.iterdir()) == []


def test_sweep_while_files_vanish(folder, make_file, monkeypatch) -> None:
    """Files that another sweeper takes away first are no failure and are not counted."""
    make_dead(make_file, 2)

    def taken(path: str) -> None:
        raise FileNotFoundError

    with monkeypatch.context() as another:
        another.setattr(os, "unlink", taken)
        assert files.sweep(folder, keep=0) == 0
    assert files._modified_s(str(folder.path / "gone")) == 0.0
    assert files._is_locked(str(folder.path / "gone")) is True


def test_folder_on_a_real_disk(monkeypatch, tmp_path) -> None:
    """Whatever tmp_path lies on: tmpfs is taken, a disk is refused, and with the setting both are."""
    place = Path(tempfile.mkdtemp(dir=tmp_path))
    kind = filesystem_type(place.lstat().st_dev)
    config = Config.from_env({"GC_OTEL_DIR": str(place)})
    if kind in ("tmpfs", "ramfs", "unknown"):
        assert open_folder(config).path == place
    else:
        with pytest.raises(FlightFolderError, match=kind):
            open_folder(config)
    assert open_folder(Config.from_env({"GC_OTEL_DIR": str(place), "GC_OTEL_DIR_ON_DISK": "1"})).path == place

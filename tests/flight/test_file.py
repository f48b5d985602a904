"""Making a flight file: name, mode, lock; and a lock that tells exactly whether its process lives."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import struct
from pathlib import Path

import pytest

from gc_otel.errors import FlightFolderError, NotAFlightFile
from gc_otel.flight import file as files
from gc_otel.flight import layout
from gc_otel.flight.file import FlightFile, OwnMemory
from gc_otel.flight.reader import read_identity


def alive(path) -> bool:
    with FlightFile(path) as file:
        return file.is_alive()


def test_file_is_named_after_process_and_time(folder, header, make_mapping) -> None:
    """The name carries pid and creation time, and nothing temporary is left beside it."""
    location, _mapping = files.create(folder, header, make_mapping)
    path = Path(location)
    assert path == folder.path / f"{os.getpid()}-{header['created_unix_ns']:x}.flight"
    assert list(folder.path.iterdir()) == list(folder.files()) == [path]


def test_file_is_ours_alone_and_reserved(make_file) -> None:
    """Mode 0600, full size, and every page of it reserved."""
    path, _mapping = make_file()
    status = path.stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_size == layout.FILE_BYTES
    assert status.st_blocks * 512 >= layout.FILE_BYTES


def test_mode_does_not_depend_on_the_umask(make_file) -> None:
    """With a umask of 0 nobody else can read it either."""
    before = os.umask(0)
    try:
        path, _mapping = make_file()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_header_can_be_read_back(make_file, header) -> None:
    """Who wrote the file is what the header was given."""
    path, mapping = make_file()
    with FlightFile(path) as file:
        identity = read_identity(file)
    assert identity == read_identity(OwnMemory(mapping))
    assert (identity.pid, identity.parent_pid) == (os.getpid(), os.getppid())
    assert (identity.service_name, identity.service_version) == ("checkout", "1.2.3")
    assert (identity.program, identity.instance_id) == ("app.py", header["instance_id"])
    assert (identity.recorder, identity.duration_clock) == ("native", "monotonic")
    assert (identity.gc_mode, identity.state) == ("generational", "running")
    assert (identity.pid_namespace, identity.exited_unix_ns) == (None, None)
    assert identity.created_unix_ns == header["created_unix_ns"]
    assert identity.monotonic_to_unix_ns == header["monotonic_to_unix_ns"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("x" * 500, "x" * 128),
        ("ü" * 64, "ü" * 64),
        ("a" + "ü" * 64, "a" + "ü" * 63),
        ("a" + "😀" * 32, "a" + "😀" * 31),
        ("lone \ud800 half", "lone ? half"),
        ("", ""),
    ],
    ids=["long", "fits", "half a letter", "half an emoji", "surrogate", "empty"],
)
def test_text_is_cut_at_a_whole_letter(make_file, text, kept) -> None:
    """A name that is too long, or no proper text, comes back shortened and readable."""
    path, _mapping = make_file(service_name=text)
    with FlightFile(path) as file:
        assert read_identity(file).service_name == kept


def test_rewriting_text_leaves_nothing_of_the_longer_one(make_file) -> None:
    """A shorter text replaces a longer one whole."""
    path, mapping = make_file(program="a-long-program-name")
    files.write_header(mapping.view(), {"program": "b", "state": 2, "exited_unix_ns": 5})
    with FlightFile(path) as file:
        identity = read_identity(file)
    assert (identity.program, identity.state, identity.exited_unix_ns) == ("b", "exited", 5)


def test_clock_behind_the_boot_time(make_file) -> None:
    """A machine without a clock of its own starts in 1970: recording must start all the same."""
    path, _mapping = make_file(monotonic_to_unix_ns=-5)
    with FlightFile(path) as file:
        assert read_identity(file).monotonic_to_unix_ns == -5


def test_locked_while_mapped(make_file) -> None:
    """The lock lasts as long as the mapping, of which the last view is a part."""
    path, mapping = make_file()
    assert alive(path) is True
    view = mapping.view()
    mapping.close()
    assert alive(path) is True
    view.release()
    del view
    assert alive(path) is False


def test_probing_does_not_disturb(make_file) -> None:
    """Two readers at once see the same, and asking takes no lock away."""
    path, mapping = make_file()
    with FlightFile(path) as one, FlightFile(path) as two:
        assert [one.is_alive(), two.is_alive(), one.is_alive()] == [True] * 3
        mapping.close()
        assert [one.is_alive(), two.is_alive(), one.is_alive()] == [False] * 3


def test_unlocked_when_the_process_is_killed(flight_dir, start_program) -> None:
    """SIGKILL leaves a file that says dead and can be read."""
    process = start_program("hold_file.py")
    path = flight_dir / os.path.basename(json.loads(process.stdout.readline())["path"])
    assert alive(path) is True
    process.kill()
    process.wait()
    assert alive(path) is False
    with FlightFile(path) as file:
        assert read_identity(file).pid == process.pid


def test_lock_survives_closing_all_descriptors(flight_dir, start_program) -> None:
    """A daemon that closes every descriptor is still seen alive, until it ends."""
    process = start_program("hold_file.py", "closerange")
    path = flight_dir / os.path.basename(json.loads(process.stdout.readline())["path"])
    assert alive(path) is True
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert alive(path) is False


def test_forked_child_does_not_hold_its_parents_lock(flight_dir, start_program) -> None:
    """When the parent is killed its file is dead, though its child lives on."""
    process = start_program("hold_file.py", "fork")
    answer = json.loads(process.stdout.readline())
    path = flight_dir / os.path.basename(answer["path"])
    assert alive(path) is True
    process.kill()
    process.wait()
    os.kill(answer["child_pid"], 0)  # it is there
    assert alive(path) is False


def test_no_room_leaves_nothing_behind(folder, header, make_mapping, monkeypatch) -> None:
    """ENOSPC while reserving is a FlightFolderError; no temporary file and no descriptor stay."""

    def full(fd: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(FlightFolderError, match="No space left") as raised:
        files.create(folder, header, make_mapping)
    assert raised.value.remedy
    assert list(folder.path.iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_temporary_file_that_is_there_already(folder, header, make_mapping) -> None:
    """A name that is taken, or planted as a link, is not opened."""
    name = f"{header['pid']}-{header['created_unix_ns']:x}.flight-new"
    (folder.path / name).symlink_to("/etc/passwd")
    with pytest.raises(FlightFolderError, match="File exists"):
        files.create(folder, header, make_mapping)


def test_header_that_cannot_be_written_leaves_nothing_behind(folder, header, make_mapping) -> None:
    """Whatever goes wrong after the temporary file was made, it does not stay for others to count."""
    with pytest.raises(KeyError):
        files.create(folder, {**header, "no such field": 1}, make_mapping)
    assert list(folder.path.iterdir()) == []


def test_failing_to_clean_up_hides_nothing(folder, header, monkeypatch) -> None:
    """The first failure is the one reported, even when the temporary file cannot be removed."""

    def no_memory(fd: int) -> None:
        raise OSError(errno.ENOMEM, "no memory")

    def stuck(path: object, dir_fd: int | None = None) -> None:
        raise OSError(errno.EROFS, "read-only")

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", stuck)
        with pytest.raises(FlightFolderError, match="no memory"):
            files.create(folder, header, no_memory)


# Files that are none.


def test_alien_bytes(folder) -> None:
    """A file of the right size and other content is refused by its header."""
    path = folder.path / "1-1.flight"
    path.write_bytes(os.urandom(8).rjust(layout.FILE_BYTES, b"x"))
    with FlightFile(path) as file, pytest.raises(NotAFlightFile, match="does not begin with the mark"):
        read_identity(file)


@pytest.mark.parametrize(
    ("cell", "value", "message"),
    [
        ("layout_version", 1, f"layout 1, this version reads {layout.LAYOUT_VERSION}"),
        ("file_bytes", 4096, "tells another size"),
        ("pid", 0, "process id is impossible"),
        ("pid", 2**31, "process id is impossible"),
        ("magic", 0, "mark of a flight file"),
    ],
)
def test_header_that_cannot_be_believed(make_file, cell, value, message) -> None:
    """Another layout, size or an impossible process is refused, saying which, with a remedy."""
    path, mapping = make_file()
    struct.pack_into("=Q", mapping.view(), layout.HEADER.cell(cell) * 8, value)
    with FlightFile(path) as file, pytest.raises(NotAFlightFile, match=message) as raised:
        read_identity(file)
    assert raised.value.remedy


@pytest.mark.parametrize("size_bytes", [0, 1, layout.FILE_BYTES - 1, layout.FILE_BYTES + 1])
def test_wrong_size(folder, size_bytes) -> None:
    """A truncated or grown file is refused at the door."""
    path = folder.path / "1-1.flight"
    path.write_bytes(bytes(size_bytes))
    with pytest.raises(NotAFlightFile, match=f"has {size_bytes} bytes"):
        FlightFile(path)


def test_fifo_does_not_hang_the_reader(folder) -> None:
    """A FIFO is refused without waiting for a writer."""
    path = folder.path / "1-1.flight"
    os.mkfifo(path)
    with pytest.raises(NotAFlightFile, match="not a regular file"):
        FlightFile(path)


def test_link_is_not_followed(folder, make_file) -> None:
    """A symlink is refused, even one to a good file."""
    good, _mapping = make_file()
    path = folder.path / "1-1.flight"
    path.symlink_to(good)
    with pytest.raises(NotAFlightFile, match="a link"):
        FlightFile(path)


def test_folder_is_no_file(folder) -> None:
    """A folder with such a name is refused."""
    path = folder.path / "1-1.flight"
    path.mkdir()
    with pytest.raises(NotAFlightFile, match="not a regular file"):
        FlightFile(path)


def test_missing_file(folder) -> None:
    """A file that went between listing and opening is an error of the same kind."""
    with pytest.raises(NotAFlightFile, match="No such file"):
        FlightFile(folder.path / "1-1.flight")


def test_unreadable_file(make_file, monkeypatch) -> None:
    """Permission denied says so."""
    path, _mapping = make_file()

    def denied(*args: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", denied)
        with pytest.raises(NotAFlightFile, match="Permission denied"):
            FlightFile(path)


def test_foreign_file(make_file, monkeypatch) -> None:
    """Another user's file is not read."""
    path, _mapping = make_file()
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(NotAFlightFile, match=f"belongs to user {path.stat().st_uid}"):
        FlightFile(path)


def test_refused_file_leaves_no_descriptor(folder) -> None:
    """Refusing closes what was opened."""
    path = folder.path / "1-1.flight"
    path.write_bytes(b"short")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(NotAFlightFile):
        FlightFile(path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_closing_twice_closes_once(make_file) -> None:
    """A descriptor number that others use by then is left alone."""
    path, _mapping = make_file()
    file = FlightFile(path)
    file.close()
    fd = os.open(path, os.O_RDONLY)
    file.close()
    assert os.fstat(fd).st_size == layout.FILE_BYTES
    os.close(fd)


def test_truncated_under_the_reader(make_file) -> None:
    """A file cut after opening is a short read and an error, not a crash."""
    path, mapping = make_file()
    mapping.close()
    with FlightFile(path) as file:
        os.truncate(path, 100)
        with pytest.raises(NotAFlightFile, match="truncated: 100 of"):
            read_identity(file)


def test_lock_that_cannot_be_asked_is_told_apart_from_held(make_file, monkeypatch) -> None:
    """An error other than "held by somebody" is not taken for life."""
    path, _mapping = make_file()

    def broken(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    with FlightFile(path) as file:
        monkeypatch.setattr(fcntl, "flock", broken)
        with pytest.raises(OSError, match="no locks"):
            file.is_alive()


def test_own_memory_of_a_closed_mapping(make_mapping) -> None:
    """Reading oneself after the end says so by an error of this package."""
    mapping = make_mapping(-1)
    mapping.close()
    with pytest.raises(NotAFlightFile, match="closed"):
        OwnMemory(mapping).copy(0, 8)

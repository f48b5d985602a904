"""Make, lock, open and judge a flight file.

The lock that says "its process lives" is a flock carried by the mapping: the
descriptor is closed right away, so a daemon that closes all descriptors
cannot drop it, and since the mapping is not inherited (MADV_DONTFORK) a
child cannot hold it past its parent's death.  A file gets its name only when
it is locked and its header written, so a reader never sees half of one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import time

from gc_otel.errors import FlightFolderError, NotAFlightFile
from gc_otel.flight import folder as folders
from gc_otel.flight import layout, requests
from gc_otel.flight.folder import Folder
from gc_otel.flight.layout import HEADER
from gc_otel.flight.recorder import MappingLike, gc_mode

TYPE_CHECKING = False  # as in gc_otel/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from typing_extensions import Self

    HeaderFields = Mapping[str, int | str]


def create(folder: Folder, header: HeaderFields, map_file: Callable[[int], MappingLike]) -> tuple[str, MappingLike]:
    """Make this process's file; FlightFolderError when the folder has no room or forbids it.

    ``map_file`` maps a descriptor; it is closed before this returns.
    """
    make_room(folder)
    name = f"{header['pid']}-{header['created_unix_ns']:x}"
    temporary, final = name + folders.TEMPORARY_SUFFIX, name + folders.SUFFIX
    try:
        inside = folder.pin()
    except OSError as error:
        raise FlightFolderError(f"{folder.location}: {error.strerror}") from error
    try:
        try:
            mapping = _create_in(inside, temporary, header, map_file, folder.group)
        except OSError as error:
            # Full of what others put there.
            if error.errno != errno.ENOSPC or not _remove_dead(folder, 1):
                raise
            mapping = _create_in(inside, temporary, header, map_file, folder.group)
        try:
            os.rename(temporary, final, src_dir_fd=inside, dst_dir_fd=inside)
        except BaseException:
            mapping.close()
            _remove_in(inside, temporary)
            raise
    except OSError as error:
        raise FlightFolderError(f"{os.path.join(folder.location, temporary)}: {error.strerror or error}") from error
    finally:
        os.close(inside)
    return os.path.join(folder.location, final), mapping


def _create_in(
    inside: int, temporary: str, header: HeaderFields, map_file: Callable[[int], MappingLike], group: int | None
) -> MappingLike:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, 0o600, dir_fd=inside)
    try:
        if group is not None:  # the file's group is the folder's, which has the setgid bit
            os.fchmod(fd, GROUP_FILE_MODE)
        return _prepare(fd, header, map_file)
    except BaseException:
        _remove_in(inside, temporary)
        raise
    finally:
        os.close(fd)


def _remove_in(inside: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=inside)
    except OSError:
        return


def _prepare(fd: int, header: HeaderFields, map_file: Callable[[int], MappingLike]) -> MappingLike:
    # Reserved, not only sized: a page that cannot be had later is a SIGBUS in the callback.
    os.posix_fallocate(fd, 0, layout.FILE_BYTES)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    mapping = map_file(fd)
    write_header(mapping.view(), header)
    return mapping


def write_header(view: memoryview, header: HeaderFields) -> None:
    """Write the header's fields, texts cut to their room; the magic last."""
    for name, value in header.items():
        offset = HEADER.cell(name) * layout.CELL_BYTES
        if isinstance(value, int):
            # A Unix clock that is behind the monotonic one makes their difference negative.
            struct.pack_into("=Q", view, offset, value & layout.ABSENT)
        else:
            write_text(view, offset, layout.text_bytes(HEADER, name), value)
    struct.pack_into("=QQQ", view, 0, layout.MAGIC, layout.LAYOUT_VERSION, layout.FILE_BYTES)


def write_text(view: memoryview, offset_bytes: int, size_bytes: int, text: str) -> None:
    """UTF-8, cut at a whole character, padded with NUL."""
    raw = text.encode("utf-8", "replace")[:size_bytes].decode("utf-8", "ignore").encode()
    view[offset_bytes : offset_bytes + size_bytes] = raw.ljust(size_bytes, b"\0")


def is_locked(fd: int) -> bool:
    """Whether a living process has that flight file mapped; asked without waiting, by a shared lock."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return True
        raise
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


#: In group mode: its owner writes, the group reads.
GROUP_FILE_MODE = 0o640


class FlightFile:
    """A file opened for reading, whoever wrote it.  Close it, or use it with ``with``.

    It reads by ``pread`` and maps nothing: a file that is truncated under it
    is a short read, not a SIGBUS.
    """

    def __init__(self, path: str | os.PathLike[str], *, group: int | None = None) -> None:
        """``group``: in group mode, a file of the user whose folder it is in is believed, too."""
        self.name = os.path.basename(path)
        self._group = group
        self._owner = os.path.basename(os.path.dirname(path))
        try:
            # O_NONBLOCK: a FIFO put there must not hang the reader.
            self._fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            what = "a link" if error.errno == errno.ELOOP else error.strerror
            raise NotAFlightFile(f"{self.name} cannot be opened: {what}") from error
        try:
            self._check()
        except BaseException:
            os.close(self._fd)
            raise

    def _check(self) -> None:
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            raise NotAFlightFile(f"{self.name} is not a regular file")
        if status.st_uid != os.getuid() and not self._is_of_the_group(status):
            raise NotAFlightFile(f"{self.name} belongs to user {status.st_uid}")
        if status.st_size != layout.FILE_BYTES:
            raise NotAFlightFile(f"{self.name} has {status.st_size} bytes, not {layout.FILE_BYTES}")

    def _is_of_the_group(self, status: os.stat_result) -> bool:
        """Whether only the user that its folder is of can have written it, for the group to read."""
        is_shared = self._group is not None and status.st_gid == self._group
        return is_shared and not status.st_mode & 0o022 and str(status.st_uid) == self._owner

    #: Another process writes while this one reads.
    atomic = False

    def copy(self, offset_bytes: int, size_bytes: int) -> bytes:
        """See :class:`gc_otel.flight.source.Source`."""
        return os.pread(self._fd, size_bytes, offset_bytes)

    def is_alive(self) -> bool:
        """Whether the process that made the file still has it mapped."""
        return is_locked(self._fd)

    def close(self) -> None:
        """Close the descriptor."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class OwnMemory:
    """The cells of this process's own recorder, as a source to read."""

    #: The copy is one C call; without a GIL that is no argument.
    atomic = gc_mode() != "freethreaded"

    def __init__(self, mapping: MappingLike) -> None:
        self._mapping = mapping

    def copy(self, offset_bytes: int, size_bytes: int) -> bytes:
        """See :class:`gc_otel.flight.source.Source`; NotAFlightFile when closed or inherited."""
        try:
            view = self._mapping.view()
        except BufferError as error:
            raise NotAFlightFile(str(error)) from error
        return view[offset_bytes : offset_bytes + size_bytes].tobytes()


def sweep(folder: Folder, *, keep: int = folders.KEPT_DEAD, now_s: float | None = None) -> int:
    """Delete the oldest files of dead processes beyond ``keep``; returns how many.

    Where an exporter is, that is its to do: it has yet to count what is in them.

    A temporary file is deleted a minute after its maker left it unlocked: a
    younger one may be between its creation and its lock.
    """
    now_s = time.time() if now_s is None else now_s
    dead = [] if _has_exporter(folder) else _dead(folder)[::-1]
    abandoned = [
        path
        for path in folder.locations(folders.TEMPORARY_SUFFIX)
        if now_s - _modified_s(path) > _TEMPORARY_AGE_S and not _is_locked(path)
    ]
    return sum(remove(path) for path in [*dead[keep:], *abandoned]) + requests.sweep(folder.location, now_s)


_TEMPORARY_AGE_S = 60.0


def make_room(folder: Folder) -> None:
    """Delete files of the dead, the oldest first, until one more fits; FlightFolderError when it does not.

    A process that lives is worth more than one that has ended, also than one that nobody has buried yet.
    """
    missing_bytes = folder.used_bytes() + layout.FILE_BYTES - folder.budget_bytes()
    if missing_bytes > 0:
        _remove_dead(folder, -(-missing_bytes // layout.FILE_BYTES))
    folder.check_budget()


def _remove_dead(folder: Folder, count: int) -> int:
    """Delete the oldest; returns how many it could."""
    kept = sorted(folder.endings.locations(folders.SUFFIX), key=_modified_s)
    return sum(remove(path) for path in [*kept, *_dead(folder)][:count])


def _dead(folder: Folder) -> list[str]:
    """The oldest first."""
    return sorted((path for path in folder.locations(folders.SUFFIX) if _is_dead(path)), key=_modified_s)


def _has_exporter(folder: Folder) -> bool:
    lock = os.path.join(folder.location, folders.EXPORTER_LOCK_NAME)
    return os.path.lexists(lock) and _is_locked(lock)


def remove(path: str) -> bool:
    """Delete a file; whether it was there to be deleted."""
    try:
        os.unlink(path)
    except OSError:
        return False
    return True


def _modified_s(path: str) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0


def _is_locked(path: str) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return True
    try:
        return is_locked(fd)
    finally:
        os.close(fd)


def _is_dead(path: str) -> bool:
    """Only what is surely ours and surely dead: what cannot be read is left alone."""
    try:
        with FlightFile(path) as file:
            return not file.is_alive()
    except (NotAFlightFile, OSError):
        return False

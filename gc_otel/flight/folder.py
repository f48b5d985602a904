"""The folder of the flight files: which one, whether it is fit, what is in it."""

from __future__ import annotations

import os
import stat

from gc_otel.config import Config
from gc_otel.errors import FlightFolderError
from gc_otel.flight import layout

TYPE_CHECKING = False  # as in gc_otel/__init__.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Final

SUFFIX: Final = ".flight"
TEMPORARY_SUFFIX: Final = ".flight-new"

#: What all flight files together may take: of the user's own /dev/shm they must never take what the user's
#: next allocation needs. In Docker's, of 64 MB, that is a quarter; where there is room, files of 1,000 processes fit.
FOLDER_BYTES_MOST: Final = 256 * 2**20
FOLDER_SHARE_MOST: Final = 0.25

#: In it an exporter keeps the records of the ended, and the flight files of the killed.
ENDINGS_NAME: Final = "endings"
#: An exporter holds a lock on it.
EXPORTER_LOCK_NAME: Final = "exporter.lock"

#: Files of dead processes that are kept for a look at them.
KEPT_DEAD: Final = 20

_MODE: Final = 0o700


class Folder:
    """A folder that was found fit.

    Readers are given paths; what the observed process itself needs goes by text,
    as pathlib would cost it 12 ms.
    """

    #: Whose members may read the files; None: nobody but their owner.
    group: int | None = None

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.location = os.fspath(path)
        self.root = self.location

    def judge(self, status: os.stat_result) -> None:
        """FlightFolderError when what has its name is not fit."""
        _check_status(self.location, status)

    def locations_to_read(self) -> list[str]:
        """The folders whose flight files are read: this one; in group mode those of other users too."""
        return [self.location]

    @property
    def path(self) -> Path:
        """Where it is."""
        return as_path(self.location)

    def files(self) -> Iterator[Path]:
        """Flight files, by name; temporary ones are not among them."""
        yield from (as_path(location) for location in self.locations(SUFFIX))

    def locations(self, suffix: str = "") -> list[str]:
        """What is in it and ends like that, by name."""
        try:
            names = os.listdir(self.location)
        except OSError:
            return []
        return [os.path.join(self.location, name) for name in sorted(names) if name.endswith(suffix)]

    def used_bytes(self) -> int:
        """What the flight files take, temporary ones and those of the dead included."""
        return sum(_size_bytes(location) for location in [*self.locations(), *self.endings.locations()])

    @property
    def endings(self) -> Folder:
        """The folder in it where an exporter keeps what is left of the dead; it need not be there."""
        return Folder(os.path.join(self.location, ENDINGS_NAME))

    def budget_bytes(self) -> int:
        """What they may take: 256 MiB, and a quarter of the filesystem."""
        filesystem = os.statvfs(self.location)
        return min(FOLDER_BYTES_MOST, int(filesystem.f_frsize * filesystem.f_blocks * FOLDER_SHARE_MOST))

    def pin(self) -> int:
        """A descriptor of the folder as it is now; FlightFolderError when what has its name is not fit, or OSError.

        Names are looked up in it, so that whoever swaps the folder after this, in a parent that others write, swaps in vain.
        """
        fd = os.open(self.location, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self.judge(os.fstat(fd))
        except BaseException:
            os.close(fd)
            raise
        return fd

    def check_budget(self) -> None:
        """FlightFolderError when one more file does not fit."""
        used, budget = self.used_bytes(), self.budget_bytes()
        if used + layout.FILE_BYTES > budget:
            raise FlightFolderError(
                f"{self.location} holds {used} bytes of flight files, and {budget} are allowed",
                remedy="Give GC_OTEL_DIR a larger tmpfs, or delete the files of ended processes.",
            )


def as_path(location: str) -> Path:
    """The same as a path."""
    from pathlib import Path  # see Folder

    return Path(location)


def _size_bytes(location: str) -> int:
    try:
        return os.lstat(location).st_size
    except OSError:
        return 0


def default_path(config: Config, runtime_dir: str | None = None) -> Path:
    """Where the flight files go; nothing is made or checked."""
    return as_path(_default_location(config, runtime_dir))


def _default_location(config: Config, runtime_dir: str | None = None) -> str:
    if config.dir is not None:
        return config.dir
    shm = "/dev/shm"  # noqa: S108 - the shared-memory filesystem, in a folder of our own with mode 0700
    if os.path.isdir(shm):
        return f"{shm}/gc_otel-{os.getuid()}"
    runtime_dir = os.environ.get("XDG_RUNTIME_DIR") if runtime_dir is None else runtime_dir
    if runtime_dir:
        return os.path.join(runtime_dir, "gc_otel")
    raise FlightFolderError("there is no /dev/shm and no XDG_RUNTIME_DIR")


def open_folder(config: Config, *, create: bool = True) -> Folder:
    """Find, and make where missing, the folder; FlightFolderError says what is wrong with it."""
    folder = _folder_of(config)
    path = folder.location
    if create:
        try:
            os.mkdir(path, _MODE)
        except FileExistsError:
            pass  # what it is, is checked below
        except OSError as error:
            raise FlightFolderError(f"{path} cannot be made: {error.strerror}") from error
    _check(folder, allow_disk=config.dir_on_disk)
    return folder


def _folder_of(config: Config) -> Folder:
    if config.group is None:
        return Folder(_default_location(config))
    if config.dir is None:
        raise FlightFolderError(
            "GC_OTEL_GROUP is set, and GC_OTEL_DIR is not",
            remedy="Set GC_OTEL_DIR to the folder that the group shares.",
        )
    from gc_otel.flight.group import GroupFolder, find_group  # for those who ask for it

    folder = GroupFolder(config.dir, find_group(config.group))
    folder.make()  # for who only reads, too: a member whose own folder is empty finds those of the others
    return folder


def _check(folder: Folder, *, allow_disk: bool) -> None:
    path = folder.location
    try:
        status = os.lstat(path)
    except OSError as error:
        raise FlightFolderError(f"{path}: {error.strerror}") from error
    folder.judge(status)
    if not os.access(path, os.W_OK | os.X_OK):
        raise FlightFolderError(f"{path} cannot be written")
    kind = filesystem_type(status.st_dev)
    if not allow_disk and kind not in ("tmpfs", "ramfs", "unknown"):
        raise FlightFolderError(
            f"{path} is on {kind}, where a slow disk could stall a collection",
            remedy="Use a folder on tmpfs, or set GC_OTEL_DIR_ON_DISK=true.",
        )


def _check_status(path: str, status: os.stat_result) -> None:
    if not stat.S_ISDIR(status.st_mode):
        raise FlightFolderError(f"{path} is not a folder (links are not followed)")
    if status.st_uid != os.getuid():
        raise FlightFolderError(f"{path} belongs to user {status.st_uid}, not to {os.getuid()}")
    if status.st_mode & 0o077:
        raise FlightFolderError(
            f"{path} is open to others (mode {stat.S_IMODE(status.st_mode):04o})", remedy=f"Run `chmod 700 {path}`."
        )


def filesystem_type(device: int, mountinfo: str | os.PathLike[str] = "/proc/self/mountinfo") -> str:
    """The type of the filesystem with that device number, or ``unknown``."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open(mountinfo, errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return "unknown"
    for line in lines:
        # proc(5): id parent major:minor root mountpoint options [tags...] - type source options
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) > 2 and fields[2] == wanted and after:
            return after.split()[0]
    return "unknown"

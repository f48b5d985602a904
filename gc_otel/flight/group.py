"""Group mode: flight files that members of one group may read, and nobody but their writers may write.

Below one root, which is nobody's in particular (the mount of a volume that containers share), each user has a folder named
by its number: mode 2750, of the group.  What is in it inherits the group; flight files have mode 0640.  A reader believes a
folder whose owner is the user that its name says, and a file of that owner's, that neither the group nor others may write.
"""

from __future__ import annotations

import os
import stat

from gc_otel.errors import FlightFolderError
from gc_otel.flight.folder import SUFFIX, Folder, as_path

TYPE_CHECKING = False  # as in gc_otel/__init__.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MODE = 0o2750
_REMEDY = "Set GC_OTEL_GROUP to a group that this user is in, and GC_OTEL_DIR to a folder that the group may search."


class GroupFolder(Folder):
    """This user's folder below the root, and to read those of the others."""

    def __init__(self, root: str, group: int) -> None:
        super().__init__(os.path.join(root, str(os.getuid())))
        self.root = root
        self.group = self._gid = group

    def make(self) -> None:
        """Make it where it is missing; FlightFolderError where that cannot be."""
        for path in (self.root, self.location):
            try:
                os.mkdir(path, 0o700)
            except FileExistsError:
                continue  # what it is, is checked by who opens it
            except OSError as error:
                raise FlightFolderError(f"{path} cannot be made: {error.strerror}", remedy=_REMEDY) from error
            self._give_to_group(path)

    def _give_to_group(self, path: str) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fchown(fd, -1, self._gid)
            # The root that we make ourselves is for all of the group to make folders in, and not to remove each other's.
            os.fchmod(fd, _MODE if path == self.location else 0o3770)
        except OSError as error:
            raise FlightFolderError(
                f"{path} cannot be given to group {self.group}: {error.strerror}", remedy=_REMEDY
            ) from error
        finally:
            os.close(fd)

    def judge(self, status: os.stat_result) -> None:
        """FlightFolderError where it is not this user's, not of the group, or open to more than the group's reading."""
        _check_folder(self.location, status, os.getuid(), self._gid)

    def locations_to_read(self) -> list[str]:
        """The folders of all users that can be believed, by name; this one's own among them."""
        try:
            names = [name for name in sorted(os.listdir(self.root)) if name.isascii() and name.isdigit()]
        except OSError:
            return [self.location]
        return [path for name in names if self._is_fit(path := os.path.join(self.root, name), int(name))]

    def _is_fit(self, path: str, user: int) -> bool:
        try:
            _check_folder(path, os.lstat(path), user, self._gid)
        except (FlightFolderError, OSError):
            return False
        return True

    def files(self) -> Iterator[Path]:
        """Flight files of all users, by folder and name."""
        for location in self.locations_to_read():
            yield from (as_path(path) for path in Folder(location).locations(SUFFIX))


def _check_folder(path: str, status: os.stat_result, user: int, group: int) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISDIR(status.st_mode):
        raise FlightFolderError(f"{path} is not a folder (links are not followed)")
    if status.st_uid != user:
        raise FlightFolderError(f"{path} belongs to user {status.st_uid}, not to {user}")
    if status.st_gid != group or mode & 0o027:
        raise FlightFolderError(
            f"{path} is of group {status.st_gid}, mode {mode:04o}",
            remedy=f"In group mode it is of group {group}, mode {_MODE:04o}; remove it, and it is made anew.",
        )


def find_group(name: str) -> int:
    """The number of a group; FlightFolderError where there is no such."""
    if name.isascii() and name.isdigit():
        return int(name)
    import grp  # of C, for those who name it

    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise FlightFolderError(
            f"there is no group {name}", remedy="Set GC_OTEL_GROUP to a group's name or number."
        ) from None

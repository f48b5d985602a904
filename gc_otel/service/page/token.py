"""The secret that opens the page: one for each flight folder, in a file that only its user can read.

Only what a launcher has anyway is imported here: `gc-otel run` tells the address before the exporter is there.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Final

from gc_otel.flight.folder import Folder

TOKEN_NAME: Final = "page.token"  # noqa: S105 - the name of the file
_BYTES: Final = 20
_LETTERS_MOST: Final = 200
_ATTEMPTS: Final = 3


class NoToken(OSError):
    """The file that holds it cannot be had, or is not fit to hold it."""


def token_of(folder: Folder) -> str:
    """The folder's token; made where there is none.  NoToken, an OSError, where it cannot be had.

    Delete the file to have another one: the addresses and cookies of the old one open nothing any more.
    """
    path = os.path.join(folder.location, TOKEN_NAME)
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(FileNotFoundError):
            return _read(path)
        _make(path)
    raise NoToken(f"{path} goes away as soon as it is made")


def _make(path: str) -> None:
    """Written under another name and linked: whoever finds it finds it whole, and the first one wins."""
    temporary = f"{path}-{os.getpid()}-{os.urandom(4).hex()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "w", encoding="ascii") as file:
            file.write(os.urandom(_BYTES).hex())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        os.unlink(temporary)


def _read(path: str) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(fd, encoding="ascii", errors="replace") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise NoToken(f"{path} is not a file of mode 0600 of this user: delete it")
        text = file.read(_LETTERS_MOST)
    if len(text) < 2 * _BYTES or not text.isalnum() or not text.isascii():
        raise NoToken(f"{path} does not hold a token: delete it")
    return text


def page_address(address: str, folder: Folder) -> str:
    """Where the page is, with the token that opens it; NoToken or OSError where there is none."""
    return f"{address}/?token={token_of(folder)}"

"""What another user can try: ``attack.py UID PATH...`` prints, for every attempt at every path, how it ended.

Started by root, it becomes that user for good before it tries anything.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import sys
from collections.abc import Callable


def read(path: str) -> None:
    os.close(os.open(path, os.O_RDONLY))


def write(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY))


def lock(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.connect(path)


def link_to_it(path: str) -> None:
    os.link(path, os.path.join(os.environ["OWN_FOLDER"], "linked"))


def move_it_away(path: str) -> None:
    os.rename(path, os.path.join(os.environ["OWN_FOLDER"], "moved"))


def plant_beside_it(path: str) -> None:
    os.close(os.open(f"{os.path.dirname(path)}/99-1.flight", os.O_WRONLY | os.O_CREAT, 0o644))


def plant_link_beside_it(path: str) -> None:
    os.symlink("/etc/passwd", f"{os.path.dirname(path)}/98-1.flight")


def plant_fifo_beside_it(path: str) -> None:
    os.mkfifo(f"{os.path.dirname(path)}/97-1.flight")


ATTEMPTS: tuple[Callable[[str], object], ...] = (
    read,
    write,
    lock,
    connect,
    os.stat,
    lambda path: os.listdir(os.path.dirname(path)),
    lambda path: os.truncate(path, 0),
    lambda path: os.chmod(path, 0o777),
    lambda path: os.utime(path, (1, 1)),
    os.unlink,
    link_to_it,
    move_it_away,
    plant_beside_it,
    plant_link_beside_it,
    plant_fifo_beside_it,
    lambda path: os.rename(os.path.dirname(path), f"{os.path.dirname(path)}-taken"),
    lambda path: os.rmdir(os.path.dirname(path)),
)


def outcome(attempt: Callable[[str], object], path: str) -> str:
    try:
        attempt(path)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


if __name__ == "__main__":
    uid = int(sys.argv[1])
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    print(json.dumps({path: [outcome(each, path) for each in ATTEMPTS] for path in sys.argv[2:]}))

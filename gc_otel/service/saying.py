"""A line on a standard error, unless that would wait."""

from __future__ import annotations

import contextlib
import os
import select
from typing import Final

#: PIPE_BUF: so much is written as a whole or not at all.
_LINE_BYTES_MOST: Final = 4096


def say_without_waiting(fd: int, line: str) -> bool:
    """Whether it was said.

    A descriptor's flags are other programs' as well, so it is asked for room first rather than made non-blocking.
    """
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    with contextlib.suppress(OSError):
        if any(flags & select.POLLOUT for _, flags in poll.poll(0)):
            raw = line.encode("utf-8", "replace")[: _LINE_BYTES_MOST - 1]
            return os.write(fd, raw + b"\n") > 0
    return False

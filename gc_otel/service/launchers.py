"""The launchers that an exporter is there for: their pidfds, and a word to those whose program is not recorded."""

from __future__ import annotations

import os
from collections.abc import Collection, KeysView

from gc_otel.service import absence
from gc_otel.service.control import Followed
from gc_otel.service.recorded import Recorded


class Launchers:
    """Told by one thread; :meth:`found` by any."""

    def __init__(self) -> None:
        self._followed: dict[int, Followed] = {}
        self._absence = absence.Absence(absence.PATIENCE_S)

    def __len__(self) -> int:
        return len(self._followed)

    def fds(self) -> KeysView[int]:
        """What becomes readable when one has gone."""
        return self._followed.keys()

    def follow(self, followed: Followed) -> None:
        """Go on at least until that launcher has gone."""
        self._followed[followed.pidfd] = followed
        if followed.stderr_fd is not None:
            self._absence.watch(followed)

    def found(self, recorded: Recorded) -> None:
        """That process is recorded."""
        self._absence.found(recorded)

    def let_go(self, ready: Collection[int]) -> None:
        """Those of these pidfds have gone."""
        for followed in [self._followed.pop(fd) for fd in list(self._followed) if fd in ready]:
            self._absence.forget(followed)
            os.close(followed.pidfd)
            if followed.stderr_fd is not None:
                os.close(followed.stderr_fd)

    def warn_of_the_absent(self) -> None:
        """Say to those who wait for longer than a program takes why theirs is not recorded."""
        for followed in self._absence.due():
            if followed.pidfd in self._followed:
                absence.warn(followed, absence.explain(followed))

    def close(self) -> None:
        """Let go of all."""
        self.let_go(tuple(self._followed))

"""OOM kills by cgroup, and which process each explains.

The counter of a cgroup says that somebody was killed, not who.  A kill is evidence for an end that is noticed within a
minute, once: three processes that SIGKILL ends and two kills make two OOM kills and one unknown cause.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gc_otel.sample.oom import OomCounter, find_oom_counter

#: The memory of a large process takes seconds to be given back, before anybody can notice its end.
_GOOD_FOR_NS: Final = 60_000_000_000


@dataclass(slots=True)
class _Cgroup:
    counter: OomCounter
    seen: int
    members: set[object] = field(default_factory=set)
    kills_ns: list[int] = field(default_factory=list)

    def look(self, now_ns: int) -> None:
        kills = self.counter.read()
        if kills is not None:
            self.kills_ns += [now_ns] * min(max(0, kills - self.seen), _KILLS_MOST)
            self.seen = kills
        self.kills_ns = [each for each in self.kills_ns if now_ns - each < _GOOD_FOR_NS][-_KILLS_MOST:]


#: More cannot have been ours.
_KILLS_MOST: Final = 4096


class Killings:
    """Watches the cgroups of processes.  Called under the lock of who owns it."""

    def __init__(
        self,
        find: Callable[[int], OomCounter | None] = find_oom_counter,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._find = find
        self._clock_ns = clock_ns
        self._cgroups: dict[tuple[int, int], _Cgroup] = {}
        self._of: dict[object, _Cgroup] = {}

    def watch(self, who: object, pid: int) -> None:
        """A process was found: kills in its cgroup count from here on."""
        counter = None if who in self._of else self._find(pid)
        if counter is None:
            return
        cgroup = self._cgroups.get(counter.key)
        if cgroup is None:
            cgroup = self._cgroups[counter.key] = _Cgroup(counter, counter.read() or 0)
        else:
            counter.close()
        cgroup.members.add(who)
        self._of[who] = cgroup

    def look(self) -> None:
        """Read all counters."""
        for cgroup in self._cgroups.values():
            cgroup.look(self._clock_ns())

    def explains(self, who: object) -> bool:
        """Whether a kill explains the end of that process; it then explains no other."""
        cgroup = self._of.get(who)
        if cgroup is None:
            return False
        cgroup.look(self._clock_ns())
        if not cgroup.kills_ns:
            return False
        cgroup.kills_ns.pop(0)
        return True

    def forget(self, who: object) -> None:
        """It has ended."""
        cgroup = self._of.pop(who, None)
        if cgroup is None:
            return
        cgroup.members.discard(who)
        if not cgroup.members:
            del self._cgroups[cgroup.counter.key]
            cgroup.counter.close()

    def close(self) -> None:
        """Forget all."""
        for who in list(self._of):
            self.forget(who)

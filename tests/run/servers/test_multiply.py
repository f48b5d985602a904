"""Every way in which Python's own library makes another process: each is on the page, counting from its beginning."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
BEFORE_THE_FIRST_LINE_MOST = 40

CHILDREN = {
    "multiprocessing, fork": 2,
    "multiprocessing, spawn": 2,
    "multiprocessing, forkserver": 2,
    "futures, fork": 2,
    "futures, forkserver": 2,
    "futures, spawn": 2,
    "subprocess": 2,
    "double fork": 1,
    "fork beside threads": 2,
}
#: Begun by exec, so that what the interpreter collected before it had loaded the recorder is told by nobody.
BY_EXEC = {"multiprocessing, spawn", "futures, spawn", "subprocess"}


@pytest.mark.parametrize("way", CHILDREN)
def test_every_child_counts_as_its_own_collector(run, in_programs, scraper, eventually, tmp_path, way):
    """Asked while they wait, seen to end, and the last page of each has what it told; the parent's goes on."""
    # Forks beside threads are what some of these ways are about: CPython 3.12 and later warn of them.
    words = (sys.executable, "-W", "ignore::DeprecationWarning", PROGRAMS / "multiply.py", way, tmp_path)
    started = run(*words, env=in_programs)
    seen = scraper(started.address())
    children = [json.loads(started.line()) for _ in range(CHILDREN[way])]
    pids = {each["pid"] for each in children}
    eventually(lambda: pids <= seen.look().keys())
    page = seen.look()
    first = [page[each["pid"]].collections for each in children]
    for each in children:
        counted = page[each["pid"]].beyond(each)
        if way in BY_EXEC:
            assert 0 <= sum(counted) < BEFORE_THE_FIRST_LINE_MOST
        else:
            assert counted == [0, 0, 0]
    started.process.stdin.write("end\n")
    started.process.stdin.flush()
    own = json.loads(started.line())
    eventually(lambda: not pids & seen.look().keys(), "children that have ended are on the page")
    page = seen.look()
    assert page.keys() >= {own["pid"]}
    assert 0 <= sum(own["counts"]) - sum(page[own["pid"]].collections) < BEFORE_THE_FIRST_LINE_MOST
    for each, told in zip(children, first, strict=True):
        last = seen.seen[each["pid"]].collections
        assert all(now >= then for now, then in zip(last, told, strict=True))
    code, _, errors = started.end("\n")
    assert (code, errors) == (0, "")

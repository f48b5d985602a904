"""No child is made where it could cost the process its life."""

from __future__ import annotations

import sys

import pytest

from gc_otel.errors import NotSupported
from gc_otel.heap import census_child
from gc_otel.probe.headroom import (
    BYTES_FOR_BLOCK,
    COPIED_SHARE,
    COPIED_SHARE_OF_HOLDING,
    check_headroom,
    check_headroom_of_census,
)

MIB = 2**20
RSS = 1000 * MIB
V2 = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"
V1 = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"


@pytest.fixture
def needed() -> int:
    return int(COPIED_SHARE * RSS) + BYTES_FOR_BLOCK * sys.getallocatedblocks()


@pytest.fixture
def tree(tmp_path):
    """A machine with room, and a process in /app of both kinds of cgroup."""

    def write(path, text):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(text))

    write("proc/meminfo", f"MemTotal: 1 kB\nMemAvailable: {64 * 2**20} kB\n")
    write("proc/self/mountinfo", "")
    write("proc/self/cgroup", "0::/app\n1:memory:/app\n")
    return write


def test_room_enough(tree, tmp_path):
    """No cgroup at all, and one without a limit."""
    check_headroom(tmp_path, rss_bytes=RSS)
    tree("proc/self/mountinfo", V2)
    tree("sys/fs/cgroup/app/memory.max", "max")
    tree("sys/fs/cgroup/app/memory.current", 10 * RSS)
    check_headroom(tmp_path, rss_bytes=RSS)


@pytest.mark.parametrize(
    ("mount", "folder", "names"),
    [
        (V2, "sys/fs/cgroup/app", ("memory.max", "memory.current", "inactive_file")),
        (V1, "sys/fs/cgroup/memory/app", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")),
    ],
)
def test_what_the_cgroup_has_left(tree, tmp_path, needed, mount, folder, names):
    """Its limit less what it uses; a cache that could be dropped counts as free."""
    limit, usage, cache = names
    tree("proc/self/mountinfo", mount)
    tree(f"{folder}/{limit}", RSS + needed + 50 * MIB)
    tree(f"{folder}/{usage}", RSS)
    check_headroom(tmp_path, rss_bytes=RSS)
    tree(f"{folder}/{usage}", RSS + 100 * MIB)
    with pytest.raises(NotSupported, match=r"app has .* left") as caught:
        check_headroom(tmp_path, rss_bytes=RSS)
    assert "--in-process" in caught.value.remedy
    tree(f"{folder}/memory.stat", f"anon 5\n{cache} {60 * MIB}\n")
    check_headroom(tmp_path, rss_bytes=RSS)


def test_where_all_are_killed_together(tree, tmp_path):
    """Kubernetes sets it on cgroup v2: whatever room there is, the price would be the container."""
    tree("proc/self/mountinfo", V2)
    tree("sys/fs/cgroup/app/memory.max", 100 * RSS)
    tree("sys/fs/cgroup/app/memory.current", RSS)
    tree("sys/fs/cgroup/app/memory.oom.group", "1\n")
    with pytest.raises(NotSupported, match=r"memory\.oom\.group"):
        check_headroom(tmp_path, rss_bytes=RSS)
    tree("sys/fs/cgroup/app/memory.oom.group", "0\n")
    check_headroom(tmp_path, rss_bytes=RSS)


def test_the_machine_itself(tree, tmp_path, needed):
    """Without any cgroup."""
    tree("proc/meminfo", f"MemAvailable: {needed // 1024 - 1} kB\n")
    with pytest.raises(NotSupported, match="the machine has"):
        check_headroom(tmp_path, rss_bytes=RSS)


@pytest.mark.parametrize(("holds", "share"), [(True, COPIED_SHARE_OF_HOLDING), (False, COPIED_SHARE)])
def test_a_census_may_copy_all_of_it(holds, share, tree, tmp_path, monkeypatch):
    """Where every object's reference count is written to; beyond that it takes nothing to speak of."""
    monkeypatch.setattr(census_child, "holds_what_it_counts", lambda: holds)
    needed_kib = int(RSS * share) // 1024
    tree("proc/meminfo", f"MemAvailable: {needed_kib}\n")
    check_headroom_of_census(tmp_path, rss_bytes=RSS)
    tree("proc/meminfo", f"MemAvailable: {needed_kib - 1}\n")
    with pytest.raises(NotSupported, match="the machine has"):
        check_headroom_of_census(tmp_path, rss_bytes=RSS)


def test_this_machine():
    """It is asked, and gives an answer of either kind."""
    try:
        check_headroom()
    except NotSupported as error:
        assert error.remedy  # noqa: PT017

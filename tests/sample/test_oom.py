"""The OOM killer's counter of a process's cgroup, on made trees."""

from __future__ import annotations

import os

import pytest

from gc_otel.sample.oom import find_oom_counter, parse_oom_kills

from .conftest import V1_MOUNT, V2_MOUNT

EVENTS = "low 0\nhigh 12\nmax 33\noom 4\noom_kill {}\noom_group_kill 1"
CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill {}"


@pytest.mark.parametrize(
    ("text", "kills"),
    [
        (EVENTS.format(3), 3),
        (CONTROL.format(0), 0),
        ("oom_kill_disable 0\nunder_oom 0", None),  # before Linux 4.13
        ("oom_kill", None),
        ("oom_kill -1", None),
        ("oom_kill \u0663", None),
        ("oom_kill_disable 7", None),
        ("", None),
    ],
)
def test_the_counter_in_the_text(text, kills):
    """Of either version; of nothing else."""
    assert parse_oom_kills(text) == kills


def read(tree, pid="self"):
    counter = find_oom_counter(pid, root=tree.root)
    if counter is None:
        return None
    try:
        return counter.read()
    finally:
        counter.close()


def test_v2(tree):
    """The victim's own cgroup is charged, wherever the limit is: the innermost counts."""
    tree.process("0::/pod/container", mounts=(V2_MOUNT.format(root="/"),))
    tree.write("sys/fs/cgroup/pod/container/memory.events", EVENTS.format(2))
    tree.write("sys/fs/cgroup/pod/memory.events", EVENTS.format(9))
    assert read(tree) == 2


def test_v1(tree):
    """memory.oom_control."""
    tree.process("4:memory:/docker/abc", "0::/", mounts=(V1_MOUNT.format(root="/"),))
    tree.write("sys/fs/cgroup/memory/docker/abc/memory.oom_control", CONTROL.format(5))
    assert read(tree) == 5


def test_in_its_own_namespace(tree):
    """In a container the cgroup is the mount's root."""
    tree.process("0::/", mounts=(V2_MOUNT.format(root="/"),))
    tree.write("sys/fs/cgroup/memory.events", EVENTS.format(1))
    assert read(tree) == 1


def test_a_cgroup_without_the_controller(tree):
    """The next one up that has a counter."""
    tree.process("0::/slice/unit", mounts=(V2_MOUNT.format(root="/"),))
    tree.write("sys/fs/cgroup/slice/unit/memory.events", "low 0")
    tree.write("sys/fs/cgroup/slice/memory.events", EVENTS.format(7))
    assert read(tree) == 7


def test_of_another_process_in_another_container(tree):
    """Through its own root, as from a sidecar that shares the pid namespace."""
    tree.process("0::/../other", mounts=(V2_MOUNT.format(root="/"),))
    tree.process("0::/../other", mounts=(V2_MOUNT.format(root="/../other"),), pid=7)
    tree.write("proc/7/root/sys/fs/cgroup/memory.events", EVENTS.format(4))
    assert read(tree, 7) == 4


def test_nothing_to_be_seen(tree):
    """No process, no mount, no file: no counter."""
    assert read(tree, 99) is None
    tree.process("0::/x", mounts=())
    assert read(tree) is None
    tree.process("0::/x", mounts=(V2_MOUNT.format(root="/"),))
    assert read(tree) is None


def test_two_processes_of_one_cgroup_have_one_key(tree):
    """And what is opened once is read again and again."""
    tree.process("0::/x", mounts=(V2_MOUNT.format(root="/"),))
    tree.write("sys/fs/cgroup/x/memory.events", EVENTS.format(1))
    first, second = find_oom_counter("self", root=tree.root), find_oom_counter("self", root=tree.root)
    assert first.key == second.key
    tree.write("sys/fs/cgroup/x/memory.events", EVENTS.format(2))
    assert (first.read(), second.read()) == (2, 2)
    first.close()
    second.close()


def test_a_removed_cgroup_cannot_tell(tree):
    """The kernel answers ENODEV then: no evidence is no zero."""
    tree.process("0::/x", mounts=(V2_MOUNT.format(root="/"),))
    tree.write("sys/fs/cgroup/x/memory.events", EVENTS.format(1))
    counter = find_oom_counter("self", root=tree.root)
    os.close(counter._fd)
    counter._fd = os.open(tree.root, os.O_RDONLY)  # any descriptor that cannot be read
    assert counter.read() is None
    counter.close()

"""Which limit binds: made /proc and cgroupfs trees, hostile text, and the machine this runs on."""

from __future__ import annotations

import os

import pytest

from gc_otel.sample.cgroup import MemoryLimit

MIB = 2**20
V1_UNLIMITED = 0x7FFFFFFFFFFFF000
V2_MOUNT = "31 23 0:28 {root} /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
V1_MOUNT = "35 31 0:32 {root} /sys/fs/cgroup/memory rw,relatime shared:15 - cgroup cgroup rw,memory"


def test_v2_limit_of_the_leaf(v2) -> None:
    """The memory.max of the process's own cgroup is found."""
    v2.write("sys/fs/cgroup/app.slice/web.service/memory.max", 512 * MIB)
    assert v2.find() == MemoryLimit(512 * MIB, "cgroup-v2")


def test_v2_parent_is_tighter(v2) -> None:
    """A parent with a smaller limit binds, whatever its child is granted."""
    v2.write("sys/fs/cgroup/app.slice/web.service/memory.max", 512 * MIB)
    v2.write("sys/fs/cgroup/app.slice/memory.max", 128 * MIB)
    assert v2.find() == MemoryLimit(128 * MIB, "cgroup-v2")


def test_v2_max_means_none(v2) -> None:
    """ "max" is no limit, so the looser parent with a number binds."""
    v2.write("sys/fs/cgroup/app.slice/web.service/memory.max", "max")
    v2.write("sys/fs/cgroup/app.slice/memory.max", 300 * MIB)
    assert v2.find() == MemoryLimit(300 * MIB, "cgroup-v2")


def test_v2_high_is_not_a_limit(v2) -> None:
    """memory.high throttles and does not kill, so it does not count."""
    v2.write("sys/fs/cgroup/app.slice/web.service/memory.high", 1 * MIB)
    v2.write("sys/fs/cgroup/app.slice/web.service/memory.max", 64 * MIB)
    assert v2.find() == MemoryLimit(64 * MIB, "cgroup-v2")


def test_v2_private_namespace(tree) -> None:
    """With a cgroup namespace of its own a container is at "/", and its limit in the mount point itself."""
    tree.process("0::/", mounts=(V2_MOUNT.format(root="/"),))
    tree.write("sys/fs/cgroup/memory.max", 256 * MIB)
    assert tree.find() == MemoryLimit(256 * MIB, "cgroup-v2")


def test_v2_mount_from_above_the_namespace(tree) -> None:
    """A mount made before the namespace was entered is an ancestor: its own limit binds, nothing below is guessed."""
    tree.process("0::/", mounts=(V2_MOUNT.format(root="/../.."),))
    tree.write("sys/fs/cgroup/memory.max", 256 * MIB)
    tree.write("sys/fs/cgroup/neighbour/memory.max", 1 * MIB)
    assert tree.find() == MemoryLimit(256 * MIB, "cgroup-v2")


def test_neighbour_outside_of_the_namespace_is_not_mistaken_for_us(tree) -> None:
    """A process in a sibling cgroup ("/../x") is not under our mount: our own limit is not reported as its."""
    mounts = (V2_MOUNT.format(root="/"),)
    tree.process("0::/", mounts=mounts)
    tree.process("0::/../neighbour", mounts=mounts, pid=7)
    tree.write("sys/fs/cgroup/memory.max", 1 * MIB)
    assert tree.find(7) is None


def test_process_of_another_container_is_read_through_its_own_root(tree) -> None:
    """A sidecar that shares the pid namespace finds its neighbour's limit under /proc/PID/root."""
    tree.process("0::/", mounts=(V2_MOUNT.format(root="/"),))
    tree.process("0::/../neighbour", mounts=(V2_MOUNT.format(root="/../neighbour"),), pid=7)
    tree.write("sys/fs/cgroup/memory.max", 1 * MIB)
    tree.write("proc/7/root/sys/fs/cgroup/memory.max", 99 * MIB)
    assert tree.find(7) == MemoryLimit(99 * MIB, "cgroup-v2")


def test_host_reads_a_containers_process_through_the_hosts_mounts(tree) -> None:
    """From the host, the container's path is found in the host's tree, tighter parents included."""
    tree.process("0::/", mounts=(V2_MOUNT.format(root="/"),))
    tree.process("0::/pods/c1", mounts=(V2_MOUNT.format(root="/pods/c1"),), pid=7)
    tree.write("sys/fs/cgroup/pods/c1/memory.max", 80 * MIB)
    tree.write("sys/fs/cgroup/pods/memory.max", 70 * MIB)
    tree.write("proc/7/root/sys/fs/cgroup/memory.max", 80 * MIB)
    assert tree.find(7) == MemoryLimit(70 * MIB, "cgroup-v2")


def test_container_bind_mount_strips_the_root(tree) -> None:
    """Without a cgroup namespace the container's mount shows only its own part of the path."""
    tree.process("4:memory:/docker/c0ffee/inner", mounts=(V1_MOUNT.format(root="/docker/c0ffee"),))
    tree.write("sys/fs/cgroup/memory/memory.limit_in_bytes", 200 * MIB)
    tree.write("sys/fs/cgroup/memory/inner/memory.limit_in_bytes", 150 * MIB)
    assert tree.find() == MemoryLimit(150 * MIB, "cgroup-v1")


def test_mount_of_an_unrelated_cgroup_is_ignored(tree) -> None:
    """A root that only begins with the same letters is another cgroup."""
    tree.process("4:memory:/docker/c0ffee", mounts=(V1_MOUNT.format(root="/docker/c0"),))
    tree.write("sys/fs/cgroup/memory/memory.limit_in_bytes", 1 * MIB)
    assert tree.find() is None


def test_v1_up_the_tree(v1) -> None:
    """The tightest of a v1 cgroup and its parents binds; the page-rounded maximum means none."""
    v1.write("sys/fs/cgroup/memory/app/web/memory.limit_in_bytes", V1_UNLIMITED)
    v1.write("sys/fs/cgroup/memory/app/memory.limit_in_bytes", 90 * MIB)
    v1.write("sys/fs/cgroup/memory/memory.limit_in_bytes", V1_UNLIMITED)
    assert v1.find() == MemoryLimit(90 * MIB, "cgroup-v1")


def test_hybrid_takes_the_smaller_of_both(tree) -> None:
    """On a hybrid host both hierarchies are asked."""
    unified = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"
    tree.process("4:memory:/app", "0::/app", mounts=(V1_MOUNT.format(root="/"), unified))
    tree.write("sys/fs/cgroup/memory/app/memory.limit_in_bytes", 90 * MIB)
    assert tree.find() == MemoryLimit(90 * MIB, "cgroup-v1")
    tree.write("sys/fs/cgroup/unified/app/memory.max", 80 * MIB)
    assert tree.find() == MemoryLimit(80 * MIB, "cgroup-v2")


def test_names_with_blanks_and_colons(tree) -> None:
    """Mountinfo writes blanks in octal; a cgroup's name may hold colons."""
    tree.process("0::/a:b c", mounts=("31 23 0:28 / /mnt/my\\040groups rw - cgroup2 cgroup2 rw",))
    tree.write("mnt/my groups/a:b c/memory.max", 33 * MIB)
    assert tree.find() == MemoryLimit(33 * MIB, "cgroup-v2")


def test_unlimited_everywhere(v2) -> None:
    """Where nobody limits anything there is no limit, and the machine's memory is one if it is told."""
    v2.write("sys/fs/cgroup/app.slice/web.service/memory.max", "max")
    assert v2.find() is None
    assert v2.find(machine_bytes=8192 * MIB) == MemoryLimit(8192 * MIB, "machine")


def test_smallest_source_wins(v2) -> None:
    """All sources are compared, and of equals the cgroup is named."""
    v2.write("sys/fs/cgroup/app.slice/web.service/memory.max", 500 * MIB)
    assert v2.find(machine_bytes=400 * MIB) == MemoryLimit(400 * MIB, "machine")
    assert v2.find(machine_bytes=400 * MIB, rlimit_as_bytes=300 * MIB) == MemoryLimit(300 * MIB, "rlimit-as")
    assert v2.find(machine_bytes=500 * MIB, rlimit_as_bytes=500 * MIB) == MemoryLimit(500 * MIB, "cgroup-v2")


@pytest.mark.parametrize("text", ["", "-1", "1e9", "0x10", "٣", "12 34", "1_000", "9" * 40, "\x00", "max\nmax"])
def test_garbage_in_a_limit_file(v2, text: str) -> None:
    """A limit file that does not hold a plain number says nothing; the next source does."""
    v2.write("sys/fs/cgroup/app.slice/web.service/memory.max", text)
    assert v2.find(machine_bytes=7 * MIB) == MemoryLimit(7 * MIB, "machine")


def test_zero_is_a_limit(v2) -> None:
    """memory.max may be 0: no page can be charged any more."""
    v2.write("sys/fs/cgroup/app.slice/web.service/memory.max", 0)
    assert v2.find() == MemoryLimit(0, "cgroup-v2")


def test_unreadable_limit_file(v2) -> None:
    """A limit file that cannot be read, here a directory, leaves the others to speak."""
    (v2.root / "sys/fs/cgroup/app.slice/web.service/memory.max").mkdir(parents=True)
    v2.write("sys/fs/cgroup/app.slice/memory.max", 40 * MIB)
    reader = v2.reader()
    assert [reader.read(), reader.read()] == [MemoryLimit(40 * MIB, "cgroup-v2")] * 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFO here")
def test_fifo_in_place_of_the_limit_does_not_block(v2) -> None:
    """A hostile container could put a FIFO where the limit file is expected: it is read as nothing."""
    (v2.root / "sys/fs/cgroup/app.slice/web.service").mkdir(parents=True)
    os.mkfifo(v2.root / "sys/fs/cgroup/app.slice/web.service/memory.max")
    assert v2.find(machine_bytes=9 * MIB) == MemoryLimit(9 * MIB, "machine")


@pytest.mark.parametrize("name", ["cgroup", "mountinfo"])
def test_proc_that_cannot_be_read_is_asked_again(v2, name: str) -> None:
    """Without /proc/self/cgroup or mountinfo the cgroups say nothing, until the file can be read."""
    v2.write("sys/fs/cgroup/app.slice/web.service/memory.max", 20 * MIB)
    file = v2.root / "proc/self" / name
    file.rename(file.with_suffix(".hidden"))
    reader = v2.reader(machine_bytes=50 * MIB)
    assert reader.read() == MemoryLimit(50 * MIB, "machine")
    file.with_suffix(".hidden").rename(file)
    assert reader.read() == MemoryLimit(20 * MIB, "cgroup-v2")


@pytest.mark.parametrize("name", ["cgroup", "mountinfo"])
def test_garbage_in_proc(v2, name: str) -> None:
    """Bytes that are neither UTF-8 nor anything known mean that the cgroups say nothing."""
    v2.write("sys/fs/cgroup/app.slice/web.service/memory.max", 20 * MIB)
    (v2.root / "proc/self" / name).write_bytes(b"\xff\xfe 0::\n::::\n0::relative\n - cgroup2\n\\777\x00")
    assert v2.find(machine_bytes=50 * MIB) == MemoryLimit(50 * MIB, "machine")


def test_reader_sees_a_new_limit_without_resolving_again(v2) -> None:
    """After the first time only the limit files are read: /proc may even be gone."""
    v2.write("sys/fs/cgroup/app.slice/web.service/memory.max", 20 * MIB)
    reader = v2.reader()
    assert reader.read() == MemoryLimit(20 * MIB, "cgroup-v2")
    (v2.root / "proc/self/cgroup").unlink()
    v2.write("sys/fs/cgroup/app.slice/web.service/memory.max", 30 * MIB)
    assert reader.read() == MemoryLimit(30 * MIB, "cgroup-v2")


def test_reader_follows_a_process_whose_cgroup_was_removed(v2) -> None:
    """When a limit file vanishes the process has been moved: one read later its new cgroup is known."""
    v2.write("sys/fs/cgroup/app.slice/web.service/memory.max", 20 * MIB)
    v2.write("sys/fs/cgroup/new/memory.max", 60 * MIB)
    reader = v2.reader()
    reader.read()
    (v2.root / "sys/fs/cgroup/app.slice/web.service/memory.max").unlink()
    v2.process("0::/new", mounts=(V2_MOUNT.format(root="/"),))
    assert reader.read() is None
    assert reader.read() == MemoryLimit(60 * MIB, "cgroup-v2")

"""The parsers against hostile text, and the readers of this machine's own limits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gc_otel.flight import layout
from gc_otel.sample import cgroup
from gc_otel.sample.cgroup import CgroupMount, MemoryLimit, find_memory_limit

resource = pytest.importorskip("resource")

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="prlimit is Linux only")
MIB = 2**20

#: Text that is close enough to the real thing to get past the first checks.
HOSTILE = st.one_of(
    st.text(),
    st.text(alphabet="0123456789:/.,- \n\\max\x00"),
    st.lists(
        st.sampled_from(
            ["0::", "4:memory:", "/", "..", "a", "\n", " ", " - ", "cgroup2", "cgroup", "rw,memory", "\\000", "\\040"]
        ),
        max_size=40,
    ).map("".join),
)


@given(HOSTILE)
def test_limit_parser_takes_any_text(text: str) -> None:
    """Whatever a limit file holds, the answer is None or a number below the huge ones."""
    limit = cgroup.parse_limit(text)
    assert limit is None or 0 <= limit < 2**62


@given(st.integers(min_value=0, max_value=2**64))
def test_limit_parser_takes_any_number(number: int) -> None:
    """A number means itself, and from 2**62 on none."""
    assert cgroup.parse_limit(f"{number}\n") == (number if number < 2**62 else None)


def test_limit_parser_takes_very_long_numbers() -> None:
    """A number longer than Python converts is no limit, rather than a ValueError."""
    assert cgroup.parse_limit("9" * 5000) is None


@given(HOSTILE)
def test_cgroup_parser_takes_any_text(text: str) -> None:
    """Whatever /proc/PID/cgroup holds, the answer is absolute paths of known hierarchies."""
    paths = cgroup.parse_cgroup(text)
    assert set(paths) <= {"cgroup-v2", "cgroup-v1"}
    assert all(path.startswith("/") for path in paths.values())


@given(HOSTILE)
def test_mountinfo_parser_takes_any_text(text: str) -> None:
    """Whatever mountinfo holds, the answer is mounts of known hierarchies."""
    assert {mount.source for mount in cgroup.parse_mountinfo(text)} <= {"cgroup-v2", "cgroup-v1"}


@given(HOSTILE, HOSTILE)
def test_below_mount_takes_any_text_and_never_climbs(path: str, mount_root: str) -> None:
    """Whatever the paths, the names never lead up and out of the mount."""
    names = cgroup.below_mount(path, mount_root)
    assert names is None or ".." not in names


@given(HOSTILE, HOSTILE)
def test_whole_search_takes_any_text(
    tmp_path_factory: pytest.TempPathFactory, cgroup_text: str, mountinfo: str
) -> None:
    """A hostile /proc never makes the search raise; the machine's memory is still told."""
    root = tmp_path_factory.getbasetemp() / "hostile"
    (root / "proc/self").mkdir(parents=True, exist_ok=True)
    (root / "proc/self/cgroup").write_bytes(cgroup_text.encode("utf-8", "replace"))
    (root / "proc/self/mountinfo").write_bytes(mountinfo.encode("utf-8", "replace"))
    limit = find_memory_limit(root=root, rlimit_as_bytes=None, machine_bytes=5)
    assert limit == MemoryLimit(5, "machine")


def test_real_mountinfo_line() -> None:
    """A line with optional fields and one without give root and mount point."""
    text = (
        "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro shared:15 master:2 - cgroup cgroup rw,memory\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
        "42 31 0:39 / /sys/fs/cgroup/memoryish rw - cgroup cgroup rw,name=memory\n"
    )
    assert cgroup.parse_mountinfo(text) == [
        CgroupMount("cgroup-v1", "/docker/abc", "/sys/fs/cgroup/memory"),
        CgroupMount("cgroup-v2", "/", "/sys/fs/cgroup/unified"),
    ]


@pytest.mark.parametrize(
    ("path", "mount_root", "names"),
    [
        ("/", "/", ()),
        ("/a/b", "/", ("a", "b")),
        ("/a/b", "/a", ("b",)),
        ("/a/b", "/a/b", ()),
        ("/ab", "/a", None),
        ("/", "/a", None),
        ("/../x", "/", None),
        ("/../x", "/../x", ()),
        ("/../x/y", "/../x", ("y",)),
        ("/..", "/../..", ()),
        ("/a", "/..", ()),
        ("/../../x", "/..", None),
        ("/", "/../x", None),
    ],
)
def test_below_mount(path: str, mount_root: str, names: tuple[str, ...] | None) -> None:
    """Roots are stripped name by name, ancestors are known, neighbours are refused."""
    assert cgroup.below_mount(path, mount_root) == names


def test_sources_are_those_of_the_flight_file() -> None:
    """Every source has its number in the layout."""
    sources = (cgroup.CGROUP_V2, cgroup.CGROUP_V1, cgroup.RLIMIT_AS, cgroup.MACHINE)
    assert ("unknown", *sources) == layout.LIMIT_SOURCES


def test_rlimit_of_the_own_process(tmp_path: Path) -> None:
    """The soft RLIMIT_AS of a process that has one is found, with "self" and with its number."""
    code = (
        "import os, resource, sys; resource.setrlimit(resource.RLIMIT_AS, (1 << 33, resource.RLIM_INFINITY))\n"
        "from pathlib import Path; from gc_otel.sample.cgroup import find_memory_limit\n"
        "for pid in ('self', os.getpid()):\n"
        "    limit = find_memory_limit(pid, root=Path(sys.argv[1]), machine_bytes=1 << 34)\n"
        "    print(limit.limit_bytes, limit.source)\n"
    )
    shown = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines() == [f"{1 << 33} rlimit-as"] * 2


@LINUX
def test_rlimit_of_another_process(tmp_path: Path) -> None:
    """The RLIMIT_AS of the process that is asked about counts, not the one of who asks."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        resource.prlimit(child.pid, resource.RLIMIT_AS, (1 << 35, resource.RLIM_INFINITY))
        assert find_memory_limit(child.pid, root=tmp_path, machine_bytes=None) == MemoryLimit(1 << 35, "rlimit-as")
        assert find_memory_limit(root=tmp_path, machine_bytes=1) == MemoryLimit(1, "machine")
        child.communicate(b"\n")


@pytest.mark.parametrize("pid", [2**31 - 1, "no number"])
def test_rlimit_of_no_process(tmp_path: Path, pid: int | str) -> None:
    """Where there is no such process, its RLIMIT_AS says nothing."""
    assert find_memory_limit(pid, root=tmp_path, machine_bytes=None) is None


@pytest.mark.parametrize("soft", [resource.RLIM_INFINITY, 2**62, 2**63 - 1])
def test_unlimited_rlimit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, soft: int) -> None:
    """RLIM_INFINITY, which some systems show as a huge number, is no limit."""
    monkeypatch.setattr(resource, "getrlimit", lambda which: (soft, soft))
    assert find_memory_limit(root=tmp_path, machine_bytes=None) is None


def test_without_the_resource_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows there is no resource module, and the machine's memory is the limit."""
    monkeypatch.setattr(cgroup, "resource", None)
    assert find_memory_limit(root=tmp_path, machine_bytes=3 * MIB) == MemoryLimit(3 * MIB, "machine")


def test_machine_that_does_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where psutil cannot tell the machine's memory, this source says nothing."""

    def fail() -> None:
        raise OSError("no /proc/meminfo")

    monkeypatch.setattr("psutil.virtual_memory", fail)
    assert find_memory_limit(root=tmp_path, rlimit_as_bytes=None) is None


def test_this_machine() -> None:
    """On a real machine there is a limit, not above its memory, the same for "self" and for our pid."""
    import psutil

    limit = find_memory_limit()
    assert limit is not None
    assert 2**20 < limit.limit_bytes <= psutil.virtual_memory().total
    assert limit.source in layout.LIMIT_SOURCES
    assert find_memory_limit(os.getpid()) == limit

"""Flight files are found, followed and let go."""

from __future__ import annotations

import os
import shutil

import pytest

from gc_otel.flight import layout
from gc_otel.service import following as followings
from gc_otel.service.following import Following


@pytest.fixture
def heard():
    return {"found": [], "ended": []}


@pytest.fixture
def following(folder, heard):
    faults = []
    made = Following(
        folder,
        note_fault=lambda where, error: faults.append((where, error)),
        found=heard["found"].append,
        ended=heard["ended"].append,
    )
    made.faults = faults
    yield made
    made.close()


def labels(following):
    return [each.label for each in following.shown()]


def test_the_living_are_found_and_the_dead_shown_once_more(following, make, heard):
    """From the first sight to the page after its death; whoever listens is told."""
    first, second = make(), make()
    following.refresh()
    assert sorted(labels(following)) == sorted([first.pid, second.pid])
    first.collect(times=2)
    first.die(leaving_file=False)
    following.refresh()
    assert [each.label for each in following.living()] == [second.pid]
    (ended,) = [each for each in following.shown() if each.is_ended]
    assert ended.snapshot().collector.collections == 2
    assert ended.identity.exited_unix_ns > 0
    following.forget(following.shown())
    assert labels(following) == [second.pid]
    assert sorted(each.label for each in heard["found"]) == sorted([first.pid, second.pid])
    assert [each.label for each in heard["ended"]] == [first.pid]


def test_a_file_that_stays_is_not_found_again(following, make):
    """A killed process leaves its file; it was shown, and is not shown again."""
    made = make()
    following.refresh()
    made.die()
    for _ in range(3):
        following.refresh()
        following.forget(following.shown())
    assert labels(following) == []


def test_the_dead_of_before_are_left_alone_and_those_between_two_looks_are_not(folder, make, heard):
    """What was dead before the exporter began is no news; what lived and died since is shown once."""
    make().die()
    following = Following(folder, note_fault=print)
    make().die()
    brief = make()
    brief.collect()
    brief.die()
    following.refresh()
    assert brief.pid in labels(following)
    assert len(labels(following)) == 2
    following.close()


def test_hostile_files_are_counted_and_not_read_again(following, make, folder, monkeypatch):
    """Each is refused once and remembered; when it is gone, so is the refusal; later it is tried again."""
    whole = make()
    shutil.copy(whole.path, folder.path / "1-copy.flight")
    with (folder.path / "1-copy.flight").open("r+b") as file:
        file.write(b"nonsense")
    (folder.path / "2-short.flight").write_bytes(b"short")
    os.mkfifo(folder.path / "3-fifo.flight")
    (folder.path / "4-link.flight").symlink_to(whole.path)
    following.refresh()
    assert labels(following) == [whole.pid]
    assert sorted(each.path.name for each in following.unreadable()) == [
        "1-copy.flight",
        "2-short.flight",
        "3-fifo.flight",
        "4-link.flight",
    ]
    looked = []
    monkeypatch.setattr(followings, "Recorded", looked.append)
    following.refresh()
    assert looked == []
    monkeypatch.undo()
    monkeypatch.setattr(followings, "_AGAIN_NS", -1)
    (folder.path / "2-short.flight").unlink()
    (folder.path / "3-fifo.flight").unlink()
    following.refresh()
    assert {each.path.name for each in following.unreadable()} == {"1-copy.flight", "4-link.flight"}
    assert following.faults == []


def test_a_file_that_turns_into_nonsense_is_passed_over(following, make):
    """It was believed, and is truncated under us: refused from then on, and nothing raises."""
    made = make()
    following.refresh()
    (recorded,) = following.shown()
    made.die()
    os.truncate(made.path, 100)
    with pytest.raises(Exception, match="truncated") as caught:
        recorded.snapshot()
    following.distrust(recorded, caught.value)
    assert labels(following) == []
    following.refresh()
    assert [each.path for each in following.unreadable()] == [made.path]


def test_the_same_pid_in_two_namespaces_has_two_labels(following, make):
    """Two containers that share a folder both have a process 1, perhaps of one service."""
    make(pid=1, pid_namespace=111)
    make(pid=1, pid_namespace=222)
    following.refresh()
    assert len(set(map(str, labels(following)))) == 2
    assert {"1", "1@111", "1@222"} >= set(map(str, labels(following)))


def test_a_pid_that_is_used_again_is_one_process(following, make, sleeper, heard):
    """The newer file of a pid replaces the older one, also while something still holds the older one."""
    pid = sleeper().pid
    make(pid=pid, created_unix_ns=2**62, service_name="older")
    following.refresh()
    make(pid=pid, created_unix_ns=2**62 + 1, service_name="newer")
    following.refresh()
    assert [each.identity.service_name for each in following.shown()] == ["newer"]
    assert [each.identity.service_name for each in heard["ended"]] == ["older"]
    make(pid=pid, created_unix_ns=2**62 - 1, service_name="oldest")
    following.refresh()
    assert [each.identity.service_name for each in following.shown()] == ["newer"]


def test_a_pidfd_tells_of_an_end_that_the_lock_does_not(following, make, sleeper):
    """A lock can outlive its process, in a child that shares its memory."""
    process = sleeper()
    make(pid=process.pid)
    following.refresh()
    assert [each.pidfd >= 0 for each in following.living()] == [True]
    process.kill()
    process.wait()
    following.refresh()
    assert following.living() == ()


def test_the_dead_do_not_pile_up_where_nobody_scrapes(following, make, monkeypatch):
    """So many are kept, and so long."""
    monkeypatch.setattr(followings, "_ENDED_MOST", 2)
    made = [make() for _ in range(4)]
    following.refresh()
    for each in made:
        each.die()
    following.refresh()
    assert len(following.shown()) == 2
    monkeypatch.setattr(followings, "_ENDED_KEPT_NS", 0)
    following.refresh()
    assert following.shown() == ()


def test_a_listener_that_fails_and_a_folder_that_goes_are_contained(make, folder):
    """Following goes on, and what failed is noted."""
    faults = []

    def fail(recorded):
        raise ValueError(recorded.label)

    following = Following(folder, note_fault=lambda *fault: faults.append(fault), found=fail)
    made = make()
    following.refresh()
    assert labels(following) == [made.pid]
    moved = folder.path.rename(f"{folder.path}-moved")
    following.refresh()
    moved.rename(folder.path)
    assert [where for where, _ in faults] == ["following", "flight folder"]
    assert labels(following) == [made.pid]
    following.close()


def test_what_its_writer_does_not_let_us_copy_stays_as_it_was(following, make):
    """A process that stopped inside its callback, or its monitor: the last whole numbers, no gap."""
    made = make()
    made.collect(times=3)
    made.beat()
    following.refresh()
    (recorded,) = following.shown()
    before = recorded.snapshot()
    assert before.interpreter is not None
    for block in (layout.GC, layout.MONITOR):
        made.cells[block.cell("sequence")] += 1
    made.cells[layout.GENERATION.cell("collections")] = 99
    after = recorded.snapshot()
    assert after.collector.collections == 3
    assert after.interpreter == before.interpreter

"""The memory of a flight file: who may touch it, how long it stays, and what a forked child has of it."""

from __future__ import annotations

import gc
import os

import pytest

from gc_otel.flight import layout
from gc_otel.flight import mapping as mappings
from gc_otel.flight.file import OwnMemory
from gc_otel.flight.mapping import PythonMapping
from gc_otel.flight.reader import read_collector


def descriptors() -> dict[str, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # the one that listed the folder
            continue
    return found


def mapped(path: object) -> int:
    with open("/proc/self/maps") as maps:
        return sum(str(path) in line for line in maps)


def test_private_memory_is_zero_and_writable(make_mapping) -> None:
    """Without a descriptor the mapping is private, empty and as large as a file."""
    mapping = make_mapping(-1)
    view = mapping.view()
    assert mapping.alive is True
    assert (view.nbytes, view.format, view.readonly) == (layout.FILE_BYTES, "B", False)
    assert bytes(view) == bytes(layout.FILE_BYTES)
    view[5] = 7
    assert mapping.view()[5] == 7


def test_two_private_mappings_share_nothing(make_mapping) -> None:
    """Each has memory of its own."""
    one, two = make_mapping(-1), make_mapping(-1)
    one.view()[0] = 1
    assert two.view()[0] == 0


def test_closed_mapping_is_not_alive_and_gives_no_view(make_mapping) -> None:
    """After close(), which may be called twice, there is nothing to look at."""
    mapping = make_mapping(-1)
    mapping.close()
    mapping.close()
    assert mapping.alive is False
    with pytest.raises(BufferError, match="closed"):
        mapping.view()


def test_view_keeps_the_memory_past_close(make_file) -> None:
    """A view handed out stays usable; the memory goes with the last of them."""
    path, mapping = make_file()
    one, two = mapping.view(), mapping.view()
    mapping.close()
    one[100] = 42
    assert two[100] == 42
    assert mapped(path) == 1
    del one
    assert mapped(path) == 1
    two.release()
    del two
    gc.collect()
    assert mapped(path) == 0


def test_without_views_close_unmaps_at_once(make_file) -> None:
    """Nothing keeps the file's memory when nobody looks."""
    path, mapping = make_file()
    assert mapped(path) == 1
    mapping.close()
    assert mapped(path) == 0


def test_dropping_the_object_unmaps(make_file) -> None:
    """A mapping that is forgotten goes as well."""
    path, mapping = make_file()
    del mapping
    gc.collect()
    assert mapped(path) == 0


def test_no_descriptor_stays_open(make_file) -> None:
    """A mapped file needs no descriptor."""
    before = descriptors()
    _, mapping = make_file()
    assert descriptors() == before
    assert mapping.alive


def test_writes_reach_the_file(make_file) -> None:
    """What is written in memory stands in the file."""
    path, mapping = make_file()
    mapping.view()[layout.FILE_BYTES - 1] = 200
    assert path.read_bytes()[-1] == 200


def test_descriptor_that_cannot_be_mapped(make_mapping) -> None:
    """A closed descriptor, or one of a pipe, is an OSError."""
    readable, writable = os.pipe()
    with pytest.raises(OSError):
        make_mapping(readable)
    os.close(readable)
    os.close(writable)
    with pytest.raises(OSError) as raised:
        make_mapping(writable)
    assert raised.value.errno > 0


def test_forked_child_has_the_object_and_not_the_memory(make_mapping, in_child) -> None:
    """In a child forked without our hooks the mapping is dead; the parent's stays as it was."""
    mapping = make_mapping(-1)
    mapping.view()[3] = 9

    def question() -> list[object]:
        try:
            mapping.view()
        except BufferError as error:
            refused = str(error)
        mapping.close()
        return [mapping.alive, refused]

    alive, refused = in_child(question)
    assert alive is False
    assert "another process" in refused
    assert mapping.alive is True
    assert mapping.view()[3] == 9


def test_forked_childs_collections_do_not_reach_the_parents_file(make_file, make_recorder, in_child, install) -> None:
    """The inherited callback does nothing in the child, through real collections and calls by hand."""
    path, mapping = make_file()
    recorder = make_recorder(mapping)
    info = {"generation": 0, "collected": 0, "uncollectable": 0}
    gc.disable()
    try:
        with install(recorder):
            gc.collect(0)
            before = path.read_bytes()

            def question() -> bool:
                gc.collect()
                recorder.record_phase("start", info)
                recorder.record_phase("stop", info)
                return recorder.uninstall()

            assert in_child(question) is True
            assert path.read_bytes() == before
            gc.collect(0)
    finally:
        gc.enable()
    assert read_collector(OwnMemory(mapping)).events == 2


def test_child_forked_while_collecting_begins_nothing(rig, in_child) -> None:
    """A fork between start and stop leaves the parent's collection to the parent."""
    rig.start(1)
    assert in_child(lambda: rig.stop(1)) is None
    rig.stop(1)
    assert rig.counts() == [0, 1, 0]


def test_child_can_let_go_of_inherited_views(make_mapping, in_child) -> None:
    """Mapping and views of the parent can be dropped in the child, in any order, without a fault."""
    held = [make_mapping(-1)]
    held.append(held[0].view())

    def question() -> str:
        held.pop(0)
        held.clear()
        gc.collect()
        return "unharmed"

    assert in_child(question) == "unharmed"
    assert held[1][0] == 0


def test_grandchild_of_a_new_mapping(make_mapping, in_child) -> None:
    """A child may map memory of its own, which is dead again in its own child."""

    def question() -> list[bool]:
        own = make_mapping(-1)
        return [own.alive, in_child(lambda: own.alive)]

    assert in_child(question) == [True, False]


# The Python mapping where the kernel gives less.


@pytest.fixture
def no_advice(monkeypatch) -> None:
    """A system without madvise(): no guard page can be had, and none is inherited empty."""
    monkeypatch.setattr(mappings, "_advise", lambda address, size_bytes, advice: False)


def test_without_a_guard_page_the_process_id_guards(no_advice, in_child) -> None:
    """Where memory cannot be wiped on fork, the child is told by its pid."""
    mapping = PythonMapping(-1)
    assert mapping.alive is True
    assert in_child(lambda: mapping.alive) is False


def test_on_another_system(monkeypatch, in_child) -> None:
    """Off Linux nothing is advised or populated, and the pid guards too."""
    monkeypatch.setattr(mappings, "_LINUX", False)
    mapping = PythonMapping(-1)
    mapping.view()[0] = 1
    assert mapping.view()[0] == 1
    assert in_child(lambda: mapping.alive) is False
    mapping.close()
    assert mapping.alive is False

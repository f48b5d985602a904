"""The desk at which requests arrive, in this process and thread: every verb, what is refused, and who is not waited for."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from gc_otel.errors import NotSupported
from gc_otel.flight import requests
from gc_otel.flight.recorder import gc_mode
from gc_otel.heap import census_child
from gc_otel.heap.tracked import can_count_types, can_list
from gc_otel.probe import headroom
from gc_otel.probe.requests import Desk, is_supported


class Order:
    """Something to look for."""


KEPT = [Order() for _ in range(3)]


class Counter:
    """A desk with its flight file's name, and what it noted; ``goes_on`` says whether its thread may."""

    def __init__(self, folder: Path) -> None:
        self.location = str(folder / "1-1.flight")
        self.faults: list[str] = []
        self.goes_on = True
        self.desk = Desk(
            self.location,
            goes_on=lambda: self.goes_on,
            note_fault=lambda where, error: self.faults.append(f"{where}: {error}"),
        )

    def put(self, raw: bytes, slot: int = 0) -> None:
        assert requests.place(requests.request_path(self.location, slot), raw)

    def ask(self, verb: object, arguments: object = None, **more: object) -> dict[str, Any]:
        """The answer, after the desk has served."""
        request = {"format": requests.FORMAT, "id": "a", "verb": verb, "arguments": arguments, **more}
        self.put(json.dumps(request).encode())
        assert self.desk.serve()
        return self.answer()

    def answer(self, slot: int = 0) -> dict[str, Any]:
        raw = requests.read(requests.answer_path(self.location, slot), requests.ANSWER_BYTES_MOST)
        assert raw is not None
        requests.remove(requests.answer_path(self.location, slot))
        found: dict[str, Any] = json.loads(raw)
        return found

    def left(self) -> list[str]:
        return sorted(os.listdir(Path(self.location).parent))


@pytest.fixture
def counter(flight_dir):
    return Counter(flight_dir)


needs_lists = pytest.mark.skipif(not can_list(), reason="objects cannot be listed beside other threads here")


def test_nobody_asks(counter):
    """Nothing is there, and nothing is made."""
    assert not counter.desk.serve()
    assert counter.left() == []
    assert is_supported() == (sys.platform == "linux")


def test_census(counter):
    """The largest types first; the request is gone with its answer."""
    if not (can_list() or can_count_types()):
        pytest.skip("without C a census is refused below 3.12")
    answer = counter.ask("census", {"top": 5})
    assert answer["id"] == "a"
    assert answer["format"] == requests.FORMAT
    assert answer["duration_ns"] > 0
    sizes = [row["size_bytes"] for row in answer["result"]["types"]]
    assert len(sizes) == 5
    assert sizes == sorted(sizes, reverse=True)
    assert counter.left() == []


@needs_lists
def test_a_census_in_a_child_where_there_is_room(counter, monkeypatch):
    """Else in the process itself, with the reason; and there without one where that is asked for."""
    can = census_child.why_not() is None
    found = counter.ask("census")["result"]
    assert (found["walker"] == "child") == can == (found["no_child_because"] is None)

    def no_room(*_: object) -> None:
        raise NotSupported("no room", remedy="Make some.")

    monkeypatch.setattr(headroom, "check_headroom_of_census", no_room)
    found = counter.ask("census")["result"]
    assert found["walker"] != "child"
    assert found["no_child_because"] == "no room"
    found = counter.ask("census", {"in_process": True})["result"]
    assert found["walker"] != "child"
    assert found["no_child_because"] is None


@needs_lists
def test_cycles_in_this_process(counter, quiet_gc):
    """A cycle that nobody holds is told, and lives on."""
    one, two = Order(), Order()
    one.other, two.other = two, one
    del one, two
    answer = counter.ask("cycles", {"in_process": True})
    if gc_mode() == "freethreaded":
        assert "without a GIL" in answer["error"]
        return
    groups = answer["result"]["groups"]
    assert any("Order" in group["signature"] for group in groups)


@needs_lists
def test_why_and_graph(counter):
    """Who holds a type, as ways and as a picture."""
    why = counter.ask("why", {"type": f"{__name__}.Order"})["result"]
    assert "KEPT" in json.dumps(why)
    picture = counter.ask("graph", {"type": f"{__name__}.Order", "instances": 1, "depth": 1})["result"]
    assert "Order" in json.dumps(picture)


def test_a_type_that_is_not_there(counter):
    """It is refused with words, and no fault of ours."""
    answer = counter.ask("why", {"type": "NoSuchTypeAnywhere"})
    assert "NoSuchTypeAnywhere" in answer["error"]
    assert counter.faults == []


@pytest.mark.parametrize(
    ("verb", "arguments", "word"),
    [
        ("exec", {}, "no verb 'exec'"),
        (7, {}, "no verb '7'"),
        ("census", [1], "names with values"),
        ("census", {"code": "x"}, "no argument 'code'"),
        ("census", {"top": True}, "top is a whole number"),
        ("census", {"top": 10**9}, "top is a whole number"),
        ("cycles", {"in_process": 1}, "in_process is true or false"),
        ("why", {"type": ""}, "type is a text"),
        ("why", {"type": 5}, "type is a text"),
        ("graph", {"type": "Order", "direction": "up"}, "direction is one of"),
    ],
)
def test_what_is_no_request(counter, verb, arguments, word):
    """A verb or an argument that is not known is named."""
    answer = counter.ask(verb, arguments)
    assert word in answer["error"]
    assert answer["remedy"]
    assert counter.faults == []


def test_another_format(counter):
    """A newer asker is told to ask with this version."""
    answer = counter.ask("census", format=99)
    assert "format 99" in answer["error"]
    assert "version" in answer["remedy"]


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 3000])
def test_bytes_that_are_no_request(counter, raw):
    """They are answered as one without a format; nobody is harmed."""
    counter.put(raw)
    assert counter.desk.serve()
    assert "error" in counter.answer()
    assert counter.left() == []


def test_a_request_that_others_can_read(counter):
    """It is not believed: removed, and noted."""
    counter.put(b"{}")
    os.chmod(requests.request_path(counter.location, 0), 0o644)
    assert counter.desk.serve()
    assert counter.left() == []
    assert "not a file of this user alone" in counter.faults[0]


def test_a_request_that_is_too_large(counter):
    """It is not read to its end."""
    counter.put(b" " * (requests.REQUEST_BYTES_MOST + 1))
    assert counter.desk.serve()
    assert counter.left() == []
    assert "larger than allowed" in counter.faults[0]


def test_a_thread_that_is_wanted_elsewhere(counter):
    """A fork or the exit: the request stays, and is answered afterwards; after five times it is refused."""
    request = {"format": requests.FORMAT, "id": "a", "verb": "why", "arguments": {"type": "Order"}}
    counter.put(json.dumps(request).encode())
    counter.goes_on = False
    assert counter.desk.serve()
    assert [name for name in counter.left() if "request" in name]
    assert not [name for name in counter.left() if "answer" in name]
    counter.goes_on = True
    assert counter.desk.serve()
    assert counter.answer()["id"] == "a"


def test_interrupted_in_the_middle(counter, monkeypatch):
    """What begins anew each time is given up with words."""
    from gc_otel.probe import answers

    def interrupted(verb, arguments, say):
        counter.goes_on = False
        say("counting")

    monkeypatch.setattr(answers, "answer", interrupted)
    request = {"format": requests.FORMAT, "id": "a", "verb": "census", "arguments": {}}
    counter.put(json.dumps(request).encode())
    for _ in range(5):
        counter.goes_on = True
        assert counter.desk.serve()
        assert not [name for name in counter.left() if "answer" in name]
    counter.goes_on = True
    assert counter.desk.serve()
    assert "forks so often" in counter.answer()["error"]


def test_who_has_gone_is_not_answered(counter, monkeypatch):
    """The request is removed meanwhile: the work stops at the next word, and leaves nothing."""
    from gc_otel.probe import answers

    def abandoned(verb, arguments, say):
        requests.remove(requests.request_path(counter.location, 0))
        say("counting")
        raise AssertionError("it went on")

    monkeypatch.setattr(answers, "answer", abandoned)
    counter.put(json.dumps({"format": requests.FORMAT, "id": "a", "verb": "census"}).encode())
    assert counter.desk.serve()
    assert counter.left() == []
    assert counter.faults == []


@pytest.mark.parametrize("speaks", [True, False])
def test_the_next_in_the_same_place_is_not_taken_for_it(counter, monkeypatch, speaks):
    """Who asked has gone, and another has put a request where the first one was: that one is answered, by the next ring."""
    from gc_otel.probe import answers

    def overtaken(verb, arguments, say):
        requests.remove(requests.request_path(counter.location, 0))
        counter.put(json.dumps({"format": requests.FORMAT, "id": "b", "verb": "census"}).encode())
        if speaks:
            say("counting")
        return {"objects": 1}, 0

    monkeypatch.setattr(answers, "answer", overtaken)
    counter.put(json.dumps({"format": requests.FORMAT, "id": "a", "verb": "census"}).encode())
    assert counter.desk.serve()
    assert counter.left() == ["1-1.request-0"]
    monkeypatch.setattr(answers, "answer", lambda *_: ({"objects": 2}, 0))
    assert counter.desk.serve()
    answer = counter.answer()
    assert (answer["id"], answer["result"]) == ("b", {"objects": 2})
    assert counter.left() == []


def test_what_breaks_is_told_and_noted(counter, monkeypatch):
    """An answer that fails is a fault of ours, and an answer all the same."""
    from gc_otel.probe import answers

    def broken(verb, arguments, say):
        raise MemoryError

    monkeypatch.setattr(answers, "answer", broken)
    assert "MemoryError" in counter.ask("census")["error"]
    assert counter.faults


def test_an_answer_that_is_too_long(counter, monkeypatch):
    """It is refused by its size, and nothing of it is written."""
    from gc_otel.probe import answers

    monkeypatch.setattr(answers, "answer", lambda *_: ({"x": "y" * requests.ANSWER_BYTES_MOST}, 7))
    answer = counter.ask("census")
    assert "too many" in answer["error"]
    assert answer["remedy"]
    assert counter.desk.take_children_cpu_ns() == 7
    assert counter.desk.take_children_cpu_ns() == 0


def test_stale_ones_are_swept(counter):
    """What a killed asker left is nobody's after a while."""
    counter.put(b"{}")
    folder = os.path.dirname(counter.location)
    now_s = os.lstat(requests.request_path(counter.location, 0)).st_mtime
    assert requests.sweep(folder, now_s + requests.STALE_S - 1) == 0
    assert requests.sweep(folder, now_s + requests.STALE_S + 1) == 1
    assert counter.left() == []

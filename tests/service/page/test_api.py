"""The API: what it says of made flight files, and that its description and it agree."""

from __future__ import annotations

import json
import threading
import time

import pytest

from gc_otel.errors import NotAnswered
from gc_otel.flight import layout
from gc_otel.service.page.api import OPENAPI
from gc_otel.service.page.app import AT_ONCE_MOST


@pytest.fixture
def followed(desk, make):
    """One living process with collections, and one that has died."""
    living, dead = make(), make()
    for each in (living, dead):
        each.collect(0, 5)
        each.collect(2)
        each.beat()
    desk.following.refresh()
    desk.sampling.round()
    dead.die()
    desk.following.refresh()
    return living, dead


def test_the_fleet_has_the_living_and_below_them_the_dead(desk, followed):
    """The dead by their file's name: their pid may be another's."""
    living, dead = followed
    rows = desk.get("/api/v1/processes").json["processes"]
    assert [(row["id"], row["is_alive"]) for row in rows] == [(str(living.pid), True), (dead.path.stem, False)]
    assert rows[0]["service_name"] == "shop"
    assert rows[0]["collections"] == 6
    assert rows[0]["rss_bytes"] > 0
    assert rows[0]["lately"]["collections"] == 6
    assert desk.faults == []


def test_a_process_by_its_pid_or_its_file(desk, followed):
    """Living and dead alike; when it has died, its pid still finds it."""
    living, dead = followed
    for name in (str(living.pid), living.path.stem):
        process = desk.get(f"/api/v1/processes/{name}").json["process"]
        assert sum(process["histogram"]["counts"]) == process["collections"] == 6
        assert process["generations"][2]["collections"] == 1
    process = desk.get(f"/api/v1/processes/{dead.pid}").json["process"]
    assert (process["id"], process["is_alive"], process["state"]) == (dead.path.stem, False, "died")


def test_between_the_end_and_its_record_the_last_numbers_stand(desk, followed, monkeypatch):
    """A page that is open on it must not be told that there is no such process."""
    _, dead = followed
    monkeypatch.setattr(type(desk.api._subjects), "departed", lambda _: ())
    live = desk.get(f"/api/v1/processes/{dead.pid}/live").json
    assert (live["process"]["is_alive"], live["process"]["collections"], live["point"]) == (False, 6, None)


def test_only_new_collections_are_told_again(desk, followed):
    """And the point of now once more, with a fresh sample."""
    living, _ = followed
    ring = desk.get(f"/api/v1/processes/{living.pid}/collections").json
    numbers = [row[0] for row in ring["latest"]["rows"]]
    assert numbers == [1, 2, 3, 4, 5, 6]
    living.collect(1)
    live = desk.get(f"/api/v1/processes/{living.pid}/live?since=6").json
    assert [row[:1] + row[3:4] for row in live["latest"]["rows"]] == [[7, 1]]
    assert live["point"]["collections_by_generation"] == [5, 1, 1]
    assert live["point"]["rss_bytes"] > 0


def test_the_history_is_joined(desk, followed):
    """What the exporter sampled is there for a living one; a point and its counters by generation."""
    living, _ = followed
    history = desk.get(f"/api/v1/processes/{living.pid}/history").json
    assert len(history["points"]["unix_ms"]) == len(history["points"]["rss_bytes"]) >= 1
    assert history["tallies"]["collections_by_generation"][-1] == [5, 0, 1]


def test_a_living_process_is_asked_in_a_thread_of_its_own(desk, followed, eventually):
    """Taken at once, answered later under an id; progress and the list of requests meanwhile."""
    living, _ = followed
    go_on = threading.Event()

    def answer(_path, _verb, _arguments, on_progress):
        on_progress({"phase": "counting", "done": 1, "total": 2, "elapsed_s": 0.1})
        assert go_on.wait(30)
        return {"types": [{"name": "<b>", "objects": 1, "size_bytes": 2, "estimated": False}]}

    desk.answer_with = answer
    base = f"/api/v1/processes/{living.pid}/heap"
    taken = desk.post(f"{base}/census", {"sample_every": 1})
    assert taken.code == 202
    path = f"/api/v1/answers/{taken.json['id']}"
    eventually(lambda: (desk.get(path).json["progress"] or {}).get("phase") == "counting", "no progress")
    assert desk.post(f"{base}/census", {"sample_every": 1}).json["id"] == taken.json["id"], "asked twice"
    go_on.set()
    done = eventually(lambda: (found := desk.get(path).json)["state"] == "done" and found, "no answer")
    assert done["answer"]["types"][0]["name"] == "<b>"
    assert [each["id"] for each in desk.get(base).json["requests"]] == [done["id"]]
    assert desk.asked == [("census", {"sample_every": 1})]


def test_a_process_that_does_not_answer_is_told_with_what_to_do(desk, followed, eventually):
    """An error of ours by its text; any other is a fault too."""
    living, _ = followed
    for error, told in (
        (NotAnswered("it is stopped", remedy="kill -CONT"), "kill -CONT"),
        (ValueError("odd"), "doctor"),
    ):

        def fail(*_, error=error):
            raise error

        desk.answer_with = fail
        taken = desk.post(f"/api/v1/processes/{living.pid}/heap/census").json
        path = f"/api/v1/answers/{taken['id']}"
        eventually(lambda path=path: desk.get(path).json["state"] == "failed", "it does not fail")
        found = desk.get(path).json
        assert told in found["remedy"]
        assert str(error) in found["error"]
    assert [str(error) for _, error in desk.faults] == ["odd"]


def test_too_many_requests_wait_nowhere(desk, followed):
    """429 with a time to come back; nothing else is held up meanwhile."""
    living, _ = followed
    go_on = threading.Event()
    desk.answer_with = lambda *_: {"ok": go_on.wait(30)}
    answers = [desk.post(f"/api/v1/processes/{living.pid}/heap/census", {"top": n}) for n in range(1, 20)]
    refused = [each for each in answers if each.code == 429]
    assert refused
    assert refused[0].headers["Retry-After"] == "5"
    assert len([each for each in answers if each.code == 202]) <= 8
    assert desk.get("/api/v1/processes").code == 200
    go_on.set()


def test_the_dead_are_not_asked(desk, followed):
    """And neither is anybody for what is not there."""
    living, dead = followed
    assert desk.post(f"/api/v1/processes/{dead.path.stem}/heap/census").code == 409
    assert desk.post(f"/api/v1/processes/{living.pid}/heap/nonsense").code == 404
    assert desk.post(f"/api/v1/processes/{living.pid}/heap/census", {"odd": 1}).code == 400
    assert desk.post(f"/api/v1/processes/{living.pid}/heap/census", [1]).code == 400
    assert desk.post(f"/api/v1/processes/{living.pid}/heap/census", {"sample_every": "9" * 5000}).code == 413
    assert desk.post(f"/api/v1/processes/{living.pid}/heap/graph", {"type": "X", "values": True}).code == 403
    assert desk.asked == []


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/processes/0",
        "/api/v1/processes/..",
        "/api/v1/processes/1/nonsense",
        "/api/v1/answers/00",
        "/api/v1/runbooks/..%2fx",
        "/api/v1/",
        "/static/0/page.js",
        "/process",
        "/process/1/other",
        "/export/fleet.exe",
        "/export/other.json",
    ],
)
def test_what_is_not_there(desk, path):
    """404, with what there is."""
    assert desk.get(path).code == 404


def test_methods(desk):
    """Each path takes its own."""
    for path, method, allowed in (
        ("/", "POST", "GET, HEAD"),
        ("/api/v1/processes", "DELETE", "GET, HEAD"),
        ("/api/v1/processes/1/heap/census", "GET", "POST"),
    ):
        answer = desk.bare(path, method, authorization=f"Bearer {desk.token}")
        assert (answer.code, answer.headers["Allow"]) == (405, allowed)


def test_a_file_full_of_nonsense_spoils_its_own_row_only(desk, followed):
    """Numbers at the end of their range, in every cell that the writer may write."""
    living, _ = followed
    for block in (layout.MEMORY, layout.MONITOR):
        first = block.cell(block.fields[1].name)
        for cell in range(first, first + block.stride_cells - 1):
            living.cells[cell] = 2**64 - 2
    answer = desk.get("/api/v1/processes")
    assert answer.code == 200
    for part in ("", "/history", "/collections", "/live"):
        assert desk.get(f"/api/v1/processes/{living.pid}{part}").code == 200, part


def test_many_at_once_do_not_take_all_threads(desk, followed):
    """Those beyond are sent away; a scrape needs a thread too."""
    living, _ = followed
    inside, go_on = threading.Semaphore(0), threading.Event()
    find = desk.api._subjects.find

    def slow(name):
        inside.release()
        assert go_on.wait(30)
        return find(name)

    desk.api._subjects.find = slow
    codes = []
    path = f"/api/v1/processes/{living.pid}"
    threads = [threading.Thread(target=lambda: codes.append(desk.get(path).code)) for _ in range(AT_ONCE_MOST)]
    for each in threads:
        each.start()
    for _ in threads:
        assert inside.acquire(timeout=30)
    busy = desk.get(path)
    assert (busy.code, busy.headers["Retry-After"]) == (503, "1")
    go_on.set()
    for each in threads:
        each.join()
    assert codes == [200] * AT_ONCE_MOST
    assert desk.get(path).code == 200


def test_the_description_names_every_path_and_no_other(desk):
    """``{id}`` there is ``*`` here."""
    described = {
        (method.upper(), "/".join("*" if part.startswith("{") else part for part in path.split("/")))
        for path, methods in json.loads(OPENAPI.read_text())["paths"].items()
        for method in methods
    }
    assert described == set(desk.app.routes())
    assert desk.get("/api/v1/openapi.json").json["openapi"] == "3.1.0"


@pytest.mark.once
def test_every_answer_is_as_described(desk, followed, eventually):
    """By JSON schema, with nothing left over."""
    jsonschema = pytest.importorskip("jsonschema")
    document = json.loads(OPENAPI.read_text())
    living, dead = followed
    taken = desk.post(f"/api/v1/processes/{living.pid}/heap/census").json
    eventually(lambda: desk.get(f"/api/v1/answers/{taken['id']}").json["state"] == "done", "no answer")
    given = {"{name}": "PythonGcDisabled", "{verb}": "census"}
    checked = 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for name in (str(living.pid), dead.path.stem):
                number = taken["id"] if "answers" in path else name
                real = path.replace("{id}", number)
                for key, value in given.items():
                    real = real.replace(key, value)
                answer = desk.get(real) if method == "get" else desk.post(real)
                schema = operation["responses"][str(answer.code)]["content"]["application/json"]["schema"]
                jsonschema.validate(answer.json, {**schema, "components": document["components"]})
                checked += 1
    assert checked == 2 * len(desk.app.routes())


def test_the_fleet_is_quick_with_sixty_four(desk, make):
    """Not a benchmark: a bound that a quadratic loop would break."""
    pid = make().pid
    for number in range(63):
        made = make(pid=pid, pid_namespace=number + 1, created_unix_ns=time.time_ns() + number)
        made.collect(0, 20)
    desk.following.refresh()
    desk.sampling.round()
    began_s = time.monotonic()
    assert len(desk.get("/api/v1/processes").json["processes"]) == 64
    assert time.monotonic() - began_s < 5

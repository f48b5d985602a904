"""Per-service totals: exact over living and dead, never less than before, and through every death of the exporter."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from typing import Any

import pytest

from gc_otel.flight import layout
from gc_otel.flight.snapshot import Collector, GenerationStats
from gc_otel.service import totals as module
from gc_otel.service.reasons import USUAL
from gc_otel.service.state import FILE_NAME, State, read_state, write_state
from gc_otel.service.totals import OTHER_SERVICES, Totals, open_totals


def collector(*collections: int, torn: bool = False, extra: int = 0) -> Collector:
    """Counters that belong together; ``extra`` stands in the count and not yet in the histogram."""
    generations = []
    for count in (*collections, 0, 0, 0)[: layout.GENERATIONS]:
        buckets = (count, *[0] * (layout.BUCKETS - 1))
        empty = (0,) * layout.BUCKETS
        generations.append(
            GenerationStats(count + extra, 0, count * 2, 0, 0, count * 1000, 1000, 0, buckets, empty, empty, empty)
        )
    return Collector(tuple(generations), sum(collections), 0, 0, None, (), (), torn)


def counted(totals: Totals) -> dict[str, list[int]]:
    """Collections by service and generation."""
    return {each.service_name: [one.collections for one in each.generations] for each in totals.services()}


def test_a_process_is_counted_by_differences() -> None:
    """However often it is looked at; what goes back, in a damaged file, takes nothing away."""
    totals = Totals()
    for each in (collector(1), collector(1), collector(5, 2), collector(3, 1), collector(6, 2)):
        totals.count("1-a", "shop", each)
    totals.count("2-b", "shop", collector(10))
    totals.count("3-c", "bank", collector(0, 0, 7))
    assert counted(totals) == {"shop": [16, 2, 0], "bank": [0, 0, 7]}
    (_, shop) = totals.services()
    assert (shop.generations[0].collected, shop.generations[0].duration_sum_ns) == (32, 16000)
    assert shop.generations[0].buckets[0] == sum(shop.generations[0].buckets) == 16


def test_an_end_counts_once() -> None:
    """Also when a page that was begun before it comes with its numbers afterwards, or the file is found again."""
    totals = Totals()
    totals.count("1-a", "shop", collector(4))
    assert totals.end("1-a", "shop", "OOM kill")
    assert not totals.end("1-a", "shop", "OOM kill")
    assert totals.is_over("1-a")
    totals.forget_all_but(())
    totals.count("1-a", "shop", collector(9))
    totals.count("1-a", "shop", collector(9), is_last=True)
    assert counted(totals) == {"shop": [4, 0, 0]}
    (shop,) = totals.services()
    assert {reason: count for reason, count in shop.ended.items() if count} == {"OOM kill": 1}
    assert shop.ended.keys() >= set(USUAL)  # from zero, so that the first of each is an increase


def test_what_did_not_end_is_no_end() -> None:
    """Replaced by exec: its numbers stay, and no reason is counted."""
    totals = Totals()
    totals.count("1-a", "shop", collector(4))
    assert totals.end("1-a", "shop", None)
    assert (counted(totals), sum(totals.services()[0].ended.values())) == ({"shop": [4, 0, 0]}, 0)


def test_a_half_written_collection() -> None:
    """Of a living process it is waited for; of one that died there the histogram decides."""
    totals = Totals()
    totals.count("1-a", "shop", collector(4, torn=True, extra=1))
    assert counted(totals) == {}
    totals.count("1-a", "shop", collector(4, torn=True, extra=1), is_last=True)
    assert counted(totals) == {"shop": [4, 0, 0]}


def test_impossible_numbers_are_refused() -> None:
    """A damaged file cannot spoil a service's counters for ever."""
    faults: list[tuple[str, BaseException]] = []
    totals = Totals(note_fault=lambda where, error: faults.append((where, error)))
    totals.count("1-a", "shop", collector(2**61))
    assert (counted(totals), len(faults)) == ({}, 1)


def test_services_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more takes the place of the one that has been without a process for longest; of those that have one, none goes."""
    monkeypatch.setattr(module, "SERVICES_MOST", 3)
    totals = Totals()
    for number, name in enumerate(("first", "second", "third")):
        totals.count(f"{number}-a", name, collector(1))
    totals.count("9-a", "fourth", collector(1))
    totals.count("10-a", "fifth", collector(1))
    assert counted(totals) == {"first": [1, 0, 0], "second": [1, 0, 0], "third": [1, 0, 0], OTHER_SERVICES: [2, 0, 0]}
    totals.end("1-a", "second", "clean exit")
    totals.end("2-a", "third", "clean exit")
    totals.count("11-a", "sixth", collector(5))
    assert counted(totals) == {"first": [1, 0, 0], "third": [1, 0, 0], "sixth": [5, 0, 0], OTHER_SERVICES: [2, 0, 0]}


def test_who_vanished_while_nobody_watched() -> None:
    """What was counted of it stays; how it ended is unknown; who is there is left alone."""
    totals = Totals()
    totals.count("1-a", "shop", collector(4))
    totals.count("2-b", "shop", collector(4))
    totals.vanished({"2-b"})
    (shop,) = totals.services()
    assert shop.ended["unknown"] == 1
    totals.count("2-b", "shop", collector(5))
    assert counted(totals) == {"shop": [9, 0, 0]}


class TestState:
    """The file that outlives the exporter."""

    def test_there_and_back(self, folder: Any) -> None:
        totals = open_totals(folder, print)
        totals.count("1-a", "shop \N{SNOWMAN}", collector(4, 3, 2))
        totals.count("2-b", "shop \N{SNOWMAN}", collector(1))
        totals.end("2-b", "shop \N{SNOWMAN}", "signal SIGSEGV")
        totals.save()
        again = open_totals(folder, print)
        assert again.services() == totals.services()
        again.count("1-a", "shop \N{SNOWMAN}", collector(5, 3, 2))
        again.count("2-b", "shop \N{SNOWMAN}", collector(7), is_last=True)
        assert counted(again) == {"shop \N{SNOWMAN}": [6, 3, 2]}
        assert (folder.path / FILE_NAME).stat().st_mode & 0o777 == 0o600

    def test_unchanged_it_is_not_written(self, folder: Any) -> None:
        saved: list[State] = []
        totals = Totals(save=saved.append)
        totals.save()
        totals.count("1-a", "shop", collector(4))
        totals.save()
        totals.count("1-a", "shop", collector(4))
        totals.save()
        assert len(saved) == 1

    def test_a_failed_write_is_noted_and_tried_again(self, folder: Any) -> None:
        faults: list[object] = []
        outcomes = iter([OSError(28, "No space left on device"), None])

        def save(_: State) -> None:
            outcome = next(outcomes)
            if outcome is not None:
                raise outcome

        totals = Totals(save=save, note_fault=lambda *fault: faults.append(fault))
        totals.count("1-a", "shop", collector(4))
        totals.save()
        totals.save()
        totals.save()
        assert len(faults) == 1

    def test_killed_in_the_middle_of_a_write_the_old_one_is_there(self, folder: Any, monkeypatch: Any) -> None:
        totals = open_totals(folder, print)
        totals.count("1-a", "shop", collector(4))
        totals.save()
        before = totals.services()

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        for step in ("fsync", "rename"):
            with monkeypatch.context() as patched:
                patched.setattr(os, step, die)
                totals.count("1-a", "shop", collector(5))
                with pytest.raises(KeyboardInterrupt):
                    write_state(folder, State())
            assert open_totals(folder, print).services() == before

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda _: b"",
            lambda raw: raw[:-10],
            lambda _: b"[" * 100_000,
            lambda _: b"\xff",
            lambda _: b"[]",
            lambda raw: raw.replace(b'"version":1', b'"version":7'),
            lambda raw: raw.replace(b'"shop"', b"5", 1),
            lambda raw: raw.replace(b"[4,", b"[-4,", 1),
            lambda raw: raw.replace(b"[4,", b"[4.5,", 1),
            lambda raw: raw.replace(b"[4,", b"[", 1),
            lambda raw: raw.replace(b"clean exit", b"exit clean"),
        ],
    )
    def test_one_that_cannot_be_believed_is_put_aside(self, folder: Any, spoil: Any) -> None:
        totals = open_totals(folder, print)
        totals.count("1-a", "shop", collector(4))
        totals.save()
        path = folder.path / FILE_NAME
        raw = path.read_bytes()
        assert spoil(raw) != raw
        path.write_bytes(spoil(raw))
        faults: list[object] = []
        assert open_totals(folder, lambda *fault: faults.append(fault)).services() == ()
        assert len(faults) == 1
        assert not path.exists()
        assert (folder.path / f"{FILE_NAME}-damaged").read_bytes() == spoil(raw)

    def test_no_link_is_followed(self, folder: Any, tmp_path: Any) -> None:
        (tmp_path / "precious").write_text("precious")
        (folder.path / FILE_NAME).symlink_to(tmp_path / "precious")
        (folder.path / f"{FILE_NAME}-new").symlink_to(tmp_path / "precious")
        with pytest.raises(OSError, match="symbolic"):
            read_state(folder)
        with pytest.raises(OSError, match="symbolic"):
            write_state(folder, State())
        assert (tmp_path / "precious").read_text() == "precious"


class World:
    """Processes that collect and die, scrapes, and exporters that are killed; the truth is kept beside."""

    def __init__(self, seed: int, make: Any, new_service: Any) -> None:
        self.random = random.Random(seed)
        self.make, self.new_service = make, new_service
        self.service = new_service()
        self.living: list[Any] = []
        self.truth, self.shown = 0, 0

    def step(self) -> None:
        """One thing happens."""
        act = self.random.choice([self._begin, self._collect, self._collect, self._die, self._scrape, self._restart])
        act()

    def _begin(self) -> None:
        if len(self.living) < 4:
            self.living.append(self.make())

    def _collect(self) -> None:
        for each in self.living:
            times = self.random.randrange(3)
            each.collect(times=times)
            self.truth += times

    def _die(self) -> None:
        if self.living:
            self.living.pop().die()

    def _scrape(self) -> None:
        if self.random.random() < 0.5:
            self.service.turn()
        page = self.service.page()
        shown = _total(page)
        assert shown >= self.shown
        assert shown == self.truth
        self.shown = shown

    def _restart(self) -> None:
        """Killed: nothing of its own doing is done at its end."""
        self.service.following.close()
        self.service = self.new_service()


def _total(page: str) -> int:
    lines = [line for line in page.splitlines() if line.startswith("gc_otel_service_collections_total{")]
    return int(sum(float(line.rpartition(" ")[2]) for line in lines))


@pytest.fixture
def new_service(service: Any, folder: Any) -> Iterator[Any]:
    made: list[Any] = []

    def new() -> Any:
        made.append(type(service)(folder, service.config))
        return made[-1]

    yield new
    for each in made:
        each.following.close()


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_the_totals_are_the_truth(make: Any, new_service: Any, seed: int) -> None:
    """On every page: living, dead, and dead while no exporter was there; never less than on the page before."""
    world = World(seed, make, new_service)
    for _ in range(60):
        world.step()
    world._scrape()
    assert world.truth > 0


@pytest.mark.once
def test_brief_lives_leave_the_exporter_as_it_was(service: Any, folder: Any, make: Any) -> None:
    """Hundreds that no scrape saw alive: each is counted once, and pages, state and records stay as small as they were."""
    lives = pytest.importorskip("benchmarks.programs.brief_lives", reason="the benchmarks are not part of this tree")
    template = make()
    brief = lives.BriefLives(folder.path, template.path.read_bytes())
    sizes: list[tuple[int, int, int]] = []
    for _ in range(8):
        for _ in range(3):
            for _ in range(25):
                brief.live_and_die(exit_code=brief.written % 2)
            service.turn()
        page = service.page()
        sizes.append(
            (len(page.splitlines()), len((folder.path / FILE_NAME).read_bytes()), len(list(folder.endings.locations())))
        )
    assert brief.written == 600
    totals = {each.service_name: each for each in service.totals.services()}["shop"]
    assert [each.collections for each in totals.generations] == [600 * each for each in lives.COLLECTIONS]
    assert {reason: count for reason, count in totals.ended.items() if count} == {"clean exit": 300, "exit code 1": 300}
    # From the second on: the first page has fewer dead to show.
    lines, state_bytes, records = zip(*sizes[2:], strict=True)
    assert max(lines) <= 1.01 * min(lines)
    assert max(state_bytes) < min(state_bytes) + 1000
    assert max(records) == 100 + 50 + 20
    assert [path.name for path in folder.files()] == [template.path.name]
    assert json.loads((folder.path / FILE_NAME).read_text())["counted"][0][0] == template.path.stem
    assert service.ledger.faults == ()

"""The cycle sampler: what it names, how near its estimate is, and that no collection is disturbed by it."""

from __future__ import annotations

import enum
import gc
import importlib.util
import sys
import weakref
from collections import Counter, OrderedDict, deque
from pathlib import Path

import pytest

from gc_otel import _native
from gc_otel.flight import heap_reader, layout, reader
from gc_otel.flight.file import OwnMemory
from gc_otel.flight.mapping import PythonMapping
from gc_otel.flight.recorder import gc_mode
from gc_otel.heap.cycles import find_cycles
from gc_otel.heap.names import type_name
from gc_otel.probe import live_cycles
from gc_otel.probe.live_cycles import CycleSeries

ROOM = 10_000
needs_sampler = pytest.mark.skipif(
    _native.load()[0] is None or gc_mode() != "generational",
    reason="no cycle sampler: no extension, or another collector",
)


def _load_shapes():
    spec = importlib.util.spec_from_file_location("shapes", Path(__file__).parents[1] / "heap" / "shapes.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["shapes"] = module
    spec.loader.exec_module(module)
    return module


shapes = _load_shapes()


class Sampled:
    """A native recorder in gc.callbacks whose sampler looks at every young collection, or as it is told."""

    def __init__(self, cost_factor: int = 0, least_interval_ns: int = 0, objects_most: int = ROOM) -> None:
        extension, _ = _native.load()
        self.mapping = extension.Mapping(-1)
        self.recorder = extension.Recorder(self.mapping)
        self.cells = self.mapping.view().cast("Q")
        self.cells[layout.CYCLES.cell("state")] = layout.CYCLES_STATES.index("on")
        assert self.recorder.sample_cycles(cost_factor, least_interval_ns, objects_most)
        self.recorder.install()

    def read(self):
        return heap_reader.read_cycles(OwnMemory(self.mapping))

    def samples(self) -> int:
        first = layout.CYCLES.cell("samples")
        return sum(self.cells[first : first + layout.GENERATIONS])

    def estimates(self) -> Counter[str]:
        return Counter({each.name: each.cycles for each in self.read().signatures})

    def collected(self) -> int:
        generations = reader.read_collector(OwnMemory(self.mapping)).generations
        return sum(each.collected for each in generations[:2])


@pytest.fixture
def sampled(quiet_gc):
    """Makes one; it is gone, and the collector as it was, after the test."""
    made = []
    threshold, enabled = gc.get_threshold(), gc.isenabled()

    def make(**options) -> Sampled:
        made.append(Sampled(**options))
        return made[-1]

    yield make
    gc.disable()
    for each in made:
        each.recorder.uninstall()
    gc.set_threshold(*threshold)
    gc.enable() if enabled else gc.disable()


def collect_young(*, threshold: int = 500) -> None:
    """The collector as a program has it."""
    gc.set_threshold(threshold, 10, 1_000_000)
    gc.enable()


def fill_up() -> None:
    """Allocations that live, until the next collection has begun."""
    before = gc.get_stats()[0]["collections"] + gc.get_stats()[1]["collections"]
    kept = []
    while gc.get_stats()[0]["collections"] + gc.get_stats()[1]["collections"] == before:
        kept.append([])


@needs_sampler
@pytest.mark.parametrize("name", sorted(shapes.SHAPES))
def test_every_shape_is_named_and_counted(sampled, name) -> None:
    """The estimate is within a tenth of what was made, and the names are those of find_cycles()."""
    shape = shapes.SHAPES[name]
    shape.make()
    known = {each.signature.split(" -> ...")[0] for each in find_cycles().groups}
    gc.collect()
    rig = sampled()
    collect_young(threshold=300)
    made = 0
    while rig.samples() < 30:
        shape.make()
        made += shape.cycles
    gc.disable()
    cycles = {each.split(" -> ...")[0]: count for each, count in rig.estimates().items()}
    assert sum(count for each, count in cycles.items() if each in known) == pytest.approx(made, rel=0.1)


@needs_sampler
def test_thirty_samples_of_many_collections_are_enough(sampled) -> None:
    """One collection in about twenty is looked at; each signature of a mixture is within a tenth."""
    rig = sampled()
    collect_young(threshold=700)
    made = Counter()
    names = ("self_reference", "list_in_itself", "pair", "slots")
    taken = seen = 0
    while taken < 30:
        for name, times in zip(names, (4, 3, 2, 1), strict=True):
            for _ in range(times):
                shapes.SHAPES[name].make()
            made[name] += times
        samples = rig.samples()
        if samples > seen:  # the sampler is off but for one collection in about twenty
            taken, seen = taken + 1, samples
            rig.recorder.sample_cycles(0, 2**62, ROOM)
        elif gc.get_stats()[0]["collections"] % 20 == 0:
            rig.recorder.sample_cycles(0, 0, ROOM)
    gc.disable()
    told = rig.estimates()
    node_alone = sum(count for name, count in told.items() if name in ("shapes.Node", "dict -> shapes.Node"))
    assert told["list"] == pytest.approx(made["list_in_itself"], rel=0.1)
    assert told["shapes.Slotted -> shapes.Slotted"] == pytest.approx(made["slots"], rel=0.1)
    assert node_alone == pytest.approx(made["self_reference"], rel=0.1)
    assert rig.read().cycles == pytest.approx(sum(made.values()), rel=0.1)


@needs_sampler
def test_no_collection_is_disturbed(sampled) -> None:
    """What it finds is what CPython collects; finalizers and weak reference callbacks run as ever, nothing is kept."""
    finalized, told = [], []

    class Finalized:
        def __del__(self):
            finalized.append(1)

    watches = []
    rig = sampled()
    collect_young()
    for _ in range(3000):
        node = Finalized()
        node.itself = node
        watches.append(weakref.ref(node, told.append))
        del node
    fill_up()
    gc.disable()
    gc.collect()
    assert sum(rig.read().samples) > 3
    assert len(finalized) == len(told) == 3000
    assert all(watch() is None for watch in watches)
    assert gc.garbage == []
    assert sum(rig.read().garbage) == pytest.approx(rig.collected(), rel=0.02)


@needs_sampler
def test_what_the_program_asked_for_is_not_sampled(sampled) -> None:
    """gc.collect() of any generation, and collections while the collector is off; what they free is weighed all the same."""
    rig = sampled()
    gc.disable()
    for generation in (0, 1, 2):
        shapes.pair()
        gc.collect(generation)
    assert rig.read().samples == (0, 0, 0)
    collect_young()
    shapes.pair()
    fill_up()
    gc.disable()
    assert sum(rig.read().samples) >= 1


@needs_sampler
def test_more_objects_than_allowed_are_left_alone(sampled) -> None:
    """Known from gc.get_count() before they are listed; the next collection may be small again."""
    rig = sampled(objects_most=300)
    collect_young(threshold=500)
    fill_up()
    gc.disable()
    assert sum(rig.read().samples) == 0
    assert rig.read().cost_ns == 0


@needs_sampler
def test_it_waits_after_each_sample(sampled) -> None:
    """Not before the interval has passed, whatever the program collects."""
    rig = sampled(least_interval_ns=3_600_000_000_000)
    collect_young()
    for _ in range(20):
        fill_up()
    gc.disable()
    assert rig.read().samples == (0, 0, 0)


@needs_sampler
def test_many_signatures_share_the_rows(sampled) -> None:
    """The least give way; what they had stays in the total."""
    rig = sampled()
    collect_young()
    kinds = [type(f"Kind{number}", (), {"__slots__": ("other", "__weakref__")}) for number in range(120)]
    for _ in range(20):
        for kind in kinds:
            for _ in range(5):
                one = kind()
                one.other = one
    fill_up()
    gc.disable()
    found = rig.read()
    assert len(found.signatures) == layout.CYCLE_SIGNATURES
    assert found.unnamed > found.cycles / 4
    assert found.cycles == pytest.approx(sum(each.cycles for each in found.signatures) + found.unnamed, abs=60)
    assert found.cycles == pytest.approx(20 * 5 * 120, rel=0.1)


@needs_sampler
def test_an_audit_hook_hears_nothing_of_it(run_program) -> None:
    """Inside a collection: gc.get_objects() would call the program's hooks there."""
    found = run_program("sampled_with_audit_hook.py")
    assert found == {"state": "on", "samples": found["samples"], "heard": []}
    assert found["samples"] > 0


class Hostile(type):
    """A metaclass that answers whatever is asked of its classes."""

    def __getattribute__(cls, name):
        raise AssertionError(f"somebody asked the class for {name}")


class Trap(metaclass=Hostile):
    """A class whose name is read without asking it."""


NAMED = [
    int,
    dict,
    deque,
    OrderedDict,
    Counter,
    enum.Enum,
    shapes.Node,
    type("Stra\u00dfe \u65e5\u672c", (), {}),
    type(gc),
]


@needs_sampler
def test_names_are_those_of_the_census() -> None:
    """C reads them without running code, and says what heap/names.py says."""
    name = _native.load()[0].type_name
    for cls in (*NAMED, Trap):
        assert name(cls) == type_name(cls)


def put_row(cells, row: int, *, identity: int, samples: int, cycles: int) -> None:
    for name, value in (("id", identity), ("samples", samples), ("cycles", cycles)):
        cells[layout.CYCLE_SIGNATURE.cell(name, row)] = value


def test_series_are_given_once_and_stay() -> None:
    """To who has a hundredth, in three samples; the total of all series never falls and is the total."""
    mapping = PythonMapping(-1)
    cells, series = mapping.view().cast("Q"), CycleSeries(mapping)
    cells[layout.CYCLES.cell("state")] = layout.CYCLES_STATES.index("on")
    series.round()
    cells[layout.CYCLES.cell("cycles")] = 1000
    put_row(cells, 0, identity=1, samples=9, cycles=800)
    put_row(cells, 1, identity=2, samples=2, cycles=190)
    put_row(cells, 2, identity=3, samples=9, cycles=9)
    series.round()
    found = heap_reader.read_cycles(OwnMemory(mapping))
    assert {each.id: each.series_base for each in found.signatures} == {1: 800, 2: None, 3: None}
    cells[layout.CYCLES.cell("cycles")] = 3000
    put_row(cells, 1, identity=2, samples=3, cycles=2190)
    series.round()
    for number in range(10):
        put_row(cells, 3 + number, identity=10 + number, samples=5, cycles=100 + number)
    series.round()
    found = heap_reader.read_cycles(OwnMemory(mapping))
    shown = [each.id for each in found.signatures if each.series_base is not None]
    assert sorted(shown) == [1, 2, *range(12, 20)]


@needs_sampler
def test_no_sampler_where_the_lists_are_not_to_be_found(monkeypatch) -> None:
    """What the interpreter tells of its collector is compared when the recorder is made."""
    extension, _ = _native.load()
    recorder = extension.Recorder(extension.Mapping(-1))
    assert recorder.sample_cycles(1000, 0, 10_000) is True
    monkeypatch.setattr(gc, "get_count", lambda: (1, 2, 3))
    recorder = extension.Recorder(extension.Mapping(-1))
    assert recorder.sample_cycles(1000, 0, 10_000) is False


def test_no_sampler_says_why(monkeypatch) -> None:
    """Off, without C, without a GIL, with the incremental collector; without memory."""

    class NoMemory:
        def sample_cycles(self, *_: int) -> bool:
            return False

    def state(mode: str = "generational", *, wanted: bool = True, native: bool = True) -> str:
        monkeypatch.setattr(live_cycles, "gc_mode", lambda: mode)
        mapping = PythonMapping(-1)
        live_cycles.begin(NoMemory(), mapping, wanted=wanted, native=native)
        return heap_reader.read_cycles(OwnMemory(mapping)).state

    assert state(wanted=False) == "off"
    assert state(native=False) == "python"
    assert state("freethreaded") == "freethreaded"
    assert state("incremental") == "incremental"
    assert state() == "failed"

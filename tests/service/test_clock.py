"""A system clock that is set while the exporter runs, an hour forward or back."""

from __future__ import annotations

import time

import pytest

from gc_otel.service.following import Following

HOUR_NS = 3_600_000_000_000


@pytest.fixture
def set_clock(monkeypatch):
    """Set the clock of this process, which is the exporter's and that of the made files, so far from the true one."""
    true_ns = time.time_ns

    def to(offset_ns: int) -> None:
        monkeypatch.setattr(time, "time_ns", lambda: true_ns() + offset_ns)
        monkeypatch.setattr(time, "time", lambda: (true_ns() + offset_ns) / 1e9)

    return to


@pytest.mark.parametrize("offset_ns", [-HOUR_NS, HOUR_NS])
def test_no_counter_steps_back(service, make, values_of, set_clock, offset_ns):
    """Who was there is shown on, with what he counted and an age that is not negative; who comes is shown too."""
    made = make()
    made.collect(times=3)
    before = values_of(service.page(), "cpython_gc_collections_total")
    set_clock(offset_ns)
    newcomer = make()
    newcomer.collect(times=2)
    service.sampling.round()
    page = service.page()
    after = values_of(page, "cpython_gc_collections_total")
    assert all(after[labels] >= value for labels, value in before.items())
    assert sum(after.values()) == 5
    assert min(values_of(page, "process_uptime_seconds").values()) >= 0
    assert service.ledger.faults == ()


@pytest.mark.parametrize("offset_ns", [-HOUR_NS, HOUR_NS])
def test_the_dead_are_told_from_the_old_ones(folder, make, set_clock, offset_ns):
    """What was dead before the exporter began is no news; what lived and died after the step is shown once."""
    make().die()
    following = Following(folder, note_fault=print)
    set_clock(offset_ns)
    brief = make()
    brief.collect()
    brief.die()
    following.refresh()
    assert [(each.identity.pid, each.is_ended) for each in following.shown()] == [(brief.pid, True)]
    following.close()

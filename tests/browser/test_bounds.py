"""Quick with many processes, flat over hours, quiet while nobody looks."""

from __future__ import annotations

import time

import pytest

from gc_otel.config import Config
from gc_otel.flight import file as files
from gc_otel.flight.mapping import PythonMapping
from gc_otel.flight.python_recorder import PythonRecorder
from gc_otel.probe.identity import header_fields

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&{{}}"


@pytest.fixture
def fleet(folder):
    """Makes flight files that this process holds alive, each of a namespace of its own: nobody else has their pid."""
    held = []

    def make(count, **env):
        for number in range(count):
            config = Config.from_env({"OTEL_SERVICE_NAME": f"service-{number % 8}", **env})
            header = header_fields(config, recorder="python", duration_clock="monotonic")
            made = {**header, "pid": 1000 + number, "pid_namespace": 7, "created_unix_ns": time.time_ns() + number}
            _, mapping = files.create(folder, made, PythonMapping)
            recorder = PythonRecorder(mapping)
            for generation in (0, 0, 1, 2):
                info = {"generation": generation, "collected": 3, "uncollectable": 0}
                recorder.record_phase("start", info)
                recorder.record_phase("stop", info)
            held.append((mapping, recorder))

    yield make
    while held:
        mapping, recorder = held.pop()
        del recorder
        mapping.close()


def test_the_first_view_of_sixty_four_processes(fleet, command, tab):
    """From the address to the last row: within a second on a quiet machine (it says how long), and well within five here."""
    fleet(64)
    run = command("exporter").ready()
    first = tab()
    first.open(run.url)
    began_s = time.monotonic()
    page = first.open(f"{run.address}/")
    page.wait_for_selector("tbody tr:nth-child(64)")
    took_s = time.monotonic() - began_s
    print(f"first view of 64 processes: {took_s:.2f} s")
    assert took_s < 5
    assert page.locator("section:first-of-type tbody tr").count() == 64


def test_hostile_names_are_only_names(fleet, command, tab):
    """Nothing of a flight file becomes markup: in the fleet, on its own page, in the title, in an exported file."""
    fleet(1, OTEL_SERVICE_NAME=HOSTILE, OTEL_RESOURCE_ATTRIBUTES=f"service.version={HOSTILE}")
    run = command("exporter").ready()
    first = tab()
    first.page.on("dialog", lambda dialog: first.complaints.append(dialog.message))
    page = first.open(run.url)
    assert page.locator("a.name b").inner_text() == HOSTILE
    page.locator("a.name").click()
    page.wait_for_selector("h1:has-text('</script>')")
    assert page.locator("img").count() == 0
    with page.expect_download() as download:
        page.evaluate(
            "() => { const a = document.createElement('a'); a.href = gcotel.page.view.exports() + '.html'; a.download = ''; document.body.append(a); a.click(); }"
        )
    kept = tab(offline=True)
    kept.page.on("dialog", lambda dialog: kept.complaints.append(dialog.message))
    path = download.value.path().rename(download.value.path().with_suffix(".html"))
    kept.open(path.as_uri())
    kept.page.wait_for_selector("h1:has-text('</script>')")
    assert kept.page.locator("img").count() == 0


#: Hours of answers of a busy process, one a second, as fast as they can be taken; charts are drawn as the browser gets to it.
HOURS = """async ([from, ticks]) => {
  const view = gcotel.page.view;
  const answer = structuredClone(await gcotel.get(`${view.base}/live?since=0`));
  const began = answer.now_unix_ms;
  for (let i = from; i < from + ticks; i += 1) {
    const now = began + i * 1000;
    const rows = [...Array(20)].map((_, at) => [i * 20 + at + 1000, now + at * 40, 5e4 + (at * 7919 * i) % 1e7, at % 9 ? 0 : at % 2 + 1, 5, 0, 0, false, false, '1', null]);
    const point = { ...answer.point, unix_ms: now, rss_bytes: 5e7 + i * 1000, allocated_blocks: 1e5 + i, collections: i * 20, collections_by_generation: [i * 18, i, i], collected_by_generation: [i * 50, i, i] };
    view.live.tick({ ...answer, point, latest: { ...answer.latest, rows } });
    if (i % 12 === 0) { view.group.end = now / 1000; view.update(now); }
    if (i % 120 === 0) await new Promise(requestAnimationFrame);
  }
}"""
USED = "() => { gc(); gc(); return performance.memory.usedJSHeapSize; }"


@pytest.mark.timeout(240)
def test_a_tab_that_stays_open_does_not_grow(fleet, command, tab):
    """Two hours fill what is kept; two more add nothing, neither objects nor elements."""
    fleet(1)
    run = command("exporter").ready()
    first = tab()
    first.open(run.url)
    page = first.open(f"{run.address}/process/1000")
    page.evaluate("() => gcotel.page.view.stop()")
    page.evaluate(HOURS, [1, 7200])
    before, elements = page.evaluate(USED), page.evaluate("() => document.querySelectorAll('*').length")
    page.evaluate(HOURS, [7201, 7200])
    after = page.evaluate(USED)
    print(f"heap of the tab after two hours {before / 1e6:.1f} MB, after four {after / 1e6:.1f} MB")
    assert after < before * 1.1 + 500_000
    assert page.evaluate("() => document.querySelectorAll('*').length") <= elements + 20
    assert page.evaluate("() => gcotel.page.view.live.events.length") <= 4000


def test_nobody_looks_and_nothing_is_asked(fleet, command, tab):
    """Polling pauses while the tab is hidden, and goes on when it is shown."""
    fleet(1)
    run = command("exporter").ready()
    first = tab()
    first.open(run.url)
    page = first.open(f"{run.address}/process/1000")
    hide = """(hidden) => { Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden }); document.dispatchEvent(new Event('visibilitychange')); }"""
    page.evaluate(hide, True)
    page.wait_for_timeout(1200)  # what was on its way may come
    asked = len(first.asked)
    page.wait_for_timeout(2500)
    assert len(first.asked) == asked
    with page.expect_request("**/live?*"):
        page.evaluate(hide, False)

"""A leaking gunicorn from the first look to the post-mortem of a killed worker, and the export of it."""

from __future__ import annotations

import json
import os
import re
import signal

import pytest

#: Every control has a name that a screen reader can say.
NAMELESS = """() => [...document.querySelectorAll('a, button, input, select, [role=button], [role=img]')]
    .filter((each) => !(each.getAttribute('aria-label') || each.textContent.trim() || each.title || each.querySelector('title')))
    .map((each) => each.outerHTML.slice(0, 120))"""
#: How many colours a canvas shows: an empty one shows one.
COLOURS = """(canvas) => new Set(new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"""
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def api(page, path):
    """As the page's own script would."""
    return page.evaluate("async (path) => (await fetch(path)).json()", path)


def workers_of(page):
    """Those that have loaded the app, the one with most memory first."""
    rows = [row for row in api(page, "/api/v1/processes")["processes"] if row["is_alive"]]
    return sorted(
        (row for row in rows if row["parent_pid"] in {each["pid"] for each in rows}), key=lambda row: -row["rss_bytes"]
    )


def check(page):
    """What holds for every view."""
    assert page.evaluate(NAMELESS) == []
    before = page.viewport_size
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_timeout(50)
    assert page.evaluate(TOO_WIDE) <= 0, "a narrow screen scrolls sideways"
    page.set_viewport_size(before)


@pytest.mark.timeout(240)
def test_from_the_first_look_to_the_post_mortem(shop, tab, eventually, tmp_path):
    """Fleet, process, heap, the dead; by mouse and by keyboard, light and dark, wide and narrow."""
    run, quiet = shop
    first = tab()
    page = first.open(run.url)
    assert page.url == f"{run.address}/"
    assert page.evaluate("() => document.cookie") == "", "HttpOnly"
    worker, _ = eventually(lambda: len(found := workers_of(page)) == 2 and found, "no two workers")
    find_in_fleet(page, worker)
    look_at_process(page, worker, eventually)
    compare_censuses(page)
    who_holds(page)
    open_elsewhere(page, first.context)
    kill(page, run, worker, quiet)
    read_post_mortem(page, run, worker)
    export(page, first, tab, tmp_path, worker)
    assert all(url.startswith((run.address, "data:")) for url in first.asked), "nothing foreign is loaded"


def find_in_fleet(page, worker):
    """The fleet: sorted by memory, found by a word, one row to click."""
    page.wait_for_selector("tbody tr:nth-child(3)")
    page.get_by_role("searchbox").fill(str(worker["pid"]))
    assert page.locator("section:first-of-type tbody tr").count() == 1
    check(page)
    page.get_by_role("link", name=f"pid {worker['pid']}").click()


def look_at_process(page, worker, eventually):
    """The process: live, with pictures in its canvases."""
    page.wait_for_url(f"**/process/{worker['id']}")
    page.wait_for_selector(".status.live")
    eventually(lambda: page.locator("canvas").count() >= 6, "no charts")
    page.wait_for_timeout(1500)
    assert page.locator("canvas").evaluate_all(f"(all) => all.map({COLOURS})").count(1) == 0
    assert page.locator(".tile-value").first.inner_text().endswith("MiB")
    check(page)
    point_at_memory(page)
    zoom_all(page)
    explain_by_keyboard(page)


def compare_censuses(page):
    """The heap: what grew, by name."""
    page.get_by_role("link", name="Heap", exact=True).click()
    page.get_by_role("button", name="Take a census").click()
    page.wait_for_selector(".treemap svg")
    page.wait_for_timeout(500)
    page.get_by_role("button", name="Take a census").click()
    page.wait_for_selector("th:has-text('More memory')")
    assert page.locator("button.type", has_text="leaky.Basket").count() >= 1
    page.get_by_role("button", name="Show").click()
    assert page.locator("button.type", has_text="<img src=x").count() >= 1, "a hostile name is a name"
    check(page)


def open_elsewhere(page, context):
    """The two censuses have an address: it is enough for another tab, a dark one; the cookie is the browser's."""
    shared = page.url
    context.new_page().close()
    page.emulate_media(color_scheme="dark")
    page.goto(shared)
    page.wait_for_selector("html[data-ready]")
    page.wait_for_selector(".treemap svg")
    page.emulate_media(color_scheme="light")


def kill(page, run, worker, quiet):
    """While its page is looked at, which freezes where it is."""
    page.goto(f"{run.address}/process/{worker['file']}")
    page.wait_for_selector(".status.live")
    quiet()
    os.kill(worker["pid"], signal.SIGKILL)
    page.wait_for_selector(".status.ended")


def read_post_mortem(page, run, worker):
    """The fleet says how it ended, and its page has its charts still."""
    page.goto(f"{run.address}/")
    page.wait_for_selector("text=SIGKILL")
    page.get_by_role("link", name=f"pid {worker['pid']}").click()
    page.wait_for_selector("text=This process has ended.")
    page.wait_for_selector(".status.ended")
    assert page.locator("canvas").count() >= 6
    check(page)


def point_at_memory(page):
    """The pointer at the line's end says when and how much, with units, and stops when it leaves."""
    chart = page.get_by_role("img", name="Memory over time")
    box = chart.locator(".u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.98, box["y"] + 60)
    tip = chart.locator(".tip:not([hidden])")
    tip.wait_for()
    said = " ".join(tip.inner_text().split())
    assert re.fullmatch(r"\d\d:\d\d:\d\d RSS [\d.,]+ MiB( USS [\d.,]+ MiB)?( Limit [\d.,]+ [KMGT]iB)?", said)
    page.mouse.move(1, 1)
    tip.wait_for(state="hidden")


def zoom_all(page):
    """A drag over one chart is the range of all; a double click takes it back."""
    ranges = "() => [...gcotel.page.view.group.charts].map((each) => [each.plot.scales.x.min, each.plot.scales.x.max].map(Math.round).join())"
    box = page.locator(".u-over").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 80, steps=4)
    page.mouse.up()
    page.wait_for_selector("text=Back to now")
    assert len(set(page.evaluate(ranges))) == 1
    page.get_by_role("button", name="Back to now").click()
    assert page.get_by_role("button", name="Back to now").count() == 0


def explain_by_keyboard(page):
    """Enter opens what a number means, with its runbook; Escape closes it and gives the focus back."""
    page.get_by_role("button", name="What is “Growth of memory”?").focus()
    page.keyboard.press("Enter")
    box = page.get_by_role("dialog")
    assert "When is it bad?" in box.inner_text()
    assert box.get_by_role("link").get_attribute("href") == "/runbook/PythonMemoryGrowing"
    page.keyboard.press("Escape")
    assert box.count() == 0
    assert page.evaluate("() => document.activeElement.className") == "hint"


def who_holds(page):
    """The type, its holder with the accumulation point, and the graph as a file."""
    page.locator("button.type", has_text=re.compile(r"^leaky\.Basket$")).click()
    page.wait_for_selector(".node.hot")
    assert "BASKETS" in page.locator(".holders-lead").inner_text()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save SVG").click()
    svg = download.value.path().read_text()
    assert "BASKETS" in svg
    assert "<script" not in svg
    page.locator(".graph-canvas").focus()
    before = page.locator(".graph-canvas svg > g").get_attribute("transform")
    page.keyboard.press("+")
    assert page.locator(".graph-canvas svg > g").get_attribute("transform") != before
    page.get_by_role("combobox", name="What to show").select_option("backrefs")
    page.wait_for_selector(".graph-canvas[aria-label^='Some objects of leaky.Basket']")
    assert page.locator(".node.root").count() >= 1


def export(page, first, tab, tmp_path, worker):
    """One file that opens with no network and says the same; and the numbers as JSON."""
    shown = page.locator(".tile-value").all_inner_texts()
    page.get_by_text("Export", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("link", name="As one HTML file").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.name.startswith(f"gc_otel-process-{worker['file']}")
    frozen = api(page, f"/export/process/{worker['file']}.json")
    assert json.dumps(frozen["answers"]).count("shop") >= 1
    offline = tab(offline=True)
    kept = offline.open(path.as_uri())
    kept.wait_for_selector("text=This process has ended.")
    assert kept.locator(".tile-value").all_inner_texts() == shown
    assert kept.locator("canvas").count() >= 6
    assert [url for url in offline.asked if not url.startswith(("file:", "data:"))] == []
    kept.get_by_role("link", name="Heap", exact=True).click()
    kept.wait_for_selector(".treemap svg")
    kept.get_by_role("button", name="What is “Census”?").click()
    kept.get_by_role("link", name="Fleet", exact=True).click()
    kept.wait_for_selector("text=This is not part of the exported file.")

"""The page looks as it did: a frozen leak, drawn again, beside the pictures of the README.

GCOTEL_WRITE_PICTURES=1 pytest -n0 tests/browser/test_pictures.py     # after a change that is meant; then look at them
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from gc_otel.service.page.shell import self_contained

FROZEN = json.loads((Path(__file__).parent / "frozen" / "leak.json").read_text())
IMAGES = Path(__file__).parents[2] / "docs" / "images"
SIZE = {"width": 1280, "height": 1000}
#: Of 255, in the mean over an eighth of the size: fonts are the page's own, but not each machine draws their edges alike.
DIFFERENCE_MOST = 4.0

DIFFERENCE = """async (sources) => {
  const [a, b] = await Promise.all(sources.map(async (data) => {
    const image = new Image();
    image.src = `data:image/png;base64,${data}`;
    await image.decode();
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [160, 125];
    const context = canvas.getContext('2d');
    context.imageSmoothingQuality = 'high';
    context.drawImage(image, 0, 0, 160, 125);
    return context.getImageData(0, 0, 160, 125).data;
  }));
  return a.reduce((sum, value, at) => sum + Math.abs(value - b[at]), 0) / (a.length * 0.75);
}"""


@pytest.mark.parametrize(("name", "tail"), [("page-process", ""), ("page-heap", "/heap")])
def test_the_page_looks_as_it_did(tab, tmp_path, name, tail):
    """Compared small, so that a moved letter is nothing and a missing chart is much."""
    if not IMAGES.is_dir():
        pytest.skip("the pictures are in the repository, not beside an installed wheel")
    first = tab(viewport=SIZE, offline=True, color_scheme="light")
    where = f"/process/{FROZEN['location'].split('/')[2]}{tail}"
    path = tmp_path / "frozen.html"
    path.write_bytes(self_contained({**FROZEN, "location": where}))
    page = first.open(path.as_uri())
    page.wait_for_selector(".treemap svg" if tail else "canvas")
    if tail:
        page.locator("button.type", has_text="scenarios.Visit").first.click()
        page.wait_for_selector(".node.hot")
        page.evaluate("() => document.activeElement.blur()")
    page.wait_for_timeout(300)
    page.evaluate("() => scrollTo(0, 0)")
    drawn = page.screenshot()
    known = IMAGES / f"{name}.png"
    if os.environ.get("GCOTEL_WRITE_PICTURES"):
        known.write_bytes(drawn)
    both = [base64.b64encode(each).decode() for each in (drawn, known.read_bytes())]
    judge = tab()
    difference = judge.page.evaluate(DIFFERENCE, both)
    print(f"{name}: differs by {difference:.2f} of 255")
    assert difference < DIFFERENCE_MOST
    blank = [both[0], base64.b64encode(judge.page.screenshot()).decode()]
    assert judge.page.evaluate(DIFFERENCE, blank) > 2 * DIFFERENCE_MOST, "a blank page would pass"

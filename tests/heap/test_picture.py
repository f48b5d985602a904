"""Pictures of the neighbourhood of objects: what is in them, and what is never."""

from __future__ import annotations

import gc
import json
import re
import shutil
import subprocess

import pytest

import gc_otel
from gc_otel.heap.drawing import to_dot, to_html
from gc_otel.heap.picture import NODES_MOST, Picture, picture_of
from gc_otel.heap.tracked import can_list

pytestmark = pytest.mark.skipif(not can_list(), reason="refused without the extension before 3.14")


class Order:
    def __init__(self, number):
        self.number = number
        self.lines = ["secret line"]


class Loud(str):
    """A subclass of a builtin, whose repr() nobody may call."""

    __slots__ = ()

    def __repr__(self):
        raise AssertionError("repr() was called")


def draw(cls, **given):
    options = {"backward": True, "depth": 3, "too_many": 10, "instances": 3, **given}
    return picture_of([cls], "Order", **options)


def arrows(picture):
    names = {node.number: node.name or node.type.rpartition(".")[2] for node in picture.nodes}
    return {(names[edge.holder], edge.name, names[edge.held]) for edge in picture.edges}


@pytest.mark.parametrize("values", [False, True])
def test_classes_that_compare_in_their_own_way(shop, odd, values):
    """Are told apart without asking them, in both directions."""
    shop.ODD = {0: [odd(Order(1))]}
    assert draw(odd, values=values).alive == 1
    found = draw(odd, backward=False, values=values)
    assert {node.type.rpartition(".")[2] for node in found.nodes} >= {"Odd", "Order"}


def test_what_holds_them(shop):
    """Up to something with a name, and no further."""
    shop.PENDING = {f"secret {number}": Order(number) for number in range(20)}
    picture = draw(Order, depth=9)
    assert picture.alive == 20
    assert len(picture.asked) == 3
    assert arrows(picture) == {
        ("dict", "[str key]", "Order"),
        ("globals of shop", ".PENDING", "dict"),
    }
    (pending,) = [node for node in picture.nodes if node.type == "dict" and not node.name]
    assert (pending.length, pending.steps, pending.references) == (20, 1, 1)


def test_what_they_hold(shop):
    """Attributes by name; the class, which every object holds, is left out."""
    shop.ONE = Order(70_000)
    picture = draw(Order, backward=False)
    assert ("Order", ".lines", "list") in arrows(picture)
    assert ("list", "[item]", "str") in arrows(picture)
    assert not [node for node in picture.nodes if node.name.startswith("class")]


def test_values_only_when_asked_for_and_only_builtin_scalars(shop):
    """Never a repr() of somebody's class, a subclass of str included."""
    one = shop.ONE = Order(70_001)
    one.loud = Loud("secret too")
    one.named = {"key of mine": 1.5}
    for values in (False, True):
        picture = draw(Order, backward=False, depth=4, values=values)
        text = json.dumps(picture.as_dict()) + to_dot(picture) + to_html(picture, title="t")
        assert ("70001" in text) == values
        assert ("secret line" in text) == values
        assert ("key of mine" in text) == values
        assert "secret too" not in text
    (loud,) = [node for node in picture.nodes if node.type.endswith("Loud")]
    assert loud.value is None


def test_a_number_that_is_too_long_for_words(shop):
    """CPython refuses to write it; so it has no value."""
    shop.ONE = Order(1 << 50_000)
    picture = draw(Order, backward=False, values=True, instances=1)
    assert [node.value for node in picture.nodes if node.type == "int"] == [None]


def test_what_is_too_much_is_counted(shop):
    """Of the holders of one, and of what one holds."""
    order = Order(1)
    shop.HOLDERS = [[order] for _ in range(9)]
    shop.ONE = order
    (node,) = [node for node in draw(Order, too_many=4, depth=1).nodes if node.steps == 0]
    assert node.left_out >= 6
    order.lines = list(map(str, range(1000, 1050)))
    picture = draw(Order, backward=False, too_many=4)
    assert max(node.left_out for node in picture.nodes) == 46


def test_a_picture_has_an_end(shop):
    """However many there are."""
    shop.HOLDERS = [[[number] for _ in range(50)] for number in range(5000, 5050)]
    shop.ONE = Order(1)
    shop.ONE.lines = shop.HOLDERS
    assert len(draw(Order, backward=False, too_many=100, depth=5).nodes) == NODES_MOST


def test_two_that_hold_each_other_have_both_arrows(shop):
    """Apart from each other."""
    one, other = shop.ONE, shop.OTHER = Order(1), Order(2)
    one.lines, other.lines = other, one
    picture = draw(Order, backward=False, depth=1)
    assert {(edge.holder, edge.held) for edge in picture.edges} >= {(0, 1), (1, 0)}
    paths = re.findall(r'data-holder="([01])" data-held="([01])"><path d="([^"]*)"', to_html(picture, title="t"))
    assert len({path for _, _, path in paths}) == 2


def test_nothing_is_kept_alive_or_collected(quiet_gc, shop):
    """Not by the picture, and not by what made it."""
    shop.ONE = Order(1)
    before = [each["collections"] for each in gc.get_stats()]
    references = gc_otel.refcount(shop.ONE)
    draw(Order)
    again = gc_otel.refcount(shop.ONE)
    assert again == references
    assert [each["collections"] for each in gc.get_stats()] == before
    shop.ONE = None
    assert draw(Order).alive == 0


def test_there_and_back(shop):
    """As it travels between processes; arrows to nowhere are dropped."""
    shop.ONE = Order(1)
    picture = draw(Order)
    found = json.loads(json.dumps(picture.as_dict()))
    assert Picture.from_dict(found) == picture
    found["edges"].append({"holder": 0, "held": 999, "name": ""})
    found["asked"].append(999)
    assert Picture.from_dict(found) == picture


HOSTILE = {
    "type": "</script><script>alert(1)</script>",
    "direction": "refs",
    "alive": 1,
    "asked": [0],
    "nodes": [
        {
            "number": 0,
            "type": '"]; evil [label="',
            "name": "<img src=x onerror=alert(1)>\n",
            "length": None,
            "size_bytes": 1,
            "steps": 0,
            "references": None,
            "left_out": 0,
            "value": "\\",
        }
    ],
    "edges": [{"holder": 0, "held": 0, "name": "<b>\x1b"}],
}


def test_names_are_only_names():
    """A class may call itself anything: neither the page nor the source of Graphviz is left by it."""
    picture = Picture.from_dict(HOSTILE)
    page = to_html(picture, title=picture.type)
    assert page.count("<script") == 2
    assert "<img" not in page
    assert "<b>" not in page
    dot = to_dot(picture)
    assert "evil [label='" in dot
    assert "\x1b" not in page.split("<main>")[1].split("</main>")[0] + dot


def test_the_page_needs_nothing_else():
    """No host but where it is."""
    page = to_html(draw(Order), title="t")
    assert not re.findall(r"(?:src|href)\s*=|https?:|@import|url\((?!#arrow)", page)
    assert "default-src 'none'" in page


@pytest.fixture(autouse=True)
def no_orders_of_tests_before():
    gc.collect()


@pytest.mark.once
def test_a_click_in_a_browser(shop, tmp_path):
    """What is known of the object is shown beside the picture."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium here")
    shop.PENDING = [Order(1)]
    page = to_html(draw(Order), title="t")
    click = (
        "<script>document.querySelector('.node.asked').dispatchEvent(new MouseEvent('click', {bubbles: true}))</script>"
    )
    file = tmp_path / "page.html"
    file.write_text(page.replace("</body>", click + "</body>"))
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", f"file://{file}"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    aside = done.stdout.partition("<aside")[2].partition("</aside>")[0]
    assert "Order</dd>" in aside, done.stderr
    assert "held by" in aside
    assert "[item]" in aside

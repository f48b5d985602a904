"""Pictures show who holds whom, and no value; the counts of references are the true ones."""

from __future__ import annotations

import gc
import re
import shutil
import sys

import objgraph
import pytest

import gc_otel
from gc_otel.errors import NotSupported
from gc_otel.heap import graph
from gc_otel.heap.refcount import refcount


class Account:
    def __init__(self):
        self.owner = "Jane Secret"
        self.tokens = {"token-of-jane": [1]}

    def __repr__(self):
        raise AssertionError("repr() was called")


def edges(source: str) -> list[tuple[str, str, str]]:
    """Type of the holder, label, type of the held."""
    kinds = dict(re.findall(r'(o\d+)\[label="([^"\\]*)', source))
    return [
        (kinds.get(one, "?"), label, kinds.get(other, "?"))
        for one, other, label in re.findall(r'(o\d+) -> (o\d+)(?: \[label="([^"]*)"\])?;', source)
    ]


def test_refs_without_values() -> None:
    """Types, lengths and names of attributes."""
    source = gc_otel.show_refs([Account()], max_depth=4)
    found = edges(source)
    assert (f"{__name__}.Account", ".tokens", "dict") in found or ("dict", "[str key]", "dict") in found
    assert ("dict", "[str key]", "list") in found
    assert 'label="list\\nlen 1"' in source
    assert "ecret" not in source
    assert "jane" not in source


def test_two_lists_show_both_arrows(tmp_path) -> None:
    """The textbook case: each holds the other."""
    one, other = [], []
    one.append(other)
    other.append(one)
    file = tmp_path / "lists.dot"
    source = gc_otel.show_refs([one], filename=file)
    assert edges(source) == [("list", "[item]", "list")] * 2
    assert file.read_text() == source


def test_backrefs_lead_to_the_holder(shop) -> None:
    """From the object to the module that has it."""
    shop.ACCOUNTS = [Account()]
    found = edges(gc_otel.show_backrefs([shop.ACCOUNTS[0]], max_depth=3))
    assert ("list", "[item]", f"{__name__}.Account") in found
    assert any(one == "dict" and other == "list" for one, _, other in found)


@pytest.mark.usefixtures("quiet_gc")
def test_collects_nothing_and_leaves_the_programs_objgraph_alone() -> None:
    """The names that are replaced are those of an objgraph of our own."""
    before = [each["collections"] for each in gc.get_stats()]
    gc_otel.show_refs([Account()])
    assert [each["collections"] for each in gc.get_stats()] == before
    assert objgraph.gc is gc
    assert objgraph._obj_label is not graph._node_label


def test_objgraph_still_has_the_names_that_are_replaced() -> None:
    """A new objgraph that renames them would show values: this fails first."""
    for name in ("_obj_label", "_edge_label", "gc"):
        assert name in vars(objgraph)


def test_without_graphviz_it_says_how_to_get_it(tmp_path, monkeypatch) -> None:
    """Before any work; a name without a format is the caller's mistake."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotSupported, match="Graphviz") as caught:
        gc_otel.show_refs([], filename=tmp_path / "a.svg")
    assert "graphviz" in caught.value.remedy
    assert not (tmp_path / "a.svg").exists()
    with pytest.raises(ValueError, match="format"):
        gc_otel.show_refs([], filename=tmp_path / "a")


def test_with_graphviz_it_is_drawn(tmp_path, monkeypatch) -> None:
    """`dot` gets the source and the format; one that fails is named."""
    program = tmp_path / "dot"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nopen(sys.argv[2][2:], 'w').write(sys.argv[1] + sys.stdin.read())\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    source = gc_otel.show_refs([1], filename=tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text() == "-Tsvg" + source
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('unknown format')\n")
    with pytest.raises(NotSupported, match="unknown format"):
        gc_otel.show_refs([1], filename=tmp_path / "a.xyz")


@pytest.mark.skipif(shutil.which("dot") is None, reason="no Graphviz here")
def test_real_graphviz(tmp_path) -> None:
    """A picture that a browser can show."""
    gc_otel.show_refs([Account()], filename=tmp_path / "a.svg")
    assert "<svg" in (tmp_path / "a.svg").read_text()


OF_MODULE = object()


def test_refcount_through_a_call() -> None:
    """One name, two names, a container; a parameter while the call lasts.

    Counted outside of the assertions: pytest holds what stands in them.
    """
    one = object()
    counts = [refcount(one)]
    other = one
    counts += [refcount(one), refcount(other)]
    items = [one]
    counts += [refcount(one), refcount(items[0])]
    assert counts == [1, 2, 2, 3, 3]
    counts = [refcount(object()), refcount(OF_MODULE)]
    assert counts == [0, 1]

    def inside(parameter):
        return refcount(parameter)

    added = inside(one) - refcount(one)
    # The parameter; until 3.10 the caller's stack as well; from 3.14 on the variable is lent.
    assert added == (2 if sys.version_info < (3, 11) else 1 if sys.version_info < (3, 14) else 0)


def test_refcount_with_a_cell_and_many_calls() -> None:
    """A variable of an enclosing function is loaded in another way."""
    one = object()

    def enclosed():
        return refcount(one)

    assert [enclosed() for _ in range(30)] == [1] * 30


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no immortal objects")
def test_immortal_objects_have_no_count() -> None:
    """None is never freed, and so never counted."""
    assert refcount(None) is None
    assert refcount(1) is None


def test_show_memory(capsys) -> None:
    """One line, with what is the process's own."""
    uss_bytes = gc_otel.show_memory("after load")
    line = capsys.readouterr().out
    assert re.fullmatch(r"after load: [\d,.]+ MiB unique \(USS\), [\d,.]+ MiB resident \(RSS\)\n", line)
    assert uss_bytes > 2**20

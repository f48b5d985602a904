"""`gc-otel why` and `gc-otel graph` tell of another process who holds what."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from gc_otel.cli import output
from gc_otel.heap import graph as graphviz
from gc_otel.service import asking


@pytest.fixture
def grown(record):
    process = record("python")
    process.tell("grow")
    return str(process.pid)


def test_a_tree_of_names(call, grown):
    """Text first, with the accumulation point; JSON beside."""
    out = call("why", grown, "Grown").out
    assert (
        "__main__.Grown: 1,000 alive\n module __main__\n \N{BOX DRAWINGS LIGHT UP AND RIGHT} .GROWN  list  len 1,000"
        in out
    )
    assert "accumulation point" in out
    found = call("why", grown, "__main__.Grown", "--json", "--top", "1").json
    assert (found["instances"], found["roots"][0]["edge"]) == (1000, "module __main__")


def test_a_type_that_is_not_there(call, grown):
    """Which are near; and where several have the name, all of them."""
    said = call("why", grown, "grwn")
    assert said.code == 1
    assert "there is no type grwn. Near are: __main__.Grown." in said.err
    assert "has ended" not in said.err
    said = call("why", grown, "Config")
    assert said.code in (0, 1)


def test_pictures(call, grown, tmp_path):
    """The ending tells the format."""
    for ending in ("html", "dot", "json"):
        path = tmp_path / f"out.{ending}"
        said = call("graph", grown, "Grown", "-o", str(path), "--depth", "2")
        assert (said.code, said.err) == (0, "")
        assert said.out == f"{path}: 5 objects, 4 arrows, 1,000 __main__.Grown alive\n"
    assert json.loads((tmp_path / "out.json").read_text())["direction"] == "backrefs"
    assert (tmp_path / "out.html").read_text().startswith("<!DOCTYPE html>")
    assert (tmp_path / "out.dot").read_text().startswith("digraph")
    assert call("graph", grown, "Grown", "-o", str(tmp_path / "refs.dot"), "--refs").code == 0


def test_what_cannot_be_drawn(call, grown, tmp_path, monkeypatch):
    """Said before the process is asked."""
    said = call("graph", grown, "Grown", "-o", str(tmp_path / "out.pdf"))
    assert "out.pdf does not tell a format. Let it end in one of .html" in said.err
    monkeypatch.setattr(shutil, "which", lambda _: None)
    said = call("graph", grown, "Grown", "-o", str(tmp_path / "out.png"))
    assert "Install it (apt-get install graphviz" in said.err
    said = call("graph", grown, "Grown", "-o", str(tmp_path / "nowhere" / "out.html"))
    assert said.code == 1
    assert "cannot be written" in said.err


@pytest.mark.component
def test_pictures_by_graphviz_itself(call, grown, tmp_path, tool, monkeypatch):
    """A browser can show both."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(tool("dot")).parent), os.environ["PATH"]]))
    for name in ("out.svg", "out.png"):
        assert call("graph", grown, "Grown", "-o", str(tmp_path / name)).code == 0
    assert "Grown" in (tmp_path / "out.svg").read_text()
    png = (tmp_path / "out.png").read_bytes()
    assert (png[:8], len(png) > 1000) == (b"\x89PNG\r\n\x1a\n", True)


def test_graphviz_gets_the_source(call, grown, tmp_path, monkeypatch):
    """Where it is installed."""
    written = []
    monkeypatch.setattr(graphviz, "check_format", lambda _: None)
    monkeypatch.setattr(graphviz, "write", lambda source, path: written.append((source, path.suffix)))
    assert call("graph", grown, "Grown", "-o", str(tmp_path / "out.svg")).code == 0
    assert written[0][0].startswith("digraph")
    assert written[0][1] == ".svg"


def test_answers_that_are_none_are_errors(call, monkeypatch, tmp_path):
    """Whatever the other side wrote."""
    monkeypatch.setattr(asking, "ask", lambda *_, **__: {"roots": 7, "nodes": 7})
    for words in (("why", "1", "T"), ("graph", "1", "T", "-o", str(tmp_path / "o.html"))):
        said = call(*words)
        assert said.code == 1
        assert "cannot be read" in said.err


def test_lines_are_printable(capsys):
    """A class may call itself anything."""
    output.print_lines("one\x1b[2J\ntwo")
    assert capsys.readouterr().out == "one\N{REPLACEMENT CHARACTER}[2J\ntwo\n"

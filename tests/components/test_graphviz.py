"""Pictures of objects in code, drawn by Graphviz itself."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import gc_otel


class Hamper:
    """What is drawn."""

    def __init__(self) -> None:
        self.items = ["apples"]


HAMPER = Hamper()


@pytest.fixture
def graphviz(tool, monkeypatch) -> None:
    """`dot` is on PATH."""
    folder = str(Path(tool("dot")).parent)
    monkeypatch.setenv("PATH", os.pathsep.join([folder, os.environ["PATH"]]))


@pytest.mark.usefixtures("graphviz")
@pytest.mark.parametrize("show", [gc_otel.show_refs, gc_otel.show_backrefs])
def test_objects_in_code(show, tmp_path) -> None:
    """The types that stand in the source stand in the picture, one node for each."""
    source = show(HAMPER, filename=tmp_path / "a.svg", max_depth=3)
    svg = (tmp_path / "a.svg").read_text()
    assert "Hamper" in svg
    assert svg.count('class="node"') == len(re.findall(r"^ *o\d+\[label=", source, re.MULTILINE)) > 1

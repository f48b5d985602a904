"""docs/cli.txt is what the commands say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gc_otel import cli
from gc_otel.cli import reference

DOCUMENT = Path(__file__).parents[2] / "docs" / "cli.txt"


def test_the_document_is_as_generated():
    """Word by word: interpreters indent differently, and the gate compares to the letter on one."""
    if not DOCUMENT.parent.is_dir():
        pytest.skip("docs/ is not part of this tree")
    words = _words(DOCUMENT.read_text())
    assert words == _words(reference.reference()), "run: python3.11 -m gc_otel.cli.reference > docs/cli.txt"


def _words(text: str) -> list[str]:
    """From 3.13 on argparse names what an option takes once, not behind each of its names."""
    return re.sub(r"(--?[a-z]+) [A-Z]+, (?=-)", r"\1, ", text).split()


def test_the_terminal_changes_nothing(monkeypatch):
    """Neither its width nor its colours are in the text."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    text = reference.reference()
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100
    assert [line for line in text.splitlines() if line.startswith("$ ")] == [
        "$ gc-otel --help",
        *(f"$ gc-otel {command.name} --help" for command in cli.COMMANDS),
    ]


def test_the_module_prints_it_on_the_interpreter_of_the_document_alone():
    """`python -m gc_otel.cli.reference` prints the text; another interpreter would lay it out otherwise, and says so."""
    done = subprocess.run([sys.executable, "-m", "gc_otel.cli.reference"], capture_output=True, text=True, check=False)
    if sys.version_info[:2] == reference.MADE_BY:
        assert (done.returncode, done.stdout) == (0, reference.reference())
    else:
        assert (done.returncode, done.stdout) == (1, "")
        assert "made by Python 3.11" in done.stderr

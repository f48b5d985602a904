"""The build never fails for want of a compiler, and says which recorder it got."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not (ROOT / "setup.py").is_file(), reason="the build stands in the checkout, not in a wheel"),
]


@pytest.fixture
def build(tmp_path):
    """Build what a wheel would hold, in a tree of its own: what the build said, and what came of it."""
    pytest.importorskip("setuptools", reason="the build needs setuptools, which pip brings where it builds")
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "gc_otel", tree / "gc_otel", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)

    def run(**variables: str) -> tuple[str, set[str]]:
        command = [sys.executable, "-W", "ignore", "setup.py", "-q", "build", "--build-lib", str(tmp_path / "lib")]
        env = {**os.environ, **variables}
        done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr
        return done.stderr, {path.suffix for path in (tmp_path / "lib").rglob("*") if path.is_file()}

    return run


def test_with_a_compiler_that_fails(build) -> None:
    """The package is whole without the extension."""
    said, suffixes = build(CC="/bin/false")
    assert "gc_otel: built with the Python recorder (the C extension did not build)" in said
    assert ".py" in suffixes
    assert ".so" not in suffixes


def test_where_no_extension_is_wanted(build) -> None:
    """No compiler is called."""
    said, suffixes = build(GC_OTEL_PURE="1", CC="/bin/false")
    assert "gc_otel: built with the Python recorder (no C extension was asked for)\n" in said
    assert ".so" not in suffixes

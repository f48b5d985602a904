"""What is committed is what the code makes."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IN_CI = os.environ.get("CI", "") not in ("", "0", "false")


@pytest.fixture
def generator():
    if not (ROOT / "grafana" / "__main__.py").is_file():
        pytest.skip("the generator is not part of an installation")
    if importlib.util.find_spec("grafana_foundation_sdk") is None:
        pytest.skip("grafana-foundation-sdk is not installed: .[dev] brings it; .ci/run lint compares too")

    def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "grafana", *arguments]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)

    return run


def test_regenerating_gives_no_difference(generator):
    """Neither in contents, nor a file too many or too few."""
    done = generator("--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_difference_is_told(generator, tmp_path):
    """A file that the code does not make, one that is missing, and one with other contents."""
    shutil.copytree(ROOT / "grafana", tmp_path / "grafana")
    (tmp_path / "grafana" / "rules" / "stray.yaml").write_text("groups: []\n")
    (tmp_path / "grafana" / "rules" / "alerts.yaml").unlink()
    (tmp_path / "grafana" / "rules" / "thresholds.yaml").write_text("groups: []\n")
    done = generator("--check", cwd=tmp_path)
    assert done.returncode == 1
    assert "stray.yaml: not generated" in done.stdout
    assert "alerts.yaml: missing" in done.stdout
    assert "-groups: []" in done.stdout

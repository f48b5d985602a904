"""promtool's opinion of the rules, and its run of their tests."""

from __future__ import annotations

import subprocess
import urllib.error

import pytest

from gc_otel.cli.assets import sources

TESTS = ("alerts_test.yaml", "growth_test.yaml", "native_test.yaml", "shapes_test.yaml", "thresholds_test.yaml")


def test_promtool_finds_no_fault(tool):
    """All files that are loaded together, and the one that is an alternative; duplicates are faults."""
    folder = sources()["rules"]
    together = [folder / name for name in ("thresholds.yaml", "recording.yaml", "alerts.yaml")]
    for files in (together, [folder / "native-histograms.yaml"]):
        command = [tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *map(str, files)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("SUCCESS") == len(files)


@pytest.mark.parametrize("name", TESTS)
def test_alerts_fire_when_they_should(tool, name):
    """And not a step before, and on no healthy shape: 10 s of CPU in all, for a day and a half of every rule."""
    path = sources()["rules"] / name
    if not path.is_file():
        pytest.skip("the rules' tests are not part of an installation")
    done = subprocess.run(
        [tool("promtool"), "test", "rules", str(path)], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_test_file_is_run():
    """A new one is not forgotten."""
    there = {path.name for path in sources()["rules"].glob("*_test.yaml")}
    assert there in (set(TESTS), set())


def test_victoria_metrics_understands_every_rule(tool, serve, free_port, poll, page, tmp_path):
    """An engine of another make parses and runs each expression; the file for native histograms says that it needs others."""
    yaml = pytest.importorskip("yaml")
    port = free_port()
    serve(tool("victoria-metrics"), f"-storageDataPath={tmp_path}/data", f"-httpListenAddr=127.0.0.1:{port}")
    api = f"http://127.0.0.1:{port}"
    poll(lambda: page(f"{api}/health"), lambda text: text == "OK")
    folder = sources()["rules"]
    for name in ("thresholds.yaml", "recording.yaml", "alerts.yaml"):
        for group in yaml.safe_load((folder / name).read_text())["groups"]:
            for rule in group["rules"]:
                assert '"status":"success"' in page(f"{api}/api/v1/query", query=rule["expr"]), rule
    with pytest.raises(urllib.error.HTTPError) as refused:
        page(f"{api}/api/v1/query", query="histogram_sum(rate(x[5m]))")
    refused.value.close()

"""gc-otel assets: what is written, what is kept, and where the runbooks are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gc_otel.cli import assets


def _relative(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_everything_is_written_but_the_rules_tests(call, tmp_path):
    """Dashboards, rules and runbooks; a folder of rules can be loaded as it is."""
    said = call("assets", "export", str(tmp_path / "new"))
    assert said.code == 0
    files = _relative(tmp_path / "new")
    assert {"dashboards/gc-otel-fleet.json", "rules/alerts.yaml", "rules/thresholds.yaml"} <= files
    assert "runbooks/PythonMemoryNearLimit.md" in files
    assert {"alerting/gc_otel-alerts.yaml", "alertmanager/inhibit-rules.yaml"} <= files
    assert {
        "kubernetes/Chart.yaml",
        "kubernetes/kustomization.yaml",
        "kubernetes/templates/prometheusrule.yaml",
    } <= files
    assert not [name for name in files if name.endswith("_test.yaml")]
    assert said.out.count("written ") == len(files)
    assert "which is nowhere" in said.out


def test_the_runbooks_url_is_the_reader_s(call, tmp_path):
    """In every alert, and in nothing else; Grafana's alerts and the chart's too."""
    said = call("assets", "export", str(tmp_path), "--runbooks", "https://wiki.test/python/")
    assert "which is nowhere" not in said.out
    text = (tmp_path / "rules" / "alerts.yaml").read_text()
    assert assets.RUNBOOKS_URL not in text
    assert text.count("runbook_url: 'https://wiki.test/python/") == text.count("- alert: ")
    assert not [each for each in tmp_path.rglob("*") if each.is_file() and assets.RUNBOOKS_URL in each.read_text()]


def test_the_datasource_is_the_reader_s(call, tmp_path):
    """Its uid, in every query of Grafana-managed rules and where they are recorded to; not in Grafana's own expressions."""
    call("assets", "export", str(tmp_path), "--datasource", "mimir")
    for path in (tmp_path / "alerting").iterdir():
        text = path.read_text()
        assert "'prometheus'" not in text
        assert text.count("atasourceUid: 'mimir'") == text.count("expr: ") + text.count("targetDatasourceUid")
        assert text.count("'__expr__'") == text.count("condition: 'B'")


def test_what_was_edited_is_kept_until_forced(call, tmp_path):
    """Exit 1 says that something is left to do; the same again changes nothing."""
    call("assets", "export", str(tmp_path))
    again = call("assets", "export", str(tmp_path))
    assert (again.code, again.out.count("unchanged ")) == (0, len(_relative(tmp_path)))
    thresholds = tmp_path / "rules" / "thresholds.yaml"
    ours = thresholds.read_text()
    thresholds.write_text(ours.replace("vector(0.9)", "vector(0.95)"))
    kept = call("assets", "export", str(tmp_path), "--json")
    assert kept.code == 1
    assert [each for each in kept.json if each["status"] != "unchanged"] == [
        {"path": str(thresholds), "status": "kept"}
    ]
    assert "give --force" in call("assets", "export", str(tmp_path)).out
    assert call("assets", "export", str(tmp_path), "--force").code == 0
    assert thresholds.read_text() == ours


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(call, tmp_path):
    """One line with a remedy."""
    tmp_path.chmod(0o500)
    said = call("assets", "export", str(tmp_path / "new"))
    assert said.code == 1
    assert "Name a folder" in said.err


def test_a_file_in_the_folder_s_place(call, tmp_path):
    """The same line, for root too."""
    (tmp_path / "file").write_text("")
    said = call("assets", "export", str(tmp_path / "file"))
    assert said.code == 1
    assert "cannot write below" in said.err
    assert "Name a folder" in said.err


def test_an_installation_without_them(call, tmp_path, monkeypatch):
    """Neither a wheel's copies nor a checkout."""
    nowhere = dict.fromkeys(assets._CHECKOUT, tmp_path / "none")
    monkeypatch.setattr(assets, "_INSTALLED", nowhere)
    monkeypatch.setattr(assets, "_CHECKOUT", nowhere)
    said = call("assets", "export", str(tmp_path / "new"))
    assert (said.code, said.out) == (1, "")
    assert "Install gc_otel from a wheel" in said.err
    assert not (tmp_path / "new").exists()


def test_a_wheel_s_copies_come_first(tmp_path, monkeypatch):
    """They belong to the version that runs; the tree beside it may be another."""
    copies = {kind: tmp_path / kind for kind in assets._CHECKOUT}
    for folder in copies.values():
        folder.mkdir()
    monkeypatch.setattr(assets, "_INSTALLED", copies)
    assert assets.sources() == copies

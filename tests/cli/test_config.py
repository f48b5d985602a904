"""gc-otel config."""

from __future__ import annotations

from gc_otel.cli import config as command
from gc_otel.errors import FlightFolderError
from gc_otel.settings import SETTINGS


def test_every_setting_is_listed_with_its_source(call, monkeypatch, flight_dir):
    """Variable, value, source and help of each."""
    monkeypatch.setenv("GC_OTEL_SAMPLE_INTERVAL", "2.5")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=shop,service.version=7")
    said = call("config")
    assert said.code == 0
    for setting in SETTINGS:
        assert setting.variable in said.out
        assert setting.help in said.out
    rows = {line.split()[0]: line.split()[1:] for line in said.out.splitlines() if line.startswith("GC_OTEL_")}
    assert rows["GC_OTEL_SAMPLE_INTERVAL"] == ["2.5", "environment"]
    assert rows["GC_OTEL_DIR"] == [str(flight_dir), "environment"]
    assert rows["GC_OTEL_RECORDER"] == ["auto", "default"]
    assert "The service is shop, version 7:" in said.out


def test_problems_stand_at_the_end_and_end_with_1(call, monkeypatch):
    """A value that cannot be used, and a setting that there is not."""
    monkeypatch.setenv("GC_OTEL_RECORDER", "rust\x1b")
    monkeypatch.setenv("GC_OTEL_INTERVALL", "1")
    said = call("config")
    assert said.code == 1
    last = said.out.splitlines()[-2:]
    assert any("GC_OTEL_RECORDER='rust\\x1b' cannot be used: it takes auto, native or python" in line for line in last)
    assert any("GC_OTEL_INTERVALL" in line and "no such setting" in line for line in last)


def test_json_holds_the_same(call, monkeypatch, flight_dir):
    """Settings, folder, service and problems, with raw values."""
    monkeypatch.setenv("GC_OTEL_MEMORY_DETAIL", "perhaps")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    said = call("config", "--json")
    assert said.code == 1
    settings = {each["variable"]: each for each in said.json["settings"]}
    assert (settings["GC_OTEL_ENABLED"]["value"], settings["GC_OTEL_ENABLED"]["source"]) == (False, "OTEL_SDK_DISABLED")
    assert settings["GC_OTEL_DISABLED_METRICS"]["value"] == []
    assert said.json["flight_folder"] == str(flight_dir)
    assert said.json["problems"] == [
        {"variable": "GC_OTEL_MEMORY_DETAIL", "value": "perhaps", "allowed": "it takes true or false"}
    ]


def test_the_folder_that_would_be_taken_is_shown(call, monkeypatch, tmp_path):
    """Without GC_OTEL_DIR the default's path stands there, and nothing where there is none."""
    monkeypatch.delenv("GC_OTEL_DIR")
    monkeypatch.setattr(command, "default_path", lambda _: tmp_path / "flights")
    assert str(tmp_path / "flights") in call("config").out
    assert call("config", "--json").json["flight_folder"] == str(tmp_path / "flights")

    def nowhere(_):
        raise FlightFolderError("there is none")

    monkeypatch.setattr(command, "default_path", nowhere)
    assert "GC_OTEL_DIR               (not set)" in call("config").out

"""instrument() and uninstrument(): what they take, what they leave, and that they never raise."""

from __future__ import annotations

import dataclasses
import gc
import os

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource

from gc_otel.errors import NotSupported
from gc_otel.flight.file import FlightFile
from gc_otel.flight.reader import read_identity
from gc_otel.instrumentor import GcInstrumentor, Options
from gc_otel.probe import probe
from gc_otel.settings import SETTINGS


def files(flight_dir) -> list:
    return sorted(flight_dir.glob("*.flight"))


def callbacks() -> list[str]:
    return [type(callback).__name__ for callback in gc.callbacks]


def identity(flight_dir):
    (path,) = files(flight_dir)
    with FlightFile(path) as file:
        return read_identity(file)


def test_declarative_options_are_the_settings():
    """What a configuration file may say is every setting that concerns library mode, all of them optional."""
    options = {field.name for field in dataclasses.fields(Options)}
    assert options == {setting.name for setting in SETTINGS if setting.declarative}
    assert dataclasses.asdict(Options()) == dict.fromkeys(options)
    assert GcInstrumentor.configuration is Options


def test_it_needs_nothing_installed():
    """What is instrumented is the interpreter: there is no dependency that could conflict."""
    assert tuple(GcInstrumentor().instrumentation_dependencies()) == ()


def test_settings_from_code_reach_the_probe(published, kind):
    """Settings given by name win over the environment's and the defaults; names of others are ignored."""
    published(recorder=kind, sample_interval=7, memory_detail=False, disabled_metrics=["a", "b.*"], skip=1)
    config = probe.current().config
    assert (config.recorder, config.sample_interval, config.memory_detail) == (kind, 7.0, False)
    assert config.disabled_metrics == ("a", "b.*")
    assert config.sources["recorder"] == "code"
    assert config.problems == ()


def test_settings_from_the_environment(published, monkeypatch):
    """Without an argument the environment decides."""
    monkeypatch.setenv("GC_OTEL_SAMPLE_INTERVAL", "11")
    published()
    assert probe.current().config.sample_interval == 11.0


def test_an_unusable_setting_is_told_and_replaced(published, capsys, collect):
    """One line names the setting; its default is used, and the process is recorded."""
    reader = published(recorder="fast")
    gc.collect()
    assert collect(reader).received() > 0
    assert capsys.readouterr().err == (
        "gc_otel: GC_OTEL_RECORDER='fast' cannot be used: it takes auto, native or python. Using the default, auto.\n"
    )


@pytest.mark.parametrize("variable", [("GC_OTEL_ENABLED", "false"), ("OTEL_SDK_DISABLED", "true")])
def test_disabled_by_the_environment(published, flight_dir, monkeypatch, collect, variable, capsys):
    """Nothing is recorded and nothing registered; uninstrument has nothing to do."""
    before = callbacks()
    monkeypatch.setenv(*variable)
    reader = published()
    assert (probe.current(), files(flight_dir), callbacks()) == (None, [], before)
    monkeypatch.delenv(variable[0])
    assert collect(reader).names == set()
    GcInstrumentor().uninstrument()
    assert capsys.readouterr().err == ""


def test_disabled_by_code(published, flight_dir):
    """enabled=False is the same."""
    published(enabled=False)
    assert (probe.current(), files(flight_dir)) == (None, [])


@pytest.mark.parametrize("error", [RuntimeError("no luck"), OSError(28, "No space left"), ValueError("?")])
def test_a_failing_start_never_reaches_the_program(published, monkeypatch, capsys, error, collect):
    """Whatever fails in the probe's start is one line on standard error, and not an exception."""

    def fail(_):
        raise error

    monkeypatch.setattr(probe, "start", fail)
    reader = published()
    assert capsys.readouterr().err == f"gc_otel: this process is not recorded: {type(error).__name__}: {error}\n"
    assert collect(reader).names == set()
    GcInstrumentor().uninstrument()


def test_a_sub_interpreter_is_left_alone(published, monkeypatch, capsys):
    """NotSupported is no fault: nothing is said."""

    def fail(_):
        raise NotSupported("gc_otel records the main interpreter only")

    monkeypatch.setattr(probe, "start", fail)
    published()
    assert capsys.readouterr().err == ""


def test_a_failing_meter_never_reaches_the_program(instrumentor, flight_dir, capsys):
    """A provider that cannot make instruments costs one line; uninstrument ends the recording all the same."""

    class Broken(metrics.NoOpMeterProvider):
        def get_meter(self, *_, **__):
            raise RuntimeError("no meters today")

    instrumentor.instrument(meter_provider=Broken())
    assert "RuntimeError: no meters today" in capsys.readouterr().err
    instrumentor.uninstrument()
    assert (probe.current(), files(flight_dir)) == (None, [])


def test_a_failing_meter_is_not_half_an_instrumentation(instrumentor, flight_dir, capsys):
    """What says that this process is not recorded leaves it not recorded."""

    class Broken(metrics.NoOpMeterProvider):
        def get_meter(self, *_, **__):
            raise RuntimeError("no meters today")

    instrumentor.instrument(meter_provider=Broken())
    assert capsys.readouterr().err.startswith("gc_otel: this process is not recorded")
    assert (probe.current(), files(flight_dir)) == (None, [])


def test_a_provider_without_sdk(instrumentor, flight_dir):
    """With the API's no-op provider the process is recorded all the same."""
    instrumentor.instrument(meter_provider=metrics.NoOpMeterProvider())
    gc.collect()
    assert probe.current() is not None
    assert identity(flight_dir).pid == os.getpid()


def test_the_service_of_the_provider_s_resource(instrumentor, provider_with, flight_dir, monkeypatch):
    """The flight file names the service as the provider does, which knows more than the environment."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "from-environment")
    resource = Resource({"service.name": "shop", "service.version": "1.2.3"})
    instrumentor.instrument(meter_provider=provider_with(InMemoryMetricReader(), resource=resource))
    told = identity(flight_dir)
    assert (told.service_name, told.service_version) == ("shop", "1.2.3")


def test_the_service_of_the_environment(instrumentor, flight_dir, monkeypatch):
    """Where the provider has no resource to look at, the environment's word stands."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "from-environment")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.version=9")
    instrumentor.instrument(meter_provider=metrics.NoOpMeterProvider())
    told = identity(flight_dir)
    assert (told.service_name, told.service_version) == ("from-environment", "9")


def test_the_global_provider_by_default(instrumentor, provider_with, collect, monkeypatch):
    """Without meter_provider it is the global one."""
    reader = InMemoryMetricReader()
    provider = provider_with(reader)
    monkeypatch.setattr("gc_otel.instrumentor.get_meter_provider", lambda: provider)
    instrumentor.instrument()
    gc.collect()
    assert collect(reader).received() > 0


def test_nothing_remains(run_here, kind):
    """Callbacks, threads, descriptors, mappings and the folder are as before, with a reader in use."""
    before, during, after = run_here("remains.py", kind).values()
    assert during["callbacks"] == before["callbacks"] + 1
    assert (during["threads"], len(during["files"])) == (before["threads"] + 1, 1)
    assert during["mapped_files"] > before["mapped_files"]
    assert after == before


@pytest.mark.parametrize("order", ["before", "after"])
def test_instrumented_before_a_provider_is_set(run_here, order):
    """The API forwards to a provider that is set later: all is published there, also after a second round."""
    rounds = run_here("provider_set_later.py", order)
    assert len(rounds) == 3
    for told in rounds:
        assert "cpython.gc.collections" in told["names"]
        assert told["received"] == told["expected"] > 0
    assert [told["received"] for told in rounds] == sorted(told["received"] for told in rounds)


def test_at_exit_the_last_export_has_everything(run_here):
    """The provider's last collect, at shutdown, sees the program's last collections."""
    told = run_here("last_export.py")
    assert told["received"] == told["expected"]
    assert told["explicit"] == told["asked"]

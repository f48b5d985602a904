"""Library mode: record this process and publish on its own MeterProvider."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]
from opentelemetry.metrics import MeterProvider, get_meter_provider

from gc_otel.config import Config
from gc_otel.errors import NotSupported
from gc_otel.otel.instruments import Publisher, publisher_on
from gc_otel.probe import probe
from gc_otel.probe.autoload import start_if_asked
from gc_otel.probe.faults import say
from gc_otel.record import replace
from gc_otel.settings import SETTINGS


@dataclass
class Options:
    """What declarative configuration (OTEL_CONFIG_FILE) may say under ``python: gc_otel:``.

    The settings of :mod:`gc_otel.config`, by name, without those of run mode; what is not given comes from the
    environment.
    """

    dir: str | None = None
    dir_on_disk: bool | None = None
    recorder: str | None = None
    sample_interval: float | None = None
    memory_detail: bool | None = None
    census: bool | None = None
    cycles: bool | None = None
    requests: bool | None = None
    disabled_metrics: list[str] | None = None


class GcInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # opentelemetry-instrumentation ships no types
    """Records every collection of this process and publishes it.

    ``instrument(meter_provider=None, **settings)`` takes the settings of
    :mod:`gc_otel.config` by name; ``uninstrument()`` leaves nothing behind. Both contain
    every fault of ours: a program is never stopped by its telemetry.
    """

    configuration = Options
    _stop_probe: Callable[[], None] | None = None
    _publisher: Publisher | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Nothing: what is instrumented is the interpreter."""
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        try:
            self._start(kwargs)
        except NotSupported:
            pass  # a sub-interpreter: left alone, as documented
        except Exception as error:  # noqa: BLE001 - an exception here would end all other instrumentations
            say(f"gc_otel: this process is not recorded: {type(error).__name__}: {error}")

    def _start(self, kwargs: dict[str, Any]) -> None:
        given = {setting.name: kwargs[setting.name] for setting in SETTINGS if setting.name in kwargs}
        config = Config.from_env(**given)
        provider = kwargs.get("meter_provider") or get_meter_provider()
        config = _with_identity_of(provider, config)
        if not config.enabled or _is_published_by_an_exporter():
            return
        self._publisher = publisher_on(provider, config)
        self._stop_probe = probe.start(config)
        recording = probe.current()
        if recording is not None:
            self._publisher.bind(recording, config)

    def _uninstrument(self, **_: Any) -> None:
        publisher, self._publisher = self._publisher, None
        stop, self._stop_probe = self._stop_probe, None
        if publisher is not None:
            publisher.unbind()
        if stop is not None:
            stop()


def _is_published_by_an_exporter() -> bool:
    """Whether this process is recorded in run mode: one recording, and published once."""
    start_if_asked()  # where no start-up file did it, such as under -S
    recording = probe.current()
    return recording is not None and recording.run_mode


def _with_identity_of(provider: MeterProvider, config: Config) -> Config:
    """The service's name and version as the provider's resource has them.

    The SDK has no public way to a provider's resource; where this one is not
    there, the environment's word stands.
    """
    resource = getattr(getattr(provider, "_sdk_config", None), "resource", None)
    attributes = getattr(resource, "attributes", None) or {}
    name = attributes.get("service.name", config.service_name)
    version = attributes.get("service.version", config.service_version)
    return replace(config, service_name=str(name), service_version=str(version))

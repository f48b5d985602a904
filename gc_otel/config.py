"""The settings of one process, read and checked; what they are says ``settings.py``.

Nothing else in the package reads the environment.  A value that cannot be used
never stops a program: the default is taken and a :class:`Problem` says which variable,
which value and what is allowed.
"""

from __future__ import annotations

import os

from gc_otel.record import Record
from gc_otel.settings import PREFIX, SETTINGS, render

TYPE_CHECKING = False  # as in gc_otel/__init__.py
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

#: Read by setup.py, and perhaps still set in an image's environment.
_BUILD_VARIABLE: Final = "GC_OTEL_PURE"

_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}
_NO_SOURCES: Final[Mapping[str, str]] = {}


class Problem(Record):
    """A value that was given and cannot be used."""

    variable: str
    value: str
    allowed: str
    default: Any

    def __str__(self) -> str:
        return (
            f"gc_otel: {self.variable}={self.value!r} cannot be used: {self.allowed}. "
            f"Using the default, {render(self.default)}."
        )


class Config(Record):
    """The settings of one process, checked.

    ``sources`` tells for each setting where its value came from: ``default``,
    an environment variable's name, or ``code``.
    """

    enabled: bool = True
    autoload: bool = False
    dir: str | None = None
    dir_on_disk: bool = False
    group: str | None = None
    recorder: str = "auto"
    sample_interval: float = 5.0
    memory_detail: bool = True
    census: bool = True
    cycles: bool = True
    requests: bool = True
    disabled_metrics: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 9464
    linger: float = 2.0
    page: bool = True
    page_hosts: tuple[str, ...] = ()
    service_name: str = "unknown_service"
    service_version: str = ""
    sources: Mapping[str, str] = _NO_SOURCES
    problems: tuple[Problem, ...] = ()

    def __eq__(self, other: object) -> bool:
        """Equal where everything is that has an effect; not where it came from."""
        effective = [name for name in Config.__annotations__ if name not in ("sources", "problems")]
        return isinstance(other, Config) and all(getattr(self, name) == getattr(other, name) for name in effective)

    def __hash__(self) -> int:
        return hash((self.service_name, self.service_version))

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None, **given: Any) -> Config:
        """Read the environment; ``given`` values (from code or declarative configuration) win.

        A given value may be of the setting's own type or text, and is checked alike.
        Unknown names, in either place, are problems too.
        """
        env = os.environ if env is None else env
        reading = _Reading()
        for variable, text in env.items():
            if variable.startswith(PREFIX) and variable != _BUILD_VARIABLE and text != "":
                reading.take(variable[len(PREFIX) :].lower(), text, variable)
        for name, value in given.items():
            if value is not None:
                reading.take(name, _as_text(value), "code")
        if _is_true(env.get("OTEL_SDK_DISABLED", "")):
            reading.values["enabled"], reading.sources["enabled"] = False, "OTEL_SDK_DISABLED"
        name, version = _service_identity(env)
        return cls(
            **reading.values,
            service_name=name,
            service_version=version,
            sources=reading.sources,
            problems=tuple(reading.problems),
        )

    def publishes(self, metric: str) -> bool:
        """Whether the metric of that name is wanted."""
        from fnmatch import fnmatchcase  # brings re, which a process that does not publish need not pay for

        return not any(fnmatchcase(metric, pattern) for pattern in self.disabled_metrics)


class _Reading:
    """Values, sources and problems, as settings are taken one by one."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.sources = {setting.name: "default" for setting in SETTINGS}
        self.problems: list[Problem] = []

    def take(self, name: str, text: str, source: str) -> None:
        setting = _BY_NAME.get(name)
        if setting is None:
            known = ", ".join(sorted(each.variable for each in SETTINGS))
            self._refuse(PREFIX + name.upper(), text, f"there is no such setting; there are {known}", None)
            return
        try:
            self.values[name] = setting.parse(text)
            self.sources[name] = source
        except (ValueError, OverflowError):
            self._refuse(setting.variable, text, f"it takes {setting.allowed}", setting.default)

    def _refuse(self, variable: str, text: str, allowed: str, default: object) -> None:
        self.problems.append(Problem(variable, text, allowed, default))


def _as_text(value: object) -> str:
    if isinstance(value, (list, tuple, set, frozenset)):
        return ",".join(str(each) for each in value)
    return str(value)


def _is_true(text: str) -> bool:
    # As OpenTelemetry specifies it: any other word leaves the SDK, and so us, enabled.
    return text.strip().lower() == "true"


def _service_identity(env: Mapping[str, str]) -> tuple[str, str]:
    """Name and version as OpenTelemetry takes them: OTEL_SERVICE_NAME, then OTEL_RESOURCE_ATTRIBUTES (percent-encoded)."""
    attributes: dict[str, str] = {}
    for part in filter(None, env.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")):
        from urllib.parse import unquote  # 10 ms for those who use it

        key, separator, value = part.partition("=")
        if separator:
            attributes[key.strip()] = unquote(value.strip())
    name = env.get("OTEL_SERVICE_NAME") or attributes.get("service.name") or "unknown_service"
    return name, attributes.get("service.version", "")

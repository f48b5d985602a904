"""Every setting, once: environment variable, type, default, help."""

from __future__ import annotations

import math
import os

from gc_otel.record import Record

TYPE_CHECKING = False  # as in gc_otel/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

PREFIX: Final = "GC_OTEL_"

PORT_MOST: Final = 65535

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


class _Unusable(ValueError):
    """A value that a setting cannot take; its text says what is allowed."""


class Setting(Record):
    """One row of the settings table.  ``declarative``: an OTEL_CONFIG_FILE may say it."""

    name: str
    parse: Callable[[str], Any]
    default: Any
    allowed: str
    help: str
    declarative: bool = True

    @property
    def variable(self) -> str:
        """The environment variable, ``GC_OTEL_`` and the name in capitals."""
        return PREFIX + self.name.upper()


def _flag(text: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise _Unusable


def _choice(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        word = text.strip().lower()
        if word not in choices:
            raise _Unusable
        return word

    return parse


def _seconds(least: float, most: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = float(text)
        if not math.isfinite(value) or not least <= value <= most:
            raise _Unusable
        return value

    return parse


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= PORT_MOST:
        raise _Unusable
    return port


def _host(text: str) -> str:
    host = text.strip()
    if not host or not host.isprintable() or " " in host:
        raise _Unusable
    return host


def _folder(text: str) -> str:
    if not os.path.isabs(text) or "\0" in text:
        raise _Unusable
    return text


def _group(text: str) -> str:
    name = text.strip()
    if not name or not name.isprintable() or " " in name or len(name) > 64:
        raise _Unusable
    return name


def _patterns(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


SETTINGS: Final = (
    Setting("enabled", _flag, True, "true or false", "Record at all.", declarative=False),
    Setting(
        "autoload",
        _flag,
        False,
        "true or false",
        "Record every Python program of this environment from its start, for an exporter service; `gc-otel run` sets it.",
        declarative=False,
    ),
    Setting(
        "dir",
        _folder,
        None,
        "an absolute path",
        "Folder of the flight files. Default: /dev/shm/gc_otel-UID, else XDG_RUNTIME_DIR/gc_otel.",
    ),
    Setting(
        "dir_on_disk",
        _flag,
        False,
        "true or false",
        "Accept a folder that is not on tmpfs: a full or slow disk can then stall a collection.",
    ),
    Setting(
        "group",
        _group,
        None,
        "a group's name or number",
        "Let the members of this group read the flight files (docs/sidecar.md); each user has a folder of its own below GC_OTEL_DIR, which must be set.",
        declarative=False,
    ),
    Setting(
        "recorder",
        _choice("auto", "native", "python"),
        "auto",
        "auto, native or python",
        "Which recorder: the C one where it is built (auto), or one of the two.",
    ),
    Setting(
        "sample_interval",
        _seconds(0.1, 3600.0),
        5.0,
        "seconds, 0.1 to 3600",
        "Seconds between two samples of the monitor; the history holds 720 of them.",
    ),
    Setting(
        "memory_detail",
        _flag,
        True,
        "true or false",
        "Sample unique, proportional and swapped memory too (at most 0.05 % of a core).",
    ),
    Setting(
        "census",
        _flag,
        True,
        "true or false",
        "Count the objects of the heap by type now and then (at most 0.1 % of a core).",
    ),
    Setting(
        "cycles",
        _flag,
        True,
        "true or false",
        "Name the garbage cycles in a sample of the young collections (a budget of 0.2 % of the time).",
    ),
    Setting(
        "requests",
        _flag,
        True,
        "true or false",
        "Answer gc-otel census, cycles, why and graph when this user asks them of this process.",
    ),
    Setting(
        "disabled_metrics",
        _patterns,
        (),
        "names or patterns, separated by commas, such as process.*",
        "Metrics that are not published.",
    ),
    Setting(
        "host",
        _host,
        "127.0.0.1",
        "an address or a host's name",
        "Where the exporter service listens. Anybody who reaches it reads the metrics.",
        declarative=False,
    ),
    Setting(
        "port",
        _port,
        9464,
        "a port, 0 to 65535",
        "Port of the exporter service; 0 picks a free one. The program's own exporters have their own settings.",
        declarative=False,
    ),
    Setting(
        "linger",
        _seconds(0.0, 86400.0),
        2.0,
        "seconds, 0 to 86400",
        "How long the exporter service of gc-otel run goes on after the last process has gone.",
        declarative=False,
    ),
    Setting(
        "page",
        _flag,
        True,
        "true or false",
        "Serve the live page and its API beside /metrics; they want a token, which `gc-otel page` prints.",
        declarative=False,
    ),
    Setting(
        "page_hosts",
        _patterns,
        (),
        "names, separated by commas",
        "Names under which browsers reach the live page, beside addresses and localhost: no other is answered.",
        declarative=False,
    ),
)


def render(value: object) -> str:
    """A setting's value as its environment variable would say it."""
    if value is None:
        return "(not set)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(value) or "(none)"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)

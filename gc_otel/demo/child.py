"""The demo's service seen from its parent: start it, notice its end, end it."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, cast, final

import gc_otel
from gc_otel.errors import GcOtelError

_START_PATIENCE_S: Final = 60.0
_END_PATIENCE_S: Final = 5.0

#: These would make a service that is not recorded, or speak of an exporter that it does not have:
#: asking for the demo is asking for a recorded one.
_NOT_FOR_THE_DEMO: Final = (
    "OTEL_SDK_DISABLED",
    "GC_OTEL_ENABLED",
    "GC_OTEL_PAGE",
    "GC_OTEL_REQUESTS",
    "OTEL_METRICS_EXPORTER",
    "OTEL_EXPORTER_PROMETHEUS_PORT",
)
#: Unless the user says something else. Sampled more often than is usual: the demo says something every two seconds.
_FOR_THE_DEMO: Final = {"OTEL_SERVICE_NAME": "gc-otel-demo", "GC_OTEL_SAMPLE_INTERVAL": "0.5"}

#: What `gc-otel run` exits with when it did not start the program, having said why.
_EXIT_REFUSED: Final = 2

#: `python -m` would look for the package in the current folder first, and in a checkout find
#: the sources instead of what is installed.
_PATH = "import sys; sys.path.insert(0, sys.argv.pop(1)); "
_RUN_COMMAND = _PATH + "from gc_otel.cli import main; sys.exit(main())"
_RUN_SERVICE = _PATH + "sys.argv[0] = 'gc-otel-demo'; from gc_otel.demo.service import main; sys.exit(main())"


class DemoError(GcOtelError):
    """The demo's service did not start, or ended by itself."""

    remedy = "Run `gc-otel doctor`: it names what is wrong and what to do."


class NotStarted(DemoError):
    """`gc-otel run` did not start the service, and has said why."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """Where the service is, and where its exporter."""

    metrics_url: str
    app_port: int
    flight_file: Path


@final
class Service:
    """A running service, started by `gc-otel run`; used with ``with``, nothing of it is left, and its exporter goes too.

    A session of its own keeps a terminal's Ctrl-C from it: the parent ends it. Should the
    parent be killed, the pipe that is its standard input closes, and it ends by itself.
    """

    def __init__(self, scenario: str, port: int) -> None:
        root = str(Path(gc_otel.__file__).parent.parent)
        options = ["--port", str(port), "--linger", "0", "--if-busy", "exit", "--quiet"]
        service = [sys.executable, "-c", _RUN_SERVICE, root, "--scenario", scenario]
        command = [sys.executable, "-c", _RUN_COMMAND, root, "run", *options, "--", *service]
        self._flight_file: Path | None = None
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, our module, two checked arguments
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_FOR_THE_DEMO | {name: value for name, value in os.environ.items() if name not in _NOT_FOR_THE_DEMO},
            start_new_session=True,
        )
        self._lifeline = cast("IO[bytes]", self._process.stdin)
        self._announcements = cast("IO[bytes]", self._process.stdout)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def announcements_fd(self) -> int:
        """Readable when it announces itself, and when it has ended."""
        return self._announcements.fileno()

    def wait_announced(self, stop_fd: int) -> Announcement | None:
        """Where it is; None when ``stop_fd`` became readable first, DemoError when it cannot serve."""
        if wait_readable([self.announcements_fd, stop_fd], _START_PATIENCE_S) != self.announcements_fd:
            return None
        line = self._announcements.readline()
        if not line:
            if self._exit_code() == _EXIT_REFUSED:
                raise NotStarted("the demo's service was not started")
            raise DemoError(f"the demo's service ended before it began, {self.end_text()}")
        told: dict[str, Any] = json.loads(line)
        if "error" in told:
            raise DemoError(told["error"])
        self._flight_file = Path(told["flight_file"])
        return Announcement(told["metrics_url"], told["app_port"], self._flight_file)

    def end_text(self) -> str:
        """How it ended, for people; call it when it has."""
        code = self._exit_code()
        if code is None:
            return "its output closed and it still running"
        return f"killed by signal {-code}" if code < 0 else f"exit status {code}"

    def _exit_code(self) -> int | None:
        try:
            return self._process.wait(_END_PATIENCE_S)
        except subprocess.TimeoutExpired:
            return None

    def __enter__(self) -> Service:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ended_by_itself = self._process.poll() is not None
        with contextlib.suppress(BrokenPipeError):
            self._lifeline.close()
        try:
            self._process.wait(_END_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._announcements.close()
        # It takes its file with it, unless it had to be killed. One that died by itself is worth a look.
        if self._flight_file is not None and not ended_by_itself:
            self._flight_file.unlink(missing_ok=True)


def wait_readable(descriptors: list[int], patience_s: float) -> int | None:
    """The first of the descriptors, in their order of preference, that is readable; None when none became so."""
    deadline_s = time.monotonic() + patience_s
    with selectors.DefaultSelector() as selector:
        for descriptor in descriptors:
            selector.register(descriptor, selectors.EVENT_READ)
        ready = {key.fd for key, _ in selector.select(max(0.0, deadline_s - time.monotonic()))}
    return next((descriptor for descriptor in descriptors if descriptor in ready), None)

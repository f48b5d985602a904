"""One exporter for a folder: join the one that is there, else start one beside this process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from gc_otel.config import Config
from gc_otel.errors import GcOtelError, NotSupported
from gc_otel.flight.folder import Folder
from gc_otel.service import control, launch, port

_ATTEMPTS: Final = 5
_STANDARD_DESCRIPTORS: Final = 3


class NoExporter(GcOtelError):
    """None can be had: the port is taken, or the folder's exporter does not answer."""

    remedy = port.PortRefused.remedy


@dataclass(frozen=True, slots=True)
class Exporter:
    """Where it serves; ``note`` says in a few words what the user may not expect, or nothing."""

    address: str
    note: str = ""

    @property
    def host(self) -> str:
        """Its host."""
        return urlsplit(self.address).hostname or ""

    @property
    def port(self) -> int:
        """Its port."""
        return urlsplit(self.address).port or 0


def find_or_start(folder: Folder, config: Config, *, command: str) -> Exporter:
    """The exporter of the folder, which follows this process from now on, through an exec too.

    NoExporter where there is none to be had.
    """
    with _self_to_follow(command) as follow:
        # As long as others start and end exporters at this moment: each attempt waits for them in join().
        for _ in range(_ATTEMPTS):
            joined = control.join(folder, pidfd=follow.pidfd, stderr_fd=follow.stderr_fd, command=command)
            if joined is not None:
                return _joined(joined, config)
            claim = _claim(folder)
            if claim is not None:
                return _start(claim, config, follow)
    raise NoExporter(
        f"the exporter of {folder.path} does not answer", remedy="`gc-otel doctor` tells of it. Or use another --dir."
    )


@contextlib.contextmanager
def _self_to_follow(command: str) -> Iterator[control.Followed]:
    """This process, by descriptors that no exec passes on and that are none of 0, 1 and 2."""
    _occupy_standard_descriptors()
    try:
        pidfd = os.pidfd_open(os.getpid())
    except OSError as error:
        raise NoExporter(
            f"this kernel refuses pidfd_open(): {error.strerror}", remedy="Use library mode, or Linux 5.3 or later."
        ) from error
    stderr_fd = _copy_of_stderr()
    try:
        yield control.Followed(pidfd, stderr_fd, os.getpid(), command)
    finally:
        for descriptor in (pidfd, stderr_fd):
            if descriptor is not None:
                os.close(descriptor)


def _occupy_standard_descriptors() -> None:
    """Where 0, 1 or 2 is closed, the next file opened would be taken for it; a program that wants them closed gets that."""
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        if descriptor >= _STANDARD_DESCRIPTORS:
            os.close(descriptor)
            return


def _copy_of_stderr() -> int | None:
    if sys.stderr is None:
        return None
    try:
        return fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, _STANDARD_DESCRIPTORS)
    except OSError:
        return None


def _joined(joined: control.Joined, config: Config) -> Exporter:
    note = "joined the exporter of this folder"
    if config.port not in (0, Exporter(joined.address).port):
        note = f"joined the exporter of this folder, which serves there and not on port {config.port}"
    return Exporter(joined.address, note)


def _claim(folder: Folder) -> control.Claim | None:
    try:
        claim = control.Claim.take(folder)
    except OSError as error:
        raise NoExporter(f"{folder.path}: {error.strerror}", remedy="`gc-otel doctor` looks at the folder.") from error
    other = None if claim is None else control.claimed_elsewhere(folder)
    if claim is not None and other is not None:
        claim.release()
        raise NoExporter(
            f"the group has another user's exporter, in {other}",
            remedy="It has this program on its page too: start it with --if-busy=run, or with GC_OTEL_AUTOLOAD=true alone.",
        )
    return claim


def _start(claim: control.Claim, config: Config, follow: control.Followed) -> Exporter:
    try:
        listening, note = _listen(config)
    except port.PortRefused as error:
        claim.release()
        raise NoExporter(str(error), remedy=error.remedy) from error
    exporter = Exporter(port.address_of(listening), note)
    keep = [listening.fileno(), follow.pidfd, *claim.fds]
    if follow.stderr_fd is not None:
        keep.append(follow.stderr_fd)
    try:
        launch.start_beside(lambda: _serve(listening, claim, config, follow), keep=keep)
    except (NotSupported, OSError) as error:
        claim.release()
        raise NoExporter(f"no exporter can be started: {error}", remedy="Use library mode.") from error
    finally:
        listening.close()
        claim.close()
    return exporter


def _serve(listening: socket.socket, claim: control.Claim, config: Config, follow: control.Followed) -> None:
    # Here, in the exporter: the launcher must stay small. What is heavy comes first, while there is still somebody to
    # hear that a library is missing: later this process has no standard error.
    try:
        from gc_otel.otel.otlp import lines_of, push_or_why_not
        from gc_otel.otel.prometheus import check_exporter_version
        from gc_otel.service import http, metrics, sampling  # noqa: F401
        from gc_otel.service.exporter import serve

        check_exporter_version()
        push = push_or_why_not(os.environ)
    except Exception as error:  # noqa: BLE001 - whatever it is, the user is to know
        _say(
            follow,
            f"gc_otel: there is no exporter, and the program goes on: {type(error).__name__}: {error}. Run `gc-otel doctor`.",
        )
        return
    for line in lines_of(push):
        _say(follow, f"gc_otel: {line}")
    serve(listening, claim.folder, config, claim=claim, follow=[follow], linger_s=config.linger, push=push)


def _say(follow: control.Followed, line: str) -> None:
    if follow.stderr_fd is not None:
        with contextlib.suppress(OSError):
            os.write(follow.stderr_fd, line.encode("utf-8", "replace") + b"\n")


def _listen(config: Config) -> tuple[socket.socket, str]:
    """The socket, and a note where it is not the one that was wanted."""
    theirs = port.port_of_the_app(os.environ)
    if config.port == 0 or config.port != theirs:
        return port.listen(config.host, config.port), ""
    if config.sources["port"] == "default":
        return port.listen_above(config.host, theirs), f"{theirs} is the port of the program's own exporter"
    return port.listen(config.host, config.port), "the program's own exporter is set to the same port: give it another"

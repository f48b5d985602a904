"""What the commands share that ask a process: which one, how long, and showing that it lasts."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from gc_otel.cli.output import printable
from gc_otel.service import asking, fleet
from gc_otel.service.asking import Progress

#: What answers sooner is not worth a line.
_SHOWN_AFTER_S: Final = 1.0
_SECONDS_MOST: Final = 86400.0


def add_process(parser: argparse.ArgumentParser) -> None:
    """PID, and the options that say where and how long to ask."""
    parser.add_argument(
        "process", metavar="PID", help="a recorded process, as gc-otel ps lists it; or the path of its flight file"
    )
    parser.add_argument("--dir", metavar="DIR", help="look for its flight file in this folder; default: GC_OTEL_DIR")
    parser.add_argument(
        "--patience",
        metavar="N",
        type=seconds,
        default=asking.PATIENCE_S,
        help=f"give up after N seconds ({asking.PATIENCE_S:g})",
    )


def seconds(text: str) -> float:
    """An argument in seconds."""
    value = float(text)
    if not math.isfinite(value) or not 0 < value <= _SECONDS_MOST:
        raise argparse.ArgumentTypeError(f"it takes seconds, up to {_SECONDS_MOST:,.0f}")
    return value


def positive(text: str) -> int:
    """An argument that counts."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("it takes a whole number from 1 on")
    return value


def ask(arguments: argparse.Namespace, verb: str, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The answer, with what takes longer than a second shown on a terminal; a RequestError where there is none."""
    folder = None if arguments.dir is None else fleet.given_folder(arguments.dir)
    with progress_line() as line:
        return asking.ask(
            arguments.process, verb, given, patience_s=arguments.patience, on_progress=line.show, folder=folder
        )


class ProgressLine:
    """One line on standard error that is overwritten, where that is a terminal."""

    def __init__(self) -> None:
        self._shown = ""
        self._on = sys.stderr is not None and sys.stderr.isatty()

    def show(self, progress: Progress) -> None:
        """How far an answer is."""
        if progress.elapsed_s < _SHOWN_AFTER_S:
            return
        text = "waiting for the process" if progress.phase == "waiting" else progress.phase
        if progress.done is not None:
            text += f" {progress.done:,}"
            text += f" of {progress.total:,}" if progress.total else ""
        self.write(f"{text}, {progress.elapsed_s:.0f} s")

    def write(self, text: str) -> None:
        """Put that text there."""
        if self._on and text != self._shown:
            sys.stderr.write("\r" + printable(text).ljust(len(self._shown)))
            sys.stderr.flush()
            self._shown = text

    def clear(self) -> None:
        """Leave nothing."""
        if self._shown:
            sys.stderr.write("\r" + " " * len(self._shown) + "\r")
            sys.stderr.flush()
            self._shown = ""


@contextmanager
def progress_line() -> Iterator[ProgressLine]:
    """A line that is gone afterwards."""
    line = ProgressLine()
    try:
        yield line
    finally:
        line.clear()


def wait(wait_s: float) -> None:
    """Let that time pass, and show it."""
    until_s = time.monotonic() + wait_s
    with progress_line() as line:
        while (left_s := until_s - time.monotonic()) > 0:
            line.write(f"the second look in {math.ceil(left_s)} s")
            time.sleep(min(left_s, 0.5))

"""The exporter service of the flight folder, if there is one."""

from __future__ import annotations

import time
from collections.abc import Iterator

from gc_otel._version import __version__
from gc_otel.cli.checks import Check, ok, warn
from gc_otel.cli.output import count_text, exporter_text, time_text
from gc_otel.errors import NotSupported
from gc_otel.flight.folder import Folder
from gc_otel.service.control import is_claimed
from gc_otel.service.status import PushStatus, Status, ask_status

_GROUP = "exporter service"


def check_exporter(folder: Folder) -> Iterator[Check]:
    """Whether one serves this folder, where, and what it met."""
    yield from _fitness()
    status = ask_status(folder)
    if status is not None:
        yield from _found(status)
    elif is_claimed(folder):
        yield warn(
            _GROUP,
            "one has this folder, and does not answer",
            "It may be starting or ending: run this again. If it stays so, end it: fuser exporter.lock, in the folder, names it.",
        )
    else:
        yield ok(_GROUP, "none serves this folder: gc-otel run and gc-otel exporter start one, library mode needs none")


def _push(push: PushStatus) -> Check:
    if not push.endpoint:
        return warn(_GROUP, push.reason, push.remedy)
    counts = f"{count_text(push.taken)} pushes taken, {count_text(push.refused)} refused"
    if push.reason:
        since = f", the last taken {_ago(push.taken_unix_ns)}" if push.taken_unix_ns else ""
        return warn(_GROUP, f"pushing by OTLP fails ({counts}{since}): {push.reason}", push.remedy)
    last = f", the last {_ago(push.taken_unix_ns)}" if push.taken_unix_ns else ""
    return ok(
        _GROUP, f"pushes by OTLP ({push.preference}) every {push.interval_s:g} s: {push.endpoint}, {counts}{last}"
    )


def _ago(unix_ns: int) -> str:
    return f"{time_text(max(0, time.time_ns() - unix_ns))} ago"


def _fitness() -> Iterator[Check]:
    from gc_otel.otel.prometheus import check_exporter_version

    try:
        check_exporter_version()
    except NotSupported as error:
        yield warn(_GROUP, str(error), error.remedy)


def _found(status: Status) -> Iterator[Check]:
    skipped = f", skips {count_text(status.skipped_files)} files" if status.skipped_files else ""
    follows = f"follows {count_text(status.processes)} processes{skipped}"
    yield ok(_GROUP, f"{status.address}/metrics, {exporter_text(status)}, {follows}")
    if status.version != __version__:
        yield warn(
            _GROUP,
            f"it is of version {status.version}, and this is {__version__}",
            "It is replaced when the programs that it follows have ended.",
        )
    if status.push is not None:
        yield _push(status.push)
    for fault in status.faults:
        yield warn(
            _GROUP,
            f"contained {fault.count} times: {fault.text}" if fault.count > 1 else f"contained once: {fault.text}",
            "No program was disturbed and the rest goes on. A fault of gc_otel's own is worth a bug report.",
        )
    if status.skipped_requests:
        yield warn(
            _GROUP,
            f"{count_text(status.skipped_requests)} requests on its socket were none of gc_otel's",
            "Nothing but gc-otel has to do with exporter.sock: find out who else writes to it.",
        )

"""The exporter service's process: serve /metrics as long as there is something to watch.

Started by a launcher as a forked image of it, never exec'd, or by ``gc-otel exporter``.
What is heavy (opentelemetry, psutil, waitress) is imported by :func:`serve`, after the fork.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from gc_otel.config import Config
from gc_otel.flight.folder import Folder
from gc_otel.service.control import Claim, Followed


def serve(
    listening: socket.socket,
    folder: Folder,
    config: Config,
    *,
    claim: Claim,
    follow: Sequence[Followed] = (),
    linger_s: float | None = 2.0,
) -> int:
    """Serve until every followed launcher and every recorded process of the folder has gone, and ``linger_s`` more.

    ``linger_s`` None: for ever.  SIGTERM: until the last recorded process has gone; a second one, or SIGINT:
    no longer.  ``listening`` listens already; it, the claim and what is in ``follow`` are closed at the end.
    To be called by the main thread of a process that has nothing else to do.  Returns an exit code.
    """
    raise NotImplementedError

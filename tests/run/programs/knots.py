"""A service that leaves a reference cycle behind at each request, and never collects."""

from __future__ import annotations

import gc
import os
from typing import Any

gc.disable()


class Knot:
    """Holds itself."""

    def __init__(self) -> None:
        self.itself = self


class Session:
    """Held by ``SESSIONS``."""


SESSIONS: dict[int, Session] = {}


def wsgi(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
    Knot()
    SESSIONS[len(SESSIONS)] = Session()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Connection", "close")])
    return [str(os.getpid()).encode()]

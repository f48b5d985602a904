"""A small real service to look at: ``gc-otel demo`` starts it, gives it traffic and reads its flight file."""

from __future__ import annotations

from typing import Final

#: Where the demo serves: this machine only.
HOST: Final = "127.0.0.1"

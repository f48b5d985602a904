"""Services whose every answer says what the collector of the answering process has counted, and then holds it still.

The collector stays off until the process is asked again, so that nothing is collected between the answer and the page
that is compared with it.  ``inherited``: what a forked process had counted before it began, from hooks of this module's own:
just before the fork in its parent, and just after it; between the two a hook of somebody else's may collect.
"""

from __future__ import annotations

import gc
import json
import os
from typing import Any

INHERITED = [[0, 0, 0], [0, 0, 0]]


def counts() -> list[int]:
    return [each["collections"] for each in gc.get_stats()]


def _note(which: int) -> None:
    INHERITED[which][:] = counts()


os.register_at_fork(before=lambda: _note(0), after_in_child=lambda: _note(1))


def tell() -> dict[str, Any]:
    """Collect garbage in every generation, and stop."""
    gc.enable()
    for number in range(3000):  # automatic collections too
        cycle: list[Any] = [number]
        cycle.append(cycle)
    for generation in range(3):
        gc.collect(generation)
    gc.disable()
    return {"pid": os.getpid(), "parent": os.getppid(), "counts": counts(), "inherited": INHERITED}


def wsgi(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "application/json"), ("Connection", "close")])
    return [json.dumps(tell()).encode()]


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(tell()).encode()})

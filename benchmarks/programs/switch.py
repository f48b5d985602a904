"""What stands in gc.callbacks, as each request of a service says."""

from __future__ import annotations

import gc
import operator
from typing import Any, Final

_taken_out: Final[list[Any]] = []  # the recorder, once it was found in gc.callbacks


def put(word: str) -> None:
    """Into gc.callbacks with the recorder, with an empty C function in its place, or out with both; all else goes on.

    It takes a microsecond, where to begin and to end recording would have the service sample its memory each time.
    """
    if not _taken_out:
        _taken_out.extend(
            each for each in gc.callbacks if "gc_otel" in type(getattr(each, "__self__", each)).__module__
        )
    others = [each for each in gc.callbacks if each not in _taken_out and each is not operator.is_]
    gc.callbacks[:] = others + {"on": _taken_out, "empty": [operator.is_], "off": []}[word]


class Switched:
    """Before Flask: every request says what shall stand in gc.callbacks."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped
        self._word = ""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        word = environ.get("HTTP_X_CALLBACK", self._word)
        if word != self._word:
            put(word)
            self._word = word
        return self._wrapped(environ, start_response)

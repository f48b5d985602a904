"""Microseconds of a request of service_app.py in this process, without a network: ``handler_cost.py GROUPS TURNS``.

What stands in gc.callbacks changes every ten requests, in an order that is drawn anew each time.  The bounds of a service are
so left out: no kernel, no other process, and no wait hides what a collection costs, or adds to it.
"""

from __future__ import annotations

import gc
import json
import os
import random
import sys
import time

from werkzeug.test import EnvironBuilder

from benchmarks.blocks import KEPT_SHARE, TURN_REQUESTS, WORDS, quantile_of
from benchmarks.wrk import Side

os.environ["BENCHMARK_GC_OTEL"] = "1"


def main() -> None:
    """Means of each group, by what stood in gc.callbacks; the longest request of a hundred is left out."""
    from benchmarks.programs.service_app import app

    groups, turns = map(int, sys.argv[1:])
    rng = random.Random(1)
    found: dict[str, list[float]] = {word: [] for word in WORDS}

    def request(word: str) -> int:
        environ = EnvironBuilder("/cycles", headers={"X-Callback": word}).get_environ()
        began_ns = time.perf_counter_ns()
        for _ in app(environ, lambda *_: None):
            pass
        return time.perf_counter_ns() - began_ns

    for _ in range(TURN_REQUESTS * turns):
        request("on")
    collections = sum(each["collections"] for each in gc.get_stats())
    for _ in range(groups):
        sides = {word: Side() for word in WORDS}
        for _ in range(turns):
            for word in rng.sample(WORDS, len(WORDS)):
                sides[word].latencies_ns += [request(word) for _ in range(TURN_REQUESTS)]
        most_ns = quantile_of([each for side in sides.values() for each in side.latencies_ns], KEPT_SHARE)
        for word, side in sides.items():
            found[word].append(side.mean_ns(most_ns=most_ns) / 1e3)
    collections = sum(each["collections"] for each in gc.get_stats()) - collections
    print(json.dumps({"us": found, "collections": collections / (groups * turns * len(WORDS) * TURN_REQUESTS)}))
    sys.stdout.flush()


if __name__ == "__main__":
    main()

"""Whether a gc callback that calls ``Histogram.record()`` hangs the program: ``otel_record_hangs.py SECONDS``.

The program allocates, and records into the histogram that the callback records into, with
attributes that are new each time, at the default thresholds.  The SDK allocates under its lock when it
meets new attributes, of which it keeps 2000: then the next histogram is used.
A watchdog outside of the interpreter's locks ends it.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import sys
import time
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader


def main() -> None:
    """Print progress lines; the one who reads them sees where they end."""
    seconds = float(sys.argv[1])
    meter = MeterProvider([InMemoryMetricReader()]).get_meter("naive")
    histogram = meter.create_histogram("work")

    def naive(phase: str, info: dict[str, Any]) -> None:
        if phase == "stop":
            histogram.record(1, {"generation": info["generation"]})

    with open(os.devnull, "w") as nowhere:  # the dump is not wanted, its exit is
        faulthandler.dump_traceback_later(seconds + 2, exit=True, file=nowhere)
        gc.callbacks.append(naive)
        deadline_s = time.monotonic() + seconds
        kept = []
        number = 0
        while time.monotonic() < deadline_s:
            number += 1
            histogram.record(number, {"request": number})
            kept.append([number])
            if number % 2000 == 0:
                histogram = meter.create_histogram(f"work{number}")
            if number % 100 == 0:
                print(json.dumps(number), flush=True)
        faulthandler.cancel_dump_traceback_later()
    print(json.dumps("survived"), flush=True)


if __name__ == "__main__":
    main()

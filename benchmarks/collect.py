"""What one collect costs: ``get_metrics_data()``, and the rendered Prometheus page.

Two providers with the same few instruments live in one process, one of them with us, and are collected
in turn.  CPU time of the collecting thread is counted, so other work on the machine is not.  What
happened since the last collect is told by the number of collections in between: the
histogram is fed from the events at the collect, and never from the gc callback.
"""

from __future__ import annotations

from statistics import median
from typing import Final

from benchmarks.process import is_there, run_program
from benchmarks.result import Result, row_of, skipped

NAME: Final = "collect"
TITLE: Final = "CPU time of one collect, with the SDK's own share"


def run(*, quick: bool) -> Result:
    """Measure after 0 to 10 000 collections."""
    if not is_there("opentelemetry.sdk") or not is_there("prometheus_client"):
        return skipped(NAME, TITLE, "needs opentelemetry-sdk and opentelemetry-exporter-prometheus")
    answer = run_program("collect_cost.py", 3 if quick else 30)
    rows = [row_of("without gc_otel", answer["bare"], "us")]
    rows += [
        row_of(f"with gc_otel, {int(count):,} collections since the last", samples, "us")
        for count, samples in answer["ours"].items()
    ]
    pages, size = answer["pages"], answer["size"]
    rows.append(row_of(f"Prometheus page without gc_otel ({size['bare']:,} bytes)", pages["bare"], "us"))
    rows.append(
        row_of(
            f"Prometheus page with gc_otel ({size['ours']:,} bytes)",
            pages["ours"],
            "us",
            ratio=median(pages["ours"]) / median(pages["bare"]),
        )
    )
    return Result(NAME, TITLE, tuple(rows))

"""Ten thousand processes that live for a moment: what they leave of the exporter's memory, its page and its folder, and what each costs.

The exporter is the command, scraped as Prometheus does it while they come and go.  Their flight files are written as such a
process leaves them at its exit; no process is started, which would take longer than all that is measured.
"""

from __future__ import annotations

from typing import Final

from benchmarks.process import run_program
from benchmarks.result import MET, MISSED, Result, Row, row_of

NAME: Final = "brief"
TITLE: Final = "Processes that live for a moment"
PROCESSES: Final = 10_000
QUICK_PROCESSES: Final = 400
#: From the first fifth to the end.
GROWTH_MOST_MIB: Final = 4.0
MIB: Final = 2**20


def run(*, quick: bool) -> Result:
    """Measure."""
    processes = QUICK_PROCESSES if quick else PROCESSES
    told = run_program("brief_cost.py", processes)
    grown_mib = (told["uss_bytes"][-1] - told["uss_bytes"][0]) / MIB
    is_exact = told["counted"] == told["expected"] and told["ended"] == processes
    return Result(
        NAME,
        TITLE,
        (
            Row(
                f"{processes} processes: growth of the exporter (USS), from the first fifth on",
                grown_mib,
                "MiB",
                target=f"<= {GROWTH_MOST_MIB:g} MiB",
                verdict=MET if grown_mib <= GROWTH_MOST_MIB else MISSED,
            ),
            row_of("series on a page", told["series"], ""),
            Row("kept in the flight folder at the end", told["folder_bytes"] / MIB, "MiB"),
            row_of("CPU time of the exporter for each, its share of the pages included", told["cpu_ms"], "ms"),
            Row(
                "collections that the totals have of those that took place",
                told["counted"] / told["expected"] * 100,
                "%",
                target="100 %",
                verdict=MET if is_exact else MISSED,
            ),
        ),
    )

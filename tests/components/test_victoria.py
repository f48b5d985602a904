"""A real OTLP receiver: VictoriaMetrics."""

from __future__ import annotations

import json
import signal
import sys


def test_otlp_into_victoria_metrics(tool, serve, program, free_port, poll, page, by_generation, tmp_path):
    """Pushed by OTLP/HTTP it has the same numbers as CPython, under the names that Prometheus would show."""
    port = free_port()
    serve(
        tool("victoria-metrics"),
        f"-storageDataPath={tmp_path}/data",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-opentelemetry.usePrometheusNaming",
        "-search.latencyOffset=0s",
        "-inmemoryDataFlushInterval=1s",
    )
    api = f"http://127.0.0.1:{port}"
    poll(lambda: page(f"{api}/health"), lambda text: text == "OK")
    told = program("recorded.py", "push", f"{api}/opentelemetry/v1/metrics")["collections"]
    for name in ("cpython_gc_collections_total", "cpython_gc_duration_seconds_count"):
        poll(lambda name=name: by_generation(api, f'{name}{{service_name="shop"}}'), told.__eq__)
    assert min(told.values()) > 0


SCRAPE = """
scrape_configs:
  - job_name: fleet
    scrape_interval: 1s
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""

#: The same questions, of series that were scraped (with a job) and of those that were pushed (without one).
QUERIES = (
    "sum by (process_pid, service_name, cpython_gc_generation) (cpython_gc_collections_total{{{job}}})",
    "sum by (process_pid, le) (cpython_gc_duration_seconds_bucket{{{job}}})",
    "histogram_quantile(0.99, sum by (le) (cpython_gc_duration_seconds_bucket{{{job}}}))",
    "sum by (process_pid) (cpython_gc_duration_seconds_sum{{{job}}})",
    "sum by (process_pid) (process_memory_limit_bytes{{{job}}})",
    "count by (cpython_gc_generation) (cpython_gc_threshold{{{job}}})",
)


def plain(label):
    """A bucket's bound may be spelled 5e-05 or 0.00005."""
    name, value = label
    return (name, str(float(value))) if name == "le" else (name, value)


def test_scraped_and_pushed_are_the_same(tool, serve, program, program_env, free_port, poll, page, tmp_path):
    """The exporter service before a real server that both scrapes it and is pushed to: one query, the same numbers."""
    port, exporter_port = free_port(), free_port()
    (tmp_path / "scrape.yml").write_text(SCRAPE.format(port=exporter_port))
    serve(
        tool("victoria-metrics"),
        f"-storageDataPath={tmp_path}/data",
        f"-httpListenAddr=127.0.0.1:{port}",
        f"-promscrape.config={tmp_path}/scrape.yml",
        "-opentelemetry.usePrometheusNaming",
        "-search.latencyOffset=0s",
        "-inmemoryDataFlushInterval=1s",
    )
    api = f"http://127.0.0.1:{port}"
    poll(lambda: page(f"{api}/health"), lambda text: text == "OK")
    told = [program("watched.py") for _ in range(2)]
    env = {
        **program_env,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{api}/opentelemetry",
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
    }
    exporter = serve(sys.executable, "-m", "gc_otel.cli", "exporter", "--port", str(exporter_port), env=env)

    def answers(query, job):
        text = page(f"{api}/api/v1/query", query=query.format(job=f'job="{job}"'), nocache="1")
        found = json.loads(text)["data"]["result"]
        return {tuple(sorted(map(plain, each["metric"].items()))): float(each["value"][1]) for each in found}

    collections = poll(lambda: answers(QUERIES[0], "fleet"), lambda found: len(found) == 3 * len(told))
    assert sum(collections.values()) == sum(sum(each["collections"].values()) for each in told)
    for query in QUERIES:
        poll(
            lambda query=query: (answers(query, "fleet"), answers(query, "")),
            lambda both: both[0] and both[0] == both[1],
        )
    exporter.send_signal(signal.SIGINT)
    assert exporter.wait(30) == 0

"""A real Prometheus, and its own opinion of our page."""

from __future__ import annotations

import subprocess

CONFIGURATION = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - job_name: shop
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


#: Names of the semantic conventions that promtool would have otherwise: theirs is the word.
CONVENTIONS = """\
process_thread_count non-histogram and non-summary metrics should not have "_count" suffix
process_unix_file_descriptor_count non-histogram and non-summary metrics should not have "_count" suffix
"""


def test_promtool_finds_no_fault(tool, program, free_port, page, poll):
    """`promtool check metrics` has nothing to say about a process's whole page, but for two conventional names."""
    promtool, port = tool("promtool"), free_port()
    program("recorded.py", "scrape", port)
    text = poll(lambda: page(f"http://127.0.0.1:{port}/metrics"), lambda text: "process_memory_uss_bytes" in text)
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout, done.stderr) == ("", CONVENTIONS)
    others = "\n".join(
        line for line in text.splitlines() if "process_thread_count" not in line and "descriptor_count" not in line
    )
    done = subprocess.run(
        [promtool, "check", "metrics"], input=others + "\n", capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_a_real_prometheus_has_every_collection(tool, program, serve, free_port, poll, by_generation, tmp_path):
    """Scraped every 200 ms, its counters and its histogram's counts are what CPython itself has counted."""
    prometheus, port, api_port = tool("prometheus"), free_port(), free_port()
    told = program("recorded.py", "scrape", port)["collections"]
    (tmp_path / "prometheus.yml").write_text(CONFIGURATION.format(port=port))
    serve(
        prometheus,
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{api_port}",
    )
    api = f"http://127.0.0.1:{api_port}"
    counted = poll(lambda: by_generation(api, 'cpython_gc_collections_total{job="shop"}'), bool)
    assert counted == told
    assert by_generation(api, 'cpython_gc_duration_seconds_count{job="shop"}') == told
    assert by_generation(api, 'cpython_gc_duration_seconds_bucket{job="shop",le="+Inf"}') == told
    assert min(told.values()) > 0

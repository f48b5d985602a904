"""The configuration snippets of deploy/, each run as it stands; the files of systemd and Docker, as far as they can be read."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
JOBS = ROOT / "tests" / "run" / "programs"
IN_CI = os.environ.get("CI", "") not in ("", "0", "false")

pytestmark = pytest.mark.skipif(not DEPLOY.is_dir(), reason="deploy/ stands in the checkout, not in a wheel")


def test_gunicorn(serve, program_env, free_port, poll, page, need_module):
    """Under `gc-otel run`: the arbiter and four workers on one page, and pages that they share."""
    need_module("gunicorn")
    need_module("flask")
    metrics, port = free_port(), free_port()
    server = serve(
        *(sys.executable, "-m", "gc_otel.cli", "run", "--port", str(metrics), "--linger", "0", "--"),
        *(sys.executable, "-m", "gunicorn", "--config", str(DEPLOY / "gunicorn" / "gunicorn.conf.py")),
        *("--bind", f"127.0.0.1:{port}", "--chdir", str(ROOT / "examples"), "app:app"),
        env={**program_env, "GC_OTEL_SAMPLE_INTERVAL": "0.2"},
    )

    def memory(name):
        text = page(f"http://127.0.0.1:{metrics}/metrics")
        found = re.findall(rf'^{name}{{.*process_pid="(\d+)".*}} (\S+)', text, re.MULTILINE)
        return {pid: float(value) for pid, value in found}

    shared = poll(lambda: memory("process_memory_pss_bytes"), lambda found: len(found) == 5)
    resident = memory("process_memory_usage_bytes")
    assert set(shared) == set(resident)
    assert sum(shared.values()) < 0.8 * sum(resident.values())
    assert "cycles" in page(f"http://127.0.0.1:{port}/")
    server.send_signal(signal.SIGTERM)
    assert server.wait(timeout=30) == 0


def test_celery(serve, program_env, receiver, need_module, flight_dir, tmp_path):
    """Each process of the pool publishes itself, and its last numbers when it is replaced."""
    need_module("celery")
    application = (JOBS / "jobs.py").read_text()
    (tmp_path / "jobs.py").write_text(application + "\nimport recorded\n")
    shutil.copy(DEPLOY / "celery" / "recorded.py", tmp_path)
    env = {
        **program_env,
        "JOBS_FOLDER": str(tmp_path),
        "PYTHONPATH": os.pathsep.join((str(tmp_path), program_env["PYTHONPATH"])),
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_METRIC_EXPORT_INTERVAL": "200",
        "OTEL_SERVICE_NAME": "jobs",
    }
    worker = serve(
        *(sys.executable, "-m", "celery", "-A", "jobs", "worker", "--concurrency", "2", "--loglevel", "error"), env=env
    )

    def pids(sent):
        return {each.resource["process.pid"] for each in sent if each.received()}

    told = receiver.wait_for(lambda sent: len(pids(sent)) == 2)
    assert worker.pid not in pids(told)
    assert {each.resource["service.name"] for each in told} == {"jobs"}
    assert len({each.resource["service.instance.id"] for each in told}) == 2
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 0


def test_systemd_finds_no_fault(tmp_path):
    """systemd-analyze, with programs that exist in the place of yours."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        assert not IN_CI, "CI needs systemd-analyze"
        pytest.skip("systemd-analyze is not installed")
    for path in (DEPLOY / "systemd").glob("*.service"):
        (tmp_path / path.name).write_text(re.sub(r"/opt/shop/bin/[\w-]+", "/bin/true", path.read_text()))
    command = [analyze, "verify", "--man=no", *sorted(tmp_path.glob("*.service"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_units_meet():
    """One user and one folder; the service adds the two lines that the README promises."""
    exporter, service = (
        (DEPLOY / "systemd" / name).read_text() for name in ("gc-otel-exporter.service", "shop.service")
    )
    for line in ("User=shop", "Environment=GC_OTEL_DIR=/run/gc_otel"):
        assert f"\n{line}\n" in exporter
        assert f"\n{line}\n" in service
    assert "\nEnvironment=GC_OTEL_AUTOLOAD=true\n" in service
    assert "\nRuntimeDirectory=gc_otel\n" in exporter


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("Dockerfile*")), ids=lambda path: str(path.relative_to(DEPLOY)))
def test_dockerfiles_pin_and_copy_what_is_there(path):
    """No engine runs here: every image has a version, every COPY from the tree a source, every RUN its tool's quiet form."""
    if path.name.endswith(".dockerignore"):
        kept = [line[1:] for line in path.read_text().splitlines() if line.startswith("!")]
        assert all((ROOT / each).exists() for each in kept)
        return
    text = re.sub(r"\\\n\s*", "", path.read_text())
    stages = set(re.findall(r"^FROM .* AS ([\w-]+)$", text, re.MULTILINE))
    images = [each for each in re.findall(r"^FROM (\S+)", text, re.MULTILINE) if each not in stages]
    for image in images:
        known = "${PYTHON_IMAGE}" in image or "distroless" in image or re.search(r":\d+\.\d+(\.\d+)?", image)
        assert known, image
    for source in re.findall(r"^COPY (deploy/\S+)", text, re.MULTILINE):
        assert list(ROOT.glob(source)), source
    assert all("--no-cache-dir" in line for line in text.splitlines() if "pip " in line and line.startswith("RUN"))


def test_two_lines_record_an_image():
    """What the first example adds to the image that was there."""
    added = (DEPLOY / "docker" / "Dockerfile").read_text().splitlines()
    assert "RUN pip install --no-cache-dir gc_otel" in added
    assert "ENV GC_OTEL_AUTOLOAD=true" in added

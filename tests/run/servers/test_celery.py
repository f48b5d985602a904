"""celery's prefork pool at real tasks, each child replaced after a few."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.component, pytest.mark.once]

TASKS = 8
ASK = f"""
import json, still_jobs
waiting = [still_jobs.tell.delay() for _ in range({TASKS})]
print(json.dumps([each.get(timeout=60) for each in waiting]))
"""


def test_children_of_a_pool_are_replaced(
    run, in_programs, need, address_of_the_folder, scraper, eventually, plain_env, tmp_path
):
    """Two children at a time, two tasks each: every one that worked was on the page with what it told."""
    need("celery")
    env = {**in_programs, "JOBS_FOLDER": str(tmp_path)}
    options = ("--pool", "prefork", "--concurrency", "2", "--max-tasks-per-child", "2", "--loglevel", "error")
    started = run(
        *(sys.executable, "-m", "celery", "-A", "still_jobs", "worker", *options), env=env, stdout=None, stderr=None
    )
    seen = scraper(address_of_the_folder())
    done = subprocess.run(
        [sys.executable, "-c", ASK], env={**os.environ, **env}, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    last = {each["pid"]: each for each in json.loads(done.stdout)}
    assert len(last) >= TASKS // 2
    replaced = list(last)[:2]
    eventually(lambda: not seen.look().keys() & set(replaced), "children that have ended are on the page")
    for pid, told in last.items():
        assert told["parent"] == started.process.pid
        # After its last answer it has still to end, which collects a few times.
        assert all(-20 < beyond <= 0 for beyond in seen.seen[pid].beyond(told))
    assert seen.seen[started.process.pid].last_page == seen.pages
    started.process.send_signal(signal.SIGTERM)
    assert started.process.wait(60) == 0

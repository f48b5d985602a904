"""What goes wrong on a machine, for real: nothing is lost that could be kept, and the program does not notice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

PROGRAM = Path(__file__).parent / "programs" / "trouble.py"
WORKERS = 64


def isolated(*how):
    """A launcher in namespaces of its own; skipped where that is refused."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, *how, "true"], capture_output=True, check=False).returncode:
        pytest.skip(f"unshare {' '.join(how)} is refused here: it needs root")
    return (unshare, *how)


def go_on(started):
    started.process.stdin.write("\n")
    started.process.stdin.flush()


def test_the_folders_filesystem_is_full(run, in_programs, scraper, eventually, tmp_path):
    """Who records goes on, to the page too; a child for whom there is no room records in private memory, and says so."""
    place = tmp_path / "small"
    place.mkdir()
    script = f'mount -t tmpfs -o size=4m small {place} && mkdir -m 700 {place}/flights && exec "$@"'
    launcher = (*isolated("--mount"), "sh", "-c", script, "sh", sys.executable, "-m", "gc_otel.cli")
    env = {**in_programs, "GC_OTEL_DIR": f"{place}/flights"}
    started = run(sys.executable, PROGRAM, "full_folder", f"{place}/flights", env=env, launcher=launcher)
    seen = scraper(started.address())
    first = json.loads(started.line())
    eventually(lambda: first["pid"] in seen.look())
    beyond = sum(first["counts"]) - sum(seen.look()[first["pid"]].collections)
    go_on(started)
    second = json.loads(started.line())
    assert second["filled"] > 2**20
    assert second["child_exit"] == 9
    page = seen.look()
    assert page.keys() == {first["pid"]}
    assert sum(second["counts"]) > sum(first["counts"])
    assert sum(second["counts"]) - sum(page[first["pid"]].collections) == beyond
    code, _, errors = started.end("\n")
    assert code == 0
    assert errors.count("recording in private memory") == 1
    assert "Traceback" not in errors


def test_a_file_truncated_under_us(run, in_programs, scraper, flight_dir, eventually):
    """By the same user: it cannot be defended (SECURITY.md).  The page loses that process and nothing else."""
    started = run(sys.executable, PROGRAM, "truncated_file", env=in_programs, options=("--port", "0", "--linger", "60"))
    other = run(sys.executable, PROGRAM, "truncated_file", env=in_programs)
    seen = scraper(started.address())
    told, others = json.loads(started.line()), json.loads(other.line())
    eventually(lambda: {told["pid"], others["pid"]} <= seen.look().keys())
    (path,) = flight_dir.glob(f"{told['pid']}-*.flight")
    os.truncate(path, 0)
    page = eventually(lambda: (page := seen.look()).keys() == {others["pid"]} and page)
    assert sum(others["counts"]) >= sum(page[others["pid"]].collections)
    go_on(started)
    assert started.process.wait(60) == -signal.SIGBUS
    assert other.end("\n")[0] == 0


def test_many_workers_die_at_once(run, in_programs, scraper, eventually):
    """All of them are on a page with their last numbers, once, and then gone; their parent goes on."""
    started = run(sys.executable, PROGRAM, "many_die", env=in_programs)
    seen = scraper(started.address())
    told = [json.loads(started.line()) for _ in range(WORKERS)]
    pids = {each["pid"] for each in told}
    eventually(lambda: pids <= seen.look().keys())
    go_on(started)
    own = json.loads(started.line())
    eventually(lambda: not pids & seen.look().keys(), "workers that were killed are on the page")
    assert [each["pid"] for each in told if any(seen.seen[each["pid"]].beyond(each))] == []
    assert own["pid"] in seen.look()
    assert started.end("\n")[0] == 0


def test_a_pid_that_is_used_again(run, in_programs, scraper, eventually):
    """Two processes with one pid, one after the other: two instances, each from zero to its own end."""
    launcher = (*isolated("--pid", "--fork", "--mount-proc"), sys.executable, "-m", "gc_otel.cli")
    started = run(sys.executable, PROGRAM, "same_pid_again", env=in_programs, launcher=launcher)
    seen = scraper(started.address())
    first = json.loads(started.line())
    eventually(lambda: first["pid"] in seen.look())
    before = seen.seen[first["pid"]]
    assert before.beyond(first) == [0, 0, 0]
    go_on(started)
    second = json.loads(started.line())
    assert second["pid"] == first["pid"]
    eventually(lambda: seen.look()[first["pid"]].instance != before.instance)
    assert seen.seen[first["pid"]].beyond(second) == [0, 0, 0]
    assert started.end("end\n")[0] == 0

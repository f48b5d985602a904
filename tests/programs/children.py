"""subprocess and multiprocessing beside a recorder.  Argument: native|python."""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import sys

import _recorded as recorded

from gc_otel.probe import probe


def work(kind: str, pipe: object, code: int) -> None:
    """In a child: what of the recording is its own."""
    if probe.current() is None:
        recorded.start(kind)
    gc.disable()
    before = recorded.snapshot().collector.collections
    gc.collect()
    gc.collect()
    recorded.wait_for_rounds()
    pipe.send({**recorded.file_of(os.getpid()), "since": recorded.snapshot().collector.collections - before})
    pipe.close()
    sys.exit(code)


def run_subprocesses() -> list[int]:
    say = [sys.executable, "-c", "import os, sys; os.write(1, b'out'); sys.exit(6)"]
    plain = subprocess.run(say, capture_output=True, check=False)
    before_exec = subprocess.run(say, capture_output=True, check=False, preexec_fn=os.setsid)
    assert plain.stdout == before_exec.stdout == b"out"
    assert plain.stderr == before_exec.stderr == b""
    try:
        subprocess.run(["/nonexistent/program"], check=False, preexec_fn=os.setsid)
    except FileNotFoundError:
        missing = 0
    return [plain.returncode, before_exec.returncode, os.waitstatus_to_exitcode(os.system("exit 5")), missing]


def run_method(method: str) -> dict[str, object]:
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(sys.argv[1], theirs, 7))
    process.start()
    theirs.close()
    told = ours.recv()
    process.join()
    return {"code": process.exitcode, "own_pid": told["pid"] == process.pid, **told}


if __name__ == "__main__":
    recorded.start()
    own = probe.current().path.name
    methods = {method: run_method(method) for method in ("fork", "spawn", "forkserver")}
    codes = run_subprocesses()
    gc.collect()
    alive = [path.name for path in recorded.flight_files() if recorded.file_of(int(path.name.split("-")[0]))["alive"]]
    recorded.report(own=own, methods=methods, codes=codes, alive=alive)

"""Where no start-up file loads us, a folder on PYTHONPATH does: other people's customizations run as before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import gc_otel

LOADING = Path(gc_otel.__file__).parent / "probe" / "loading"
IMPORTABLE = Path(gc_otel.__file__).parents[1]
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
#: Names that 2.7 has too.
LOOK = (
    "import sys, json; site = sys.modules.get('sitecustomize');"
    "print(json.dumps({'sitecustomize': getattr(site, '__file__', None), 'path': sys.path,"
    " 'marks': getattr(sys, 'marks', []), 'recorded': 'gc_otel.probe.probe' in sys.modules}))"
)


@pytest.fixture
def start(plain_env):
    """Run `python -c LOOK` with our folder first on PYTHONPATH, then others; what it found, and standard error."""

    def run(*others: Path, python: str = sys.executable, autoload: str = "true"):
        path = os.pathsep.join(map(str, (LOADING, IMPORTABLE, *others)))
        env = {**plain_env, "PYTHONPATH": path, "GC_OTEL_AUTOLOAD": autoload, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [python, "-c", LOOK], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    return run


@pytest.fixture
def other(tmp_path):
    """A folder with a sitecustomize or a usercustomize of that text."""

    def make(text: str, name: str = "sitecustomize") -> Path:
        (tmp_path / f"{name}.py").write_text(text)
        return tmp_path

    return make


MARK = "import sys; sys.marks = getattr(sys, 'marks', []) + [__name__]\n"


def test_it_records_and_leaves_no_trace_on_the_path(start):
    """The program sees the sys.path that it would have seen."""
    told, errors = start()
    assert told["recorded"]
    assert str(LOADING) not in told["path"]
    assert errors == ""


def test_not_asked_it_does_nothing(start):
    """Not even an import."""
    told, errors = start(autoload="")
    assert (told["recorded"], errors) == (False, "")


def test_the_next_sitecustomize_runs_in_its_place(start, other):
    """As if ours had never been there."""
    told, errors = start(other(MARK))
    assert (told["marks"], errors) == (["sitecustomize"], "")
    assert Path(told["sitecustomize"]).parent != LOADING
    assert told["recorded"]


def test_usercustomize_runs(start, other):
    """Nobody's is left out."""
    python = os.path.realpath(sys.executable)  # a virtual environment has no user site
    look = [python, "-c", "import site, sys; sys.exit(not site.ENABLE_USER_SITE)"]
    if subprocess.run(look, check=False).returncode:
        pytest.skip(f"{python} has no user site")
    told, _ = start(other(MARK, "usercustomize"), python=python)
    assert told["marks"] == ["usercustomize"]
    assert told["recorded"]


@pytest.mark.parametrize("text", ["raise RuntimeError('theirs')", "import no_such_module"])
def test_errors_of_the_next_one_are_told_as_ever(start, other, text):
    """By `site`, in its own words, and the program runs."""
    told, errors = start(other(text))
    assert errors.startswith("Error in sitecustomize; set PYTHONVERBOSE for traceback:\n")
    assert told["recorded"]


def test_what_the_next_one_does_to_the_path_stays(start, other):
    """Such as OpenTelemetry's and ddtrace's do."""
    told, _ = start(other("import sys; sys.path.insert(0, '/theirs')"))
    assert told["path"].count("/theirs") == 1


@pytest.mark.parametrize("version", ["2.7.18", "3.6.15", "3.9.18"])
@pytest.mark.parametrize("with_other", [False, True])
def test_older_pythons_are_not_disturbed(start, other, version, with_other):
    """They inherit the environment: nothing is recorded, nothing is said, theirs runs."""
    python = PYENV / version / "bin" / "python"
    if not python.exists():
        pytest.skip(f"no {python}")
    told, errors = start(*([other(MARK)] if with_other else []), python=str(python))
    assert (told["recorded"], errors) == (False, "")
    assert told["marks"] == (["sitecustomize"] if with_other else [])
    assert str(LOADING) not in told["path"]


def test_an_environment_without_gc_otel(start, make_venv, plain_env):
    """A foreign environment inherits the folder alone: not recorded here, and said by the exporter, not by us."""
    python = make_venv("foreign", with_gc_otel=False)
    env = {**plain_env, "PYTHONPATH": str(LOADING), "GC_OTEL_AUTOLOAD": "true", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([python, "-c", LOOK], env=env, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert not json.loads(done.stdout)["recorded"]

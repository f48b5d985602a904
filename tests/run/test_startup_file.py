"""gc_otel.pth, as a wheel's installation leaves it: loads where it is asked to, costs nothing where it is not."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import gc_otel
from gc_otel.flight.file import FlightFile
from gc_otel.flight.reader import read_identity

TELL = Path(__file__).parent / "programs" / "tell.py"


@pytest.fixture
def start(make_venv, plain_env):
    """Run a program of an environment that has gc_otel, in that environment alone; what it said."""
    python = make_venv("env", with_gc_otel=True)
    plain_env.pop("PYTHONPATH", None)
    plain_env["GC_OTEL_AUTOLOAD"] = "true"

    def run(*flags: str, env: dict[str, str] | None = None, code: str | None = None):
        command = [python, *flags, *(("-c", code) if code is not None else (str(TELL),))]
        done = subprocess.run(
            command,
            env={**plain_env, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    run.packages = next(Path(python).parents[1].glob("lib/python*/site-packages"))
    return run


@pytest.mark.parametrize(
    "flags", [(), ("-I",), ("-E",), ("-s",), ("-B", "-W", "error"), *([("-P",)] if sys.version_info >= (3, 11) else [])]
)
def test_it_loads(start, flags, flight_dir):
    """Under every option but -S, and nothing but the recorder; its last numbers are left for an exporter."""
    told = start(*flags)
    assert told["recording"]["run_mode"]
    assert told["imported"] == []
    assert [str(path) for path in flight_dir.iterdir()] == [told["recording"]["path"]]
    with FlightFile(told["recording"]["path"]) as file:
        assert (read_identity(file).state, file.is_alive()) == ("exited", False)


def test_it_loads_with_safe_path(start):
    """PYTHONSAFEPATH too."""
    assert start(env={"PYTHONSAFEPATH": "1"})["recording"]


def test_without_site_it_does_not(start):
    """-S is the user's word: no start-up file is read."""
    assert start("-S")["recording"] is None


@pytest.mark.parametrize("value", ["", "false", "nonsense"])
def test_it_loads_only_where_it_is_asked_to(start, value):
    """And says what is wrong with a word that it does not know."""
    code = "import json, sys; print(json.dumps([each for each in sys.modules if each.startswith('gc_otel')]))"
    loaded = start(env={"GC_OTEL_AUTOLOAD": value}, code=code)
    assert "gc_otel.probe.probe" not in loaded
    if not value:
        assert loaded == []


def test_twice_is_once(start, flight_dir):
    """`site` reads the folder again in some environments, and other code may: one recording."""
    code = (
        f"import json, site, os; site.addsitedir({str(start.packages)!r});"
        f"print(json.dumps(len(os.listdir({str(flight_dir)!r}))))"
    )
    assert start(code=code) == 1


@pytest.mark.parametrize("what", ["nothing", "half", "broken"])
def test_half_an_installation_says_nothing(start, what):
    """The start-up file outlived the package, or a part of it: a program of that environment starts as ever."""
    (start.packages / "gc_otel").unlink()
    if what != "nothing":
        (start.packages / "gc_otel").mkdir()
    if what == "broken":
        (start.packages / "gc_otel" / "__init__.py").write_text("raise RuntimeError('broken')")
    assert start(code="print(1)") == 1


def test_an_installation_has_it():
    """Installed from a wheel, the start-up file stands where interpreters look, and pip knows that it is ours."""
    packages = Path(gc_otel.__file__).parents[1]
    if not any(packages == Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")):
        pytest.skip("an editable installation, or a checkout, has no place for it")
    assert (packages / "gc_otel.pth").read_text().startswith("import ")
    assert "gc_otel.pth" in [str(each) for each in importlib.metadata.files("gc_otel")]

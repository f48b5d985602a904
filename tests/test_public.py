"""The public names, and how little importing them costs."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

import gc_otel

PUBLIC = [
    "Census",
    "Config",
    "Cycles",
    "GcInstrumentor",
    "GcOtelError",
    "Holders",
    "Measured",
    "Snapshot",
    "__version__",
    "find_cycles",
    "find_holders",
    "measure",
    "refcount",
    "show_backrefs",
    "show_memory",
    "show_refs",
    "take_census",
]


def in_new_interpreter(code: str) -> object:
    """What ``code`` prints as JSON in an interpreter that has imported nothing yet."""
    program = f"import json, sys\nsys.path[:0] = {[path for path in sys.path if path]!r}\n{code}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_public_names_are_the_documented_ones() -> None:
    """A name comes or goes by decision, not by accident."""
    assert sorted(gc_otel.__all__) == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_resolves(name) -> None:
    """Each name is there, is listed, and is what it is called."""
    value = getattr(gc_otel, name)
    assert name in dir(gc_otel)
    if name != "__version__":
        assert value.__name__ == name
        assert value.__doc__


def test_version_is_a_version() -> None:
    """Three numbers, and perhaps a word."""
    assert re.fullmatch(r"\d+\.\d+\.\d+([a-z.]+\d+)?", gc_otel.__version__)


def test_unknown_name() -> None:
    """What is not there is an AttributeError that names it."""
    with pytest.raises(AttributeError, match="'gc_otel' has no attribute 'Recorder'"):
        _ = gc_otel.Recorder
    assert not hasattr(gc_otel, "nothing")


def test_import_brings_nothing_heavy() -> None:
    """Importing the package loads no OpenTelemetry, no psutil, no ctypes and no extension."""
    loaded = in_new_interpreter(
        "before = set(sys.modules)\nimport gc_otel\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    )
    assert "gc_otel" in loaded
    heavy = ("opentelemetry", "psutil", "ctypes", "_ctypes", "threading", "asyncio", "logging", "typing_extensions")
    assert [name for name in loaded if name.split(".")[0] in heavy or "_native" in name] == []


def test_config_and_snapshot_need_neither_opentelemetry_nor_psutil() -> None:
    """The names of the lower rooms stay cheap when they are used."""
    loaded = in_new_interpreter(
        "import gc_otel\n"
        "gc_otel.Config.from_env(), gc_otel.Snapshot, gc_otel.GcOtelError\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    assert [name for name in loaded if name.split(".")[0] in ("opentelemetry", "psutil", "ctypes")] == []


def test_star_import() -> None:
    """`from gc_otel import *` gives exactly the public names."""
    names = in_new_interpreter(
        "space = {}\nexec('from gc_otel import *', space)\nprint(json.dumps(sorted(set(space) - {'__builtins__'})))"
    )
    assert names == sorted(PUBLIC)

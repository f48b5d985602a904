"""Every setting from every place, and what becomes of a value that cannot be used."""

from __future__ import annotations

import os

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gc_otel import errors
from gc_otel.config import Config, Problem
from gc_otel.settings import SETTINGS, render

DEFAULTS = {
    "enabled": True,
    "autoload": False,
    "dir": None,
    "dir_on_disk": False,
    "group": None,
    "recorder": "auto",
    "sample_interval": 5.0,
    "memory_detail": True,
    "census": True,
    "cycles": True,
    "requests": True,
    "disabled_metrics": (),
    "host": "127.0.0.1",
    "port": 9464,
    "linger": 2.0,
    "page": True,
    "page_hosts": (),
}

#: setting, text, value
GOOD = [
    *[
        (name, text, value)
        for name in ("enabled", "autoload", "dir_on_disk", "memory_detail", "census", "cycles", "requests", "page")
        for text, value in (
            ("true", True),
            ("1", True),
            ("YES", True),
            (" on ", True),
            ("false", False),
            ("0", False),
            ("No", False),
            ("off", False),
        )
    ],
    ("dir", "/dev/shm/mine", "/dev/shm/mine"),
    ("recorder", "auto", "auto"),
    ("recorder", "Native", "native"),
    ("recorder", " python ", "python"),
    ("sample_interval", "0.1", 0.1),
    ("sample_interval", "3600", 3600.0),
    ("sample_interval", " 7.5 ", 7.5),
    ("sample_interval", "1e1", 10.0),
    ("disabled_metrics", "process.*", ("process.*",)),
    ("disabled_metrics", " a , b ,, c", ("a", "b", "c")),
    ("disabled_metrics", ",", ()),
    ("host", " ::1 ", "::1"),
    ("host", "localhost", "localhost"),
    ("port", "0", 0),
    ("port", "65535", 65535),
    ("linger", "0", 0.0),
    ("linger", "86400", 86400.0),
    ("page_hosts", "gc.example, ops.example", ("gc.example", "ops.example")),
]

#: setting, text, what is allowed
BAD = [
    *[
        (name, text, "true or false")
        for name in ("enabled", "autoload", "dir_on_disk", "memory_detail", "census", "cycles", "requests", "page")
        for text in ("2", "ja", " ")
    ],
    ("dir", "relative/path", "an absolute path"),
    ("group", "two words", "a group's name or number"),
    ("group", " ", "a group's name or number"),
    ("group", "x" * 65, "a group's name or number"),
    ("dir", "~/flights", "an absolute path"),
    ("dir", "/with\0nul", "an absolute path"),
    ("recorder", "rust", "auto, native or python"),
    ("sample_interval", "soon", "seconds, 0.1 to 3600"),
    ("sample_interval", "0", "seconds, 0.1 to 3600"),
    ("sample_interval", "-1", "seconds, 0.1 to 3600"),
    ("sample_interval", "3600.1", "seconds, 0.1 to 3600"),
    ("sample_interval", "nan", "seconds, 0.1 to 3600"),
    ("sample_interval", "inf", "seconds, 0.1 to 3600"),
    ("sample_interval", "1e999", "seconds, 0.1 to 3600"),
    ("host", " ", "an address or a host's name"),
    ("host", "two names", "an address or a host's name"),
    ("host", "a\x1bb", "an address or a host's name"),
    ("port", "http", "a port, 0 to 65535"),
    ("port", "-1", "a port, 0 to 65535"),
    ("port", "65536", "a port, 0 to 65535"),
    ("linger", "-1", "seconds, 0 to 86400"),
    ("linger", "nan", "seconds, 0 to 86400"),
]


def test_the_table_is_the_one_tested_here() -> None:
    """Every setting has a default, a variable of its name, and a help that is a sentence."""
    assert {setting.name: setting.default for setting in SETTINGS} == DEFAULTS
    for setting in SETTINGS:
        assert setting.variable == f"GC_OTEL_{setting.name.upper()}"
        assert setting.help.strip()
        assert setting.allowed.strip()


def test_nothing_set() -> None:
    """An empty environment gives the defaults, all of that source, and no complaint."""
    config = Config.from_env({})
    assert {name: getattr(config, name) for name in DEFAULTS} == DEFAULTS
    assert config.sources == dict.fromkeys(DEFAULTS, "default")
    assert config.problems == ()
    assert config == Config()
    assert (config.service_name, config.service_version) == ("unknown_service", "")


@pytest.mark.parametrize(("name", "text", "value"), GOOD)
def test_value_from_the_environment(name, text, value) -> None:
    """A good value is taken, and its source is the variable."""
    variable = f"GC_OTEL_{name.upper()}"
    config = Config.from_env({variable: text})
    assert getattr(config, name) == value
    assert config.sources[name] == variable
    assert config.problems == ()
    assert {each for each in DEFAULTS if getattr(config, each) != DEFAULTS[each]} <= {name}


@pytest.mark.parametrize(("name", "text", "value"), GOOD)
def test_value_from_code_as_text(name, text, value) -> None:
    """Declarative configuration gives text, and it wins over the environment."""
    config = Config.from_env({f"GC_OTEL_{name.upper()}": "nonsense?"}, **{name: text})
    assert getattr(config, name) == value
    assert config.sources[name] == "code"


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("enabled", False, False),
        ("dir_on_disk", True, True),
        ("sample_interval", 2, 2.0),
        ("sample_interval", 0.25, 0.25),
        ("disabled_metrics", ("a", "b.*"), ("a", "b.*")),
        ("disabled_metrics", ["a"], ("a",)),
        ("disabled_metrics", (), ()),
        ("dir", "/x", "/x"),
    ],
)
def test_value_from_code_of_its_own_type(name, value, taken) -> None:
    """Code may give the setting's own type."""
    config = Config.from_env({}, **{name: value})
    assert getattr(config, name) == taken
    assert config.problems == ()


def test_none_from_code_is_not_given() -> None:
    """A None leaves the environment's value."""
    config = Config.from_env({"GC_OTEL_RECORDER": "python"}, recorder=None)
    assert (config.recorder, config.sources["recorder"]) == ("python", "GC_OTEL_RECORDER")


@pytest.mark.parametrize(("name", "text", "allowed"), BAD)
def test_unusable_value_in_the_environment(name, text, allowed) -> None:
    """One problem, naming variable, value and what is allowed; the default is used."""
    variable = f"GC_OTEL_{name.upper()}"
    config = Config.from_env({variable: text})
    assert getattr(config, name) == DEFAULTS[name]
    assert config.sources[name] == "default"
    (problem,) = config.problems
    assert problem == Problem(variable, text, f"it takes {allowed}", DEFAULTS[name])
    line = str(problem)
    assert variable in line
    assert repr(text) in line
    assert allowed in line
    assert render(DEFAULTS[name]) in line
    assert "\n" not in line


@pytest.mark.parametrize(("name", "text", "allowed"), BAD)
def test_unusable_value_from_code(name, text, allowed) -> None:
    """The same complaint, and what the environment said stays in force."""
    config = Config.from_env({}, **{name: text})
    assert getattr(config, name) == DEFAULTS[name]
    (problem,) = config.problems
    assert problem.allowed == f"it takes {allowed}"


@pytest.mark.parametrize(
    ("name", "value"), [("enabled", 5), ("sample_interval", [1, 2]), ("dir", b"/x"), ("recorder", {})]
)
def test_value_of_a_wrong_type_from_code(name, value) -> None:
    """Code that gives the wrong type is told so, and does not fail."""
    config = Config.from_env({}, **{name: value})
    assert getattr(config, name) == DEFAULTS[name]
    assert [problem.variable for problem in config.problems] == [f"GC_OTEL_{name.upper()}"]


def test_a_set_of_names_from_code() -> None:
    """A set of patterns is as good as a list; it is not taken for one odd pattern."""
    for given_ in ({"process.*"}, frozenset({"process.*"})):
        assert Config.from_env({}, disabled_metrics=given_).disabled_metrics == ("process.*",)


def test_several_problems_at_once() -> None:
    """Each bad value is named, and the good ones are taken."""
    config = Config.from_env(
        {"GC_OTEL_ENABLED": "x", "GC_OTEL_RECORDER": "y", "GC_OTEL_DIR": "/ok", "GC_OTEL_SAMPLE_INTERVAL": ""}
    )
    assert [problem.variable for problem in config.problems] == ["GC_OTEL_ENABLED", "GC_OTEL_RECORDER"]
    assert config.dir == "/ok"


def test_unknown_setting() -> None:
    """A misspelt name is told apart, with the names there are."""
    config = Config.from_env({"GC_OTEL_SAMPLE_INTERVALL": "5", "GC_OTHER": "1"}, sampling=3)
    assert [problem.variable for problem in config.problems] == ["GC_OTEL_SAMPLE_INTERVALL", "GC_OTEL_SAMPLING"]
    assert all(setting.variable in problem.allowed for setting in SETTINGS for problem in config.problems)


def test_environment_of_the_process(monkeypatch) -> None:
    """Without a mapping it is os.environ."""
    monkeypatch.setenv("GC_OTEL_SAMPLE_INTERVAL", "0.5")
    assert Config.from_env().sample_interval == 0.5


@pytest.mark.parametrize(
    ("text", "enabled"),
    [("true", False), ("TRUE", False), (" True ", False), ("false", True), ("", True), ("1", True), ("yes", True)],
)
def test_sdk_disabled(text, enabled) -> None:
    """OTEL_SDK_DISABLED switches us off with the SDK, whatever we are told; as specified, only by "true"."""
    config = Config.from_env({"OTEL_SDK_DISABLED": text, "GC_OTEL_ENABLED": "true"}, enabled=True)
    assert config.enabled is enabled
    assert config.sources["enabled"] == ("code" if enabled else "OTEL_SDK_DISABLED")
    assert config.problems == ()


@pytest.mark.parametrize(
    ("env", "name", "version"),
    [
        ({"OTEL_SERVICE_NAME": "shop"}, "shop", ""),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=shop,service.version=1.2"}, "shop", "1.2"),
        ({"OTEL_RESOURCE_ATTRIBUTES": " service.name = shop , a=b"}, "shop", ""),
        ({"OTEL_SERVICE_NAME": "a", "OTEL_RESOURCE_ATTRIBUTES": "service.name=b,service.version=2"}, "a", "2"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=my%20shop%2C%C3%BC"}, "my shop,ü", ""),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.version=1.0%2Bbuild%3D7"}, "unknown_service", "1.0+build=7"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=%zz%"}, "%zz%", ""),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a=b"}, "a=b", ""),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name"}, "unknown_service", ""),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=,,=,="}, "unknown_service", ""),
        ({"OTEL_SERVICE_NAME": ""}, "unknown_service", ""),
    ],
)
def test_service_identity(env, name, version) -> None:
    """Name and version as OpenTelemetry reads them, percent-encoding included."""
    config = Config.from_env(env)
    assert (config.service_name, config.service_version) == (name, version)
    assert config.problems == ()


@pytest.mark.parametrize(
    ("patterns", "metric", "published"),
    [
        ("", "process.memory.usage", True),
        ("process.*", "process.memory.usage", False),
        ("process.*", "cpython.gc.duration", True),
        ("process.*", "processing.time", True),
        ("*", "anything", False),
        ("cpython.gc.duration", "cpython.gc.duration", False),
        ("cpython.gc.duration", "cpython.gc.durations", True),
        ("CPYTHON.*", "cpython.gc.duration", True),
        ("a,*.pending", "cpython.gc.pending", False),
        ("cpython.gc.[ct]*", "cpython.gc.threshold", False),
    ],
)
def test_publishes(patterns, metric, published) -> None:
    """Names and patterns leave out what they match, in the very case they are written in."""
    assert Config.from_env({"GC_OTEL_DISABLED_METRICS": patterns}).publishes(metric) is published


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "(not set)"),
        (True, "true"),
        (False, "false"),
        ((), "(none)"),
        (("a", "b"), "a,b"),
        (5.0, "5"),
        (0.25, "0.25"),
        ("auto", "auto"),
    ],
)
def test_render(value, text) -> None:
    """A value is shown as its variable would say it."""
    assert render(value) == text


VARIABLES = st.one_of(
    st.sampled_from([setting.variable for setting in SETTINGS]),
    st.sampled_from(["OTEL_SDK_DISABLED", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"]),
    st.text(max_size=8).map("GC_OTEL_".__add__),
    st.text(max_size=8),
)
TEXTS = st.one_of(
    st.text(max_size=20),
    st.text(st.characters(), max_size=20),
    st.text("0123456789.eE+-_ naif", max_size=8),
    st.text("=,%service.nmvro20", max_size=40),
    st.sampled_from(["true", "1e400", "-0", "\udce4", "\0", "/", "%", "١", "infinity", "0x1"]),
)


@pytest.mark.fuzz
@settings(max_examples=int(os.environ.get("GCOTEL_FUZZ_EXAMPLES", "500")), deadline=None)
@given(st.dictionaries(VARIABLES, TEXTS, max_size=8))
@example({"GC_OTEL_SAMPLE_INTERVAL": "\ud800", "GC_OTEL_DIR": "/\ud800", "GC_OTEL_\udcff": "\udcff"})
def test_no_environment_raises(env) -> None:
    """Any texts under any names give a configuration that can be used, and problems that can be said."""
    config = Config.from_env(env)
    assert config.recorder in ("auto", "native", "python")
    assert 0.1 <= config.sample_interval <= 3600
    assert config.dir is None or config.dir.startswith("/")
    assert all(isinstance(flag, bool) for flag in (config.enabled, config.dir_on_disk, config.memory_detail))
    assert isinstance(config.publishes("process.cpu.time"), bool)
    assert config.service_name
    for problem in config.problems:
        assert problem.variable in str(problem)
    assert len(config.problems) <= len(env)


def test_every_error_says_what_to_do_next() -> None:
    """One tree; each class has a remedy of its own, and one given with the error wins."""
    tree = [
        errors.GcOtelError,
        errors.FlightFileError,
        errors.NotAFlightFile,
        errors.NotConsistent,
        errors.FlightFolderError,
        errors.NotSupported,
    ]
    for each in tree:
        assert issubclass(each, errors.GcOtelError)
        error = each("what happened")
        assert str(error) == "what happened"
        assert error.remedy.endswith(".")
        assert each("x", remedy="Do this.").remedy == "Do this."
        assert each("x").remedy == each.remedy
    assert issubclass(errors.NotAFlightFile, errors.FlightFileError)
    assert issubclass(errors.NotConsistent, errors.FlightFileError)
    assert not issubclass(errors.FlightFolderError, errors.FlightFileError)

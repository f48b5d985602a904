"""The optional part of the build: everything declarative stands in pyproject.toml.

The C extension is worth having and never worth failing for: without a
compiler, or with GC_OTEL_PURE=1, the package installs with its Python twin and
the build says so.  ``gc-otel doctor`` tells later which one is in use.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

SOURCES = sorted(str(path) for path in Path("gc_otel/_native").glob("*.c"))
HEADERS = sorted(str(path) for path in Path("gc_otel/_native").glob("*.h"))

#: What `gc-otel assets export` writes: the folder's name there, and where it is here.
ASSETS = {
    "dashboards": Path("grafana/dashboards"),
    "rules": Path("grafana/rules"),
    "alerting": Path("grafana/alerting"),
    "runbooks": Path("docs/runbooks"),
    "alertmanager": Path("deploy/alertmanager"),
    "kubernetes": Path("deploy/kubernetes"),
}

#: Where in site-packages, and what.
COPIES = [("gc_otel.pth", Path("gc_otel/probe/loading/gc_otel.pth"))] + [
    (f"gc_otel/_assets/{kind}/{source.relative_to(folder)}", source)
    for kind, folder in ASSETS.items()
    for source in sorted(folder.rglob("*"))
    if source.is_file() and not source.name.endswith("_test.yaml")
]

PURE = os.environ.get("GC_OTEL_PURE", "") not in ("", "0") or sys.implementation.name != "cpython"


def say(what: str) -> None:
    """Which recorder the build has got."""
    print(f"gc_otel: built with {what}", file=sys.stderr)


class OptionalBuildExt(build_ext):
    """Builds the extension, or says in one line that the Python recorder will serve."""

    def run(self) -> None:
        """Build, or do without."""
        if not self.extensions:
            return
        try:
            super().run()
        except Exception as error:  # noqa: BLE001 - no compiler, no headers, no linker: whatever it was
            say(f"the Python recorder (no C extension: {error})")
        else:
            built = all(Path(self.get_ext_fullpath(extension.name)).exists() for extension in self.extensions)
            say("the native recorder" if built else "the Python recorder (the C extension did not build)")

    def get_outputs(self) -> list[str]:
        """Only what is really there: an installation records these."""
        return [output for output in super().get_outputs() if Path(output).exists()]


class BuildWithCopies(build_py):
    """Puts into a wheel what does not stand in the package's own folder.

    ``gc_otel.pth`` goes to the root of site-packages, where the interpreter looks for it at its start; dashboards,
    rules and runbooks go where `gc-otel assets export` finds them. An editable installation reads the tree, and has
    no place for the first: `gc-otel run` finds another way there.
    """

    def run(self) -> None:
        """Copy the package, and then the others."""
        if PURE:
            say("the Python recorder (no C extension was asked for)")
        super().run()
        if not self.editable_mode:
            for target, source in self._copies():
                self.mkpath(str(Path(target).parent))
                self.copy_file(str(source), target)

    def get_outputs(self, include_bytecode: int = 1) -> list[str]:
        """What an installation records, and an uninstallation removes."""
        outputs = super().get_outputs(include_bytecode)
        return outputs if self.editable_mode else [*outputs, *(target for target, _ in self._copies())]

    def _copies(self) -> list[tuple[str, Path]]:
        return [(str(Path(self.build_lib, target)), source) for target, source in COPIES]


EXTENSION = Extension(
    "gc_otel._native._ext",
    sources=SOURCES,
    depends=HEADERS,
    extra_compile_args=[
        "-std=c11",
        "-O2",
        "-fvisibility=hidden",
        "-fno-plt",
        "-Wall",
        "-Wextra",
        "-Wno-unused-parameter",
        "-Wno-cast-function-type",
        "-Wno-missing-field-initializers",
    ],
    optional=True,
)

setup(
    ext_modules=[] if PURE else [EXTENSION],
    cmdclass={"build_ext": OptionalBuildExt, "build_py": BuildWithCopies},
)

"""What the programs of this folder share: a flight file of the implementation that the command line names."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from gc_otel import _native
from gc_otel.flight.file import create
from gc_otel.flight.folder import Folder
from gc_otel.flight.mapping import PythonMapping
from gc_otel.flight.python_recorder import PythonRecorder

KIND = sys.argv[1]
EXTENSION, _ = _native.load()


def make_file() -> tuple[Path, Any]:
    header = {"pid": os.getpid(), "created_unix_ns": time.time_ns(), "service_name": "program"}
    make = PythonMapping if KIND == "python" else EXTENSION.Mapping
    location, mapping = create(Folder(os.environ["GC_OTEL_DIR"]), header, make)
    return Path(location), mapping


def make_recorder(mapping: Any) -> Any:
    return PythonRecorder(mapping) if KIND == "python" else EXTENSION.Recorder(mapping)


def tell(**answer: Any) -> None:
    print(json.dumps(answer), flush=True)

"""The folder of the ended: their records, and the flight files of those that did not end cleanly, both bounded."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from gc_otel.errors import FlightFolderError
from gc_otel.flight.folder import KEPT_DEAD, SUFFIX, Folder
from gc_otel.service.endings import RECORD_SUFFIX, Ending, endings_folder, to_json
from gc_otel.service.reasons import CLEAN

#: A worker that is recycled every minute must not push the one out that was killed last night.
RECORDS_MOST: Final = 100
CLEAN_RECORDS_MOST: Final = 50
_CLEAN_SUFFIX: Final = ".clean" + RECORD_SUFFIX

_TEMPORARY_SUFFIX: Final = "-new"
_OPEN_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Tomb:
    """One writer; readers find whole files only, as each gets its name when it is complete."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._path = endings_folder(folder)
        self._names: dict[str, list[str]] = {}

    def put(self, ending: Ending, flight_file: Path, copy: Callable[[], bytes], *, is_news: bool) -> Ending:
        """Keep the record and, of an end that was not clean, the flight file; the record, as it is kept.

        ``copy`` gives the file's bytes where its name has gone already.  Not ``is_news``: a record that is there is
        better than this one.  OSError where it cannot be kept.
        """
        self._prepare()
        suffix = _CLEAN_SUFFIX if ending.reason == CLEAN else RECORD_SUFFIX
        ending = replace(ending, flight_file=self._keep_flight_file(ending, flight_file, copy))
        record = self._path / f"{ending.name}{suffix}"
        if is_news or not record.exists():
            self._write(record, json.dumps(to_json(ending), separators=(",", ":")).encode())
            self._remember(record.name, suffix)
        self._prune()
        return ending

    def drop(self, flight_file: Path) -> None:
        """The file of a process that did not end: nothing of it is kept."""
        with contextlib.suppress(PermissionError):  # of another user, in group mode: its own processes sweep it away
            flight_file.unlink(missing_ok=True)

    def _keep_flight_file(self, ending: Ending, flight_file: Path, copy: Callable[[], bytes]) -> str | None:
        if ending.reason == CLEAN:
            self.drop(flight_file)
            return None
        kept = self._path / f"{ending.name}{SUFFIX}"
        try:
            os.rename(flight_file, kept)
        except (FileNotFoundError, PermissionError):  # gone; or of another user, in group mode: it stays there
            raw = copy()
            if not raw:
                return None
            self._write(kept, raw)
        self._remember(kept.name, SUFFIX)
        return str(kept)

    def _prepare(self) -> None:
        try:
            os.mkdir(self._path, 0o700)
        except FileExistsError:
            status = os.lstat(self._path)
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
                raise FlightFolderError(
                    f"{self._path} is no folder of this user alone", remedy=f"Remove {self._path}."
                ) from None
        if not self._names:
            self._names = {RECORD_SUFFIX: [], _CLEAN_SUFFIX: [], SUFFIX: []}
            for _, name in sorted((_modified_ns(self._path / name), name) for name in os.listdir(self._path)):
                suffix = next((each for each in (_CLEAN_SUFFIX, RECORD_SUFFIX, SUFFIX) if name.endswith(each)), None)
                if suffix is not None:
                    self._names[suffix].append(name)
                elif name.endswith(_TEMPORARY_SUFFIX):  # an exporter was killed while it wrote that
                    (self._path / name).unlink(missing_ok=True)

    def _write(self, path: Path, raw: bytes) -> None:
        temporary = path.with_name(path.name + _TEMPORARY_SUFFIX)
        descriptor = os.open(temporary, _OPEN_FLAGS, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(raw)
            os.rename(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def _remember(self, name: str, suffix: str) -> None:
        names = self._names[suffix]
        if name in names:
            names.remove(name)
        names.append(name)

    def _prune(self) -> None:
        for suffix, most in ((RECORD_SUFFIX, RECORDS_MOST), (_CLEAN_SUFFIX, CLEAN_RECORDS_MOST), (SUFFIX, KEPT_DEAD)):
            names = self._names[suffix]
            for name in names[: max(0, len(names) - most)]:
                (self._path / name).unlink(missing_ok=True)
            del names[: max(0, len(names) - most)]


def _modified_ns(path: Path) -> int:
    try:
        return path.lstat().st_mtime_ns
    except OSError:
        return 0

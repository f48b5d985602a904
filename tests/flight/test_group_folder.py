"""A group's folder, by its own user: what is made, and what is refused.  Other users are in tests/run/test_sidecar.py."""

from __future__ import annotations

import os
import stat

import pytest

from gc_otel.errors import FlightFolderError
from gc_otel.flight.group import GroupFolder


@pytest.fixture
def folder(flight_dir):
    made = GroupFolder(str(flight_dir / "shared"), os.getgid())
    made.make()
    return made


def test_it_is_the_group_s_to_read(folder):
    """The root takes everybody's folder; ours is ours to write, and the group's to read."""
    root, own = os.stat(folder.root), os.stat(folder.location)
    assert stat.S_IMODE(root.st_mode) == 0o3770
    assert stat.S_IMODE(own.st_mode) == 0o2750
    assert (own.st_uid, own.st_gid) == (os.getuid(), os.getgid())
    folder.judge(own)
    folder.make()  # once more changes nothing
    assert folder.locations_to_read() == [folder.location]


def test_files_of_all_its_folders(folder):
    """Only flight files, and only of folders that can be believed."""
    for name in ("1-1.flight", "notes.txt"):
        with open(os.path.join(folder.location, name), "wb"):
            pass
    os.mkdir(os.path.join(folder.root, "999999"), 0o750)  # in another user's name, and not his
    with open(os.path.join(folder.root, "999999", "2-2.flight"), "wb"):
        pass
    os.mkdir(os.path.join(folder.root, "notanumber"))
    assert [path.name for path in folder.files()] == ["1-1.flight"]


@pytest.mark.parametrize("mode", [0o2770, 0o2755, 0o2777])
def test_a_folder_that_is_too_open(folder, mode):
    """Who else could write there could plant files; who else could read is not meant."""
    os.chmod(folder.location, mode)
    with pytest.raises(FlightFolderError) as refused:
        folder.judge(os.stat(folder.location))
    assert refused.value.remedy
    assert folder.locations_to_read() == []


def test_a_root_that_is_not_there(flight_dir):
    """Nothing to read but the own one's name; and where it cannot be made, it is said."""
    missing = GroupFolder(str(flight_dir / "not" / "there"), os.getgid())
    assert missing.locations_to_read() == [missing.location]
    with pytest.raises(FlightFolderError, match="cannot be made"):
        missing.make()

"""The page's files, as they are installed: complete, small, ours or licensed, and of one mind about safety."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess

import pytest

from gc_otel.service.page import assets, shell
from gc_otel.service.page.api import OPENAPI
from gc_otel.service.page.runbooks import names

OWN = [name for name in assets.SCRIPTS if not name.startswith("vendor/")]
COMPRESSED_BYTES_MOST = 1_000_000


def test_every_file_is_there_and_none_is_left_over():
    """In an installed wheel too: there these tests run from outside of the tree."""
    served = set(assets.assets())
    there = {path.relative_to(assets.FOLDER).as_posix() for path in assets.FOLDER.rglob("*") if path.is_file()}
    assert served <= there
    assert all(re.search(r"LICENSE|LEGAL|README", name) for name in there - served)
    assert OPENAPI.is_file()
    assert "PythonMemoryGrowing" in names()


def test_all_of_it_is_small():
    """Compressed as it would travel, fonts included; and as one file."""
    total = sum(len(gzip.compress(each.body, mtime=0)) for each in assets.assets().values())
    print(f"all assets, compressed: {total / 1000:.0f} kB")
    assert total < COMPRESSED_BYTES_MOST
    assert len(shell.self_contained({"gc_otel": "", "location": "/", "answers": {}})) < COMPRESSED_BYTES_MOST


def test_what_is_others_has_its_licence():
    """Beside it, and listed with its version."""
    table = (assets.FOLDER / "vendor" / "README.md").read_text()
    vendored = [name.removeprefix("vendor/") for name in assets.assets() if name.startswith("vendor/")]
    assert all(name in table for name in vendored)
    licences = re.findall(r"[\w.-]+(?:\.LICENSE|LEGAL\.txt)", table)
    assert len(set(licences)) == 4
    assert all("ermission" in (assets.FOLDER / "vendor" / each).read_text() for each in licences)


@pytest.mark.parametrize("name", OWN)
def test_no_script_of_ours_makes_markup_or_code_of_a_string(name):
    """Trusted Types forbid it in the browser; here it does not even stand in the text. And nobody else's host."""
    text = assets.assets()[name].body.decode()
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setTimeout\([\"'`]|DOMParser"
    )
    assert re.findall(forbidden, text) == []
    assert [
        url
        for url in re.findall(r"https?://[^\s\"'`)]+", text)
        if "www.w3.org" not in url and url != "https:\\/\\//.test"
    ] == []
    assert text.startswith('"use strict";\n')
    assert len(text.splitlines()) <= 420


def test_the_scripts_are_javascript():
    """By node, where there is one; a browser reads them in tests/browser."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node here")
    read = "for (const f of process.argv.slice(1)) new (require('vm').Script)(require('fs').readFileSync(f, 'utf8'), { filename: f });"
    done = subprocess.run(
        [node, "-e", read, *(assets.FOLDER / name for name in OWN)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_address_changes_with_the_contents(desk):
    """So a browser may keep a file for ever, and never shows an old one with new ones."""
    page = desk.get("/").body.decode()
    addresses = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert len(addresses) == len(assets.assets())
    for address in addresses:
        answer = desk.bare(address)
        assert answer.code == 200
        assert "immutable" in answer.headers["Cache-Control"]
    assert desk.bare("/favicon.ico").body == assets.assets()[assets.ICON].body
    assert desk.bare("/static/0000000000000000/page.js").code == 404
    assert desk.bare(f"/static/{assets.version()}/../api.py").code == 404


def test_one_file_holds_all_and_its_data_cannot_leave_its_element():
    """No end tag can stand in the data; the policy names each script by its hash."""
    evil = {
        "gc_otel": "1",
        "location": "/",
        "answers": {"/x": {"name": "</script><script>alert(1)</script><!--\u2028{head}{version}"}},
    }
    page = shell.self_contained(evil).decode()
    assert page.count("</script>") == len(assets.SCRIPTS) + 1
    assert "<!--" not in page
    assert (
        len(re.findall(r"'sha256-[^']+'", page.partition('content="default-src')[2].partition('">')[0]))
        == len(assets.SCRIPTS) + 1
    )
    assert "unsafe" not in page.partition("<title>")[0].partition("<style>")[0]
    assert not re.search(r'(?:src|href)="/static', page)

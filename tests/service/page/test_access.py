"""Who is let in: from this machine as from any, only who has the token; and nobody by another site's hand."""

from __future__ import annotations

import os
import stat
import threading

import pytest

from gc_otel.flight.folder import Folder
from gc_otel.service.page.access import host_name, is_own_host
from gc_otel.service.page.token import TOKEN_NAME, NoToken, page_address, token_of

ALL = [
    "/",
    "/process/1",
    "/process/1/heap",
    "/runbook/X",
    "/api/v1/processes",
    "/api/v1/openapi.json",
    "/export/fleet.json",
]


def test_the_token_is_one_for_a_folder_and_for_its_user_only(folder):
    """The first who asks makes it; in the address it is what opens the page."""
    token = token_of(folder)
    status = os.stat(folder.path / TOKEN_NAME)
    assert (stat.S_IMODE(status.st_mode), token_of(folder)) == (0o600, token)
    assert len(token) == 40
    assert page_address("http://127.0.0.1:1", folder) == f"http://127.0.0.1:1/?token={token}"
    assert [each.name for each in folder.path.iterdir()] == [TOKEN_NAME]


def test_many_who_make_it_at_once_have_the_same(folder):
    """A launcher and an exporter, say."""
    found: list[str] = []
    start = threading.Barrier(8)

    def make():
        start.wait()
        found.append(token_of(folder))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize("spoil", ["open", "short", "nonsense", "link", "pipe"])
def test_a_file_that_cannot_keep_a_secret_is_none(folder, spoil, tmp_path):
    """The page is then for nobody."""
    path = folder.path / TOKEN_NAME
    if spoil == "link":
        (tmp_path / "theirs").write_text("a" * 40)
        path.symlink_to(tmp_path / "theirs")
    elif spoil == "pipe":
        os.mkfifo(path, 0o600)
    else:
        path.write_text({"open": "a" * 40, "short": "abc", "nonsense": "ä" * 40}[spoil])
        path.chmod(0o644 if spoil == "open" else 0o600)
    with pytest.raises(OSError, match="symbolic" if spoil == "link" else "delete it"):
        token_of(folder)


def test_a_folder_that_is_gone_has_no_token(tmp_path):
    """An error that says so, not a token of nowhere."""
    with pytest.raises(OSError):
        token_of(Folder(tmp_path / "gone"))
    assert issubclass(NoToken, OSError)


@pytest.mark.parametrize("path", ALL)
def test_without_the_token_nothing_is_said(desk, path):
    """Neither what there is, nor whether there is anything."""
    refused = desk.bare(path)
    assert refused.code == 401
    assert desk.token.encode() not in refused.body
    for wrong in ("", "x", desk.token[:-1], desk.token + "0", desk.token.upper() + "é"):
        assert desk.bare(path, authorization=f"Bearer {wrong}").code == 401
        assert desk.bare(path, cookie=f"gc_otel_9464={wrong}").code == 401
    assert desk.bare(path, cookie=f"gc_otel_9464={desk.token}").code == 401, "the cookie is not the token"
    assert desk.bare(f"{path}?token=wrong").code == 401
    assert desk.get(path).code in (200, 404)


def test_the_token_is_exchanged_for_a_cookie_and_leaves_the_address(desk):
    """A step within the site, so that a strict cookie goes with it; what else stood in the address stays."""
    answer = desk.bare(f"/process/7?token={desk.token}&span=300&q=%22%3E%3Cscript%3E")
    cookie, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert attributes == ["Path=/", "HttpOnly", "SameSite=Strict"]
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert 'content="0;url=/process/7?span=300&amp;q=%22%3E%3Cscript%3E"' in answer.body.decode()
    assert desk.token not in answer.body.decode() + cookie
    assert desk.bare("/", cookie=f"other=1; bad cookie; {cookie}; more=2").code == 200


def test_a_new_token_shuts_out_who_had_the_old_one(desk):
    """Deleting the file is how it is changed."""
    cookie = desk.bare(f"/?token={desk.token}").headers["Set-Cookie"].partition(";")[0]
    assert desk.bare("/", cookie=cookie).code == 200
    os.unlink(desk.folder.path / TOKEN_NAME)
    assert desk.bare("/", cookie=cookie).code == 401


def test_no_way_back_leads_to_another_host(desk):
    """`//elsewhere` in the address would be one."""
    for path in ("//evil.example/x", "/\\evil.example", '/"><script>alert(1)</script>'):
        body = desk.bare(f"{path}?token={desk.token}").body.decode()
        assert "url=//" not in body
        assert "url=/\\" not in body
        assert "<script" not in body


def test_a_link_from_another_site_is_followed_once_more_within_ours(desk):
    """The browser keeps a strict cookie back there, and sends it with the next step; it cannot go round."""
    elsewhere = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    answer = desk.bare("/process/7", **elsewhere)
    assert answer.code == 200
    assert 'url=/process/7"' in answer.body.decode()
    assert "Set-Cookie" not in answer.headers
    assert desk.bare("/process/7", sec_fetch_site="same-origin", sec_fetch_mode="navigate").code == 401
    assert desk.bare("/api/v1/processes", sec_fetch_site="cross-site", sec_fetch_mode="cors").code == 401


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1:9464", True),
        ("[::1]:9464", True),
        ("10.1.2.3", True),
        ("localhost:1", True),
        ("LocalHost", True),
        ("a.localhost", True),
        ("named.example:9464", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
        ("[::1", False),
        ("a b", False),
    ],
)
def test_only_names_that_a_rebound_dns_cannot_have(desk, host, ours):
    """With the right token too; and files that hold nothing as well."""
    assert is_own_host(host_name(host), {"named.example"}) == ours
    assert desk.get("/", host=host).code == (200 if ours else 403)
    assert desk.get("/api/v1/processes", host=host).code == (200 if ours else 403)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 404),  # a program with a token; there is no process 1
        ({"origin": "http://127.0.0.1:9464"}, 404),
        ({"origin": "http://127.0.0.1:9465"}, 403),
        ({"origin": "https://127.0.0.1:9464"}, 404),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:9464", "sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_a_change_is_asked_for_by_our_own_page_or_by_a_program(desk, headers, code):
    """A form of another site can send neither JSON nor our origin."""
    assert desk.post("/api/v1/processes/1/heap/census", **headers).code == code


def test_a_cookie_alone_changes_nothing_without_an_origin(desk):
    """Every browser of today says its origin with a POST."""
    cookie = desk.bare(f"/?token={desk.token}").headers["Set-Cookie"].partition(";")[0]
    path, more = "/api/v1/processes/1/heap/census", {"cookie": cookie, "content_type": "application/json"}
    assert desk.bare(path, "POST", b"{}", **more).code == 403
    assert desk.bare(path, "POST", b"{}", origin="http://127.0.0.1:9464", **more).code == 404


def test_every_answer_has_the_strict_headers(desk):
    """Refusals too."""
    for answer in (desk.bare("/"), desk.get("/"), desk.get("/nowhere"), desk.get("/api/v1/processes")):
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "require-trusted-types-for 'script'" in policy
        assert answer.headers["X-Frame-Options"] == "DENY"

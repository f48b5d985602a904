"""Who is let in to the page and its API: every request is asked for the token, from this machine as from any.

Another user of this machine reaches a loopback port as we do, and a page of anybody's can make our browser
send requests to it.  So: a token in the address, exchanged for a cookie that no other site can have sent;
names of the host that rebinding DNS cannot have; and for what changes something, an origin of our own.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Collection, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from gc_otel.service.page.answer import HTML, JSON, Answer, Refused, status_line

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

TOKEN_PARAMETER: Final = "token"  # noqa: S105 - the name of the parameter
_HOW: Final = "Open the address that `gc-otel page` prints; a program sends it as `Authorization: Bearer TOKEN`."

#: Shows the same address again, without the token, as a step within this site: the cookie is SameSite=Strict, and a
#: redirect in answer to a link in a chat would be one of that site's.
_AGAIN: Final = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>gc_otel</title>
<meta http-equiv="refresh" content="0;url={url}"></head><body><p><a href="{url}">Go on</a></p></body></html>
"""


def host_name(host_header: str) -> str:
    """Without the port, small letters; empty where it is none."""
    try:
        return (urlsplit(f"//{host_header}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_own_host(name: str, others: Collection[str] = ()) -> bool:
    """Whether a browser that sends this Host can only mean us: an address, localhost, or a name that the user gave."""
    if name == "localhost" or name.endswith(".localhost") or name in others:
        return True
    try:
        ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


class Access:
    """Judges requests.  ``token`` gives the token of now; ``hosts`` are names that are ours beside the usual ones."""

    def __init__(self, token: Callable[[], str], *, port: int, hosts: Collection[str] = ()) -> None:
        self._token = token
        self._hosts = frozenset(host.lower() for host in hosts)
        # A cookie knows no ports: two exporters of one host would overwrite each other's.
        self._cookie = f"gc_otel_{port}"

    def check_host(self, environ: WSGIEnvironment) -> None:
        """Refused where the request is for a name that is not ours."""
        if not is_own_host(host_name(environ.get("HTTP_HOST", "")), self._hosts):
            raise Refused(
                403,
                "This name is not one of the page's",
                "Use the address, localhost, or name it in GC_OTEL_PAGE_HOSTS.",
            )

    def admit(self, environ: WSGIEnvironment) -> Answer | None:
        """None: let in.  An answer: go there instead.  Refused: neither."""
        token = self._token()
        given = [value for name, value in parse_qsl(environ.get("QUERY_STRING", "")) if name == TOKEN_PARAMETER]
        if given and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            if not _is_same(given[-1], token):
                raise Refused(401, "This token is not that of the flight folder", _HOW)
            return self._go_on(environ, ("Set-Cookie", self._set_cookie(token)))
        if _is_same(_bearer(environ), token) or _is_same(self._cookie_of(environ), self._cookie_value(token)):
            return None
        if self._comes_from_elsewhere(environ):
            return self._go_on(environ)
        raise Refused(401, "The page and its API want a token", _HOW)

    def check_origin(self, environ: WSGIEnvironment) -> None:
        """Refused where a change may be asked for by another site's page."""
        if environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() != JSON:
            raise Refused(415, "A request that changes something is JSON", f"Send Content-Type: {JSON}.")
        origin, site = environ.get("HTTP_ORIGIN"), environ.get("HTTP_SEC_FETCH_SITE", "same-origin")
        host = environ.get("HTTP_HOST", "").lower()
        ours = (f"http://{host}", f"https://{host}")  # a proxy may speak TLS for us
        # No browser sends an Authorization header for a page that does not know the token.
        is_ours = origin.lower() in ours if origin is not None else bool(_bearer(environ))
        if not is_ours or site not in ("same-origin", "none"):
            raise Refused(403, "This request comes from another site", "Use the page itself, or a bearer token.")

    def _cookie_value(self, token: str) -> str:
        """Not the token itself: who sees the cookie cannot make an address of it."""
        return hmac.new(token.encode(), self._cookie.encode(), hashlib.sha256).hexdigest()

    def _set_cookie(self, token: str) -> str:
        return f"{self._cookie}={self._cookie_value(token)}; Path=/; HttpOnly; SameSite=Strict"

    def _cookie_of(self, environ: WSGIEnvironment) -> str:
        # By hand: of other programs' cookies for this host, SimpleCookie drops all behind one that it does not like.
        for each in environ.get("HTTP_COOKIE", "").split(";"):
            name, _, value = each.strip().partition("=")
            if name == self._cookie:
                return str(value)
        return ""

    def _comes_from_elsewhere(self, environ: WSGIEnvironment) -> bool:
        """A link to us on another site: the browser has kept the cookie back, and will not for the next step."""
        return (
            environ["REQUEST_METHOD"] == "GET"
            and environ.get("HTTP_SEC_FETCH_SITE") in ("cross-site", "same-site")
            and environ.get("HTTP_SEC_FETCH_MODE") == "navigate"
        )

    def _go_on(self, environ: WSGIEnvironment, *headers: tuple[str, str]) -> Answer:
        rest = [each for each in parse_qsl(environ.get("QUERY_STRING", "")) if each[0] != TOKEN_PARAMETER]
        # One slash: with two, the rest would be a host's name. Quoted: what is left can end neither the attribute nor the tag.
        path = "/" + quote(environ["PATH_INFO"].lstrip("/\\"), safe="/@:-._~")
        url = path + (f"?{urlencode(rest)}".replace("&", "&amp;") if rest else "")
        return Answer(status_line(200), _AGAIN.format(url=url).encode(), HTML, headers)


def _bearer(environ: Mapping[str, str]) -> str:
    scheme, _, value = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def _is_same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode())

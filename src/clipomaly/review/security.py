"""What stands between the network and the app: who may ask at all.

Host            loopback names and addresses; else addresses, this machine's name, and names allowed
                by hand (a name that an attacker's DNS points here is refused: rebinding)
token           asked for wherever the app listens beyond loopback; given once by `?token=`, then a cookie
writing         needs the page's secret in a header and the page's own Origin: a foreign form has neither
size            a body beyond the limit is refused before it is read whole
answers         headers that keep pages out of frames, scripts to our own files, and types unguessed
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from clipomaly.errors import ConfigError
from clipomaly.review.pages import error_page, is_visit

__all__ = ["CSRF_HEADER", "Guard", "Policy", "host_name", "is_loopback"]

CSRF_HEADER = "x-clipomaly-csrf"
MAX_BODY = 1 << 20
"""Bytes; five thousand finding ids are a tenth of it."""
_SHORTEST_TOKEN = 16
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), usb=(), payment=()",
}
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address.

    >>> is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def host_name(header: str) -> str | None:
    """The name in a Host header, without its port; None if it is not one.

    >>> host_name("[::1]:8000"), host_name("example.org"), host_name("a b")
    ('::1', 'example.org', None)
    """
    try:
        parts = urlsplit(f"//{header}")
        _ = parts.port
    except ValueError:
        return None
    if parts.username is not None or parts.path or parts.query or parts.fragment or " " in header:
        return None
    return parts.hostname


@dataclass(frozen=True)
class Policy:
    """Who may ask."""

    host: str = "127.0.0.1"
    """The address that the app listens on."""
    token: str | None = None
    names: frozenset[str] = frozenset()
    """Further names by which browsers may call this machine."""
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    """What the pages know and foreign pages do not."""
    max_body: int = MAX_BODY
    secure: bool = False
    """Whether browsers reach us by https only."""

    @classmethod
    def make(
        cls, host: str, token: str | None = None, names: Iterable[str] = (), secure: bool = False
    ) -> Policy:
        """A policy; beyond loopback a token is made where none is given."""
        if token is not None and len(token) < _SHORTEST_TOKEN:
            raise ConfigError(
                f"a token has at least {_SHORTEST_TOKEN} characters: leave it out to have one made"
            )
        if token is None and not is_loopback(host):
            token = secrets.token_urlsafe(24)
        return cls(host, token, frozenset(n.lower() for n in names), secure=secure)

    @property
    def session(self) -> str:
        """What the cookie holds: it proves the token and does not tell it."""
        return hmac.new((self.token or "").encode(), b"clipomaly review", hashlib.sha256).hexdigest()

    def allows_host(self, header: str) -> bool:
        """Whether a request for this Host is answered."""
        name = host_name(header)
        if name is None:
            return False
        if name in self.names or is_loopback(name):
            return True
        if is_loopback(self.host):
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in (self.host.lower(), socket.gethostname().lower(), socket.getfqdn().lower())
        return True  # nobody can point an address elsewhere

    def knows(self, scope: Scope) -> bool:
        """Whether the request brings the token, or the cookie that stands for it."""
        if self.token is None:
            return True
        scheme, _, given = _header(scope, "authorization").partition(" ")
        if scheme.lower() == "bearer" and _same(given.strip(), self.token):
            return True
        try:
            cookie = SimpleCookie(_header(scope, "cookie")).get(_COOKIE)
        except CookieError:
            return False
        return cookie is not None and _same(cookie.value, self.session)


_COOKIE = "clipomaly-session"


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


def _header(scope: Scope, name: str) -> str:
    values = [v.decode("latin-1") for k, v in scope["headers"] if k == name.encode()]
    return (
        values[0] if len(values) == 1 else ""
    )  # several Hosts, Origins or lengths are nobody's honest request


class Guard:
    """The policy as a layer around an ASGI app."""

    def __init__(self, app: Any, policy: Policy) -> None:
        self.app = app
        self.policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on with a body that cannot outgrow the limit."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # the app has no websockets: uvicorn closes them
        refusal = self._refusal(scope)
        if refusal is not None:
            await _answer(send, *refusal, page=_visits(scope))
            return
        signed_in = self._sign_in(scope)
        if signed_in is not None:
            await _answer(send, 303, "", signed_in)
            return
        if not self.policy.knows(scope):
            told = "This app asks for its token: open the address that the program printed."
            await _answer(send, 401, told, page=_visits(scope))
            return
        body = _Body(receive, self.policy.max_body)
        sending = _Headers(send, body, private=scope["path"].startswith("/picture/"))
        try:
            await self.app(scope, body, sending)
        except _TooLarge:
            if not sending.started:
                await _answer(send, 413, f"A request has at most {self.policy.max_body} bytes.")

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        if not self.policy.allows_host(_header(scope, "host")):
            return 421, "This host name is not allowed here: give it to --allow-host if it is yours."
        length = _header(scope, "content-length")
        if length and (not length.isdigit() or int(length) > self.policy.max_body):
            return 413, f"A request has at most {self.policy.max_body} bytes."
        if scope["method"] in ("GET", "HEAD"):
            return None
        if scope["method"] != "POST":
            return 405, "Only GET and POST are known here."
        origin = _header(scope, "origin")
        if origin and urlsplit(origin).netloc.lower() != _header(scope, "host").lower():
            return 403, "This request comes from a foreign page."
        if _header(scope, "sec-fetch-site") not in ("", "same-origin", "none"):
            return 403, "This request comes from a foreign page."
        if not _same(_header(scope, CSRF_HEADER), self.policy.secret):
            return 403, "This page is from before the last start of the program: reload it."
        if _header(scope, "content-type").partition(";")[0].strip().lower() != "application/json":
            return 415, "Requests that write are JSON."
        return None

    def _sign_in(self, scope: Scope) -> list[tuple[str, str]] | None:
        """`?token=` becomes a cookie, and goes from the address (history, logs, screenshots)."""
        if self.policy.token is None or scope["method"] != "GET":
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for key, value in query if key == "token"]
        if not given or not _same(given[-1], self.policy.token):
            return None
        rest = urlencode([(key, value) for key, value in query if key != "token"])
        path = "/" + scope["path"].lstrip("/")  # two slashes would lead to another host
        flags = "Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if self.policy.secure else "")
        return [
            ("location", (urlencode({"": path})[1:].replace("%2F", "/")) + (f"?{rest}" if rest else "")),
            ("set-cookie", f"{_COOKIE}={self.policy.session}; {flags}"),
        ]


class _TooLarge(Exception):
    pass


class _Body:
    """Counts what comes in: a length that was not told, or was told wrongly, helps nobody."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._left = limit
        self.over = False

    async def __call__(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                self.over = True
                raise _TooLarge
        return message


class _Headers:
    """Adds the headers to every answer."""

    def __init__(self, send: Send, body: _Body | None = None, *, private: bool = False) -> None:
        self._send = send
        self._body = body
        self._private = private
        self.started = False

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            if self._body is not None and self._body.over:
                message["status"] = (
                    413  # a framework takes the end of reading for a body that it cannot parse
                )
            have = {key for key, _ in message["headers"]}
            more = dict(_HEADERS)
            if not (self._private and message["status"] == 200):
                more["cache-control"] = "no-store"
            message["headers"] = [
                *message["headers"],
                *((k.encode(), v.encode()) for k, v in more.items() if k.encode() not in have),
            ]
        await self._send(message)


def _visits(scope: Scope) -> bool:
    return is_visit(scope["method"], scope["path"], _header(scope, "accept"))


async def _answer(
    send: Send, status: int, text: str, headers: Iterable[tuple[str, str]] = (), *, page: bool = False
) -> None:
    body = (error_page(status, text) if page else json.dumps({"error": text}) if text else "").encode()
    await _Headers(send)(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"text/html; charset=utf-8" if page else b"application/json"),
                (b"content-length", str(len(body)).encode()),
                *((k.encode(), v.encode()) for k, v in headers),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})

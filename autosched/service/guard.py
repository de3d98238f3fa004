"""Who may ask: a wrapper of the whole application that sees every request first, and each answer.

On loopback whoever is on this machine may ask, but no page of another site in their browser: its
requests name another host or origin. Elsewhere a token is required, in a header or, of a browser, a
cookie that is made from it and that no script can read.
"""

import hashlib
import hmac
import json
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any

from autosched.cluster.addresses import is_loopback
from autosched.errors import ServiceError
from autosched.passwords import hide_passwords

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "autosched"
SHORTEST_TOKEN = 16
_LONGEST_PATH = 300
_OPEN = ("/", "/page.css", "/page.js", "/favicon.ico", "/api/login")
"""What is shown to whoever asks: it says nothing of any study."""
_READS = ("GET", "HEAD", "OPTIONS")
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Access:
    """Who may ask: with ``token``, who has it; on ``loopback``, only under this machine's names."""

    token: str | None = None
    loopback: bool = True
    is_tls: bool = False

    def __post_init__(self) -> None:
        if self.token is None and not self.loopback:
            raise ServiceError(
                "whoever reaches another address than this machine's own could run programs here: "
                "give a token by --token-file FILE or AUTOSCHED_TOKEN, or leave --host out"
            )
        if self.token is not None and len(self.token) < SHORTEST_TOKEN:
            raise ServiceError(
                f"the token has fewer than {SHORTEST_TOKEN} characters and could be guessed; make "
                "one with: openssl rand -hex 32"
            )

    @property
    def cookie(self) -> str:
        """What a browser is given for the token: it tells nothing of it, and ends with it."""
        key = (self.token or "").encode()
        return hmac.new(key, b"autosched page", hashlib.sha256).hexdigest()

    def accepts(self, token: str) -> bool:
        """Whether a token is the right one; it takes as long for each wrong one."""
        return self.token is None or _same(token, self.token)

    def admits(self, headers: Mapping[str, str]) -> bool:
        """Whether a request has the token, or the cookie made from it."""
        if self.token is None:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.accepts(given.strip()):
            return True
        return _same(_cookie_of(headers.get("cookie", "")), self.cookie)

    def refuses_host(self, headers: Mapping[str, str]) -> bool:
        """Whether a request names a host that is not this machine: a name made to lead here."""
        return self.loopback and not is_loopback(_host_name(headers.get("host", "")))

    @staticmethod
    def refuses_origin(headers: Mapping[str, str], scheme: str) -> bool:
        """Whether a page of another site has sent a request."""
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return True
        origin = headers.get("origin")
        return origin is not None and origin != f"{scheme}://{headers.get('host', '')}"


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _host_name(host: str) -> str:
    """Return what of a Host header is the name: "127.0.0.1" of "127.0.0.1:8712"."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _cookie_of(header: str) -> str:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return "" if found is None else found.value


class _TooLargeError(Exception):
    """A body has more bytes than are taken."""


class _Body:
    """What is received of a request, counted, since a request need not say how much it is."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._left = limit
        self.is_too_large = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self.is_too_large = True
            raise _TooLargeError
        return message


class Guard:
    """The application, behind its checks."""

    def __init__(
        self,
        app: App,
        access: Access,
        largest: Mapping[str, int],
        say: Callable[[str], None] = lambda _: None,
        complain: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Guard an application.

        ``largest`` is how many bytes a body may have, by path, "" of all others. Each request is
        told to ``say`` in a line, a defect to ``complain`` with its traceback.
        """
        self._app = app
        self._access = access
        self._largest = largest
        self._say = say
        self._complain = complain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it over."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.monotonic()
        headers = _headers_of(scope)
        body = _Body(receive, self._limit(scope))
        status = 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *self._headers(message)]
            await send(message)

        async def sent_by_app(message: Message) -> None:
            # What the application makes of a body that was cut is of no interest.
            if not body.is_too_large:
                await sent(message)

        refusal = self._refusal(scope, headers)
        try:
            if refusal is None:
                await self._app(scope, body.receive, sent_by_app)
            else:
                await _refuse(sent, *refusal)
        except _TooLargeError:
            pass
        except Exception as error:
            self._complain(hide_passwords("".join(traceback.format_exception(error))))
        finally:
            if body.is_too_large and not status:
                await _refuse(sent, 413, "the request is too large")
            took_ms = 1000 * (time.monotonic() - began)
            client = (scope.get("client") or ("-",))[0]
            self._say(f"{client} {scope['method']} {_as_sent(scope)} {status} {took_ms:.0f} ms")

    def _headers(self, message: Message) -> list[tuple[bytes, bytes]]:
        own = {name.lower() for name, _ in message.get("headers", ())}
        return [
            (name.encode(), value.encode())
            for name, value in _HEADERS.items()
            if name.encode() not in own
        ]

    def _refusal(self, scope: Scope, headers: Mapping[str, str]) -> tuple[int, str] | None:
        if self._access.refuses_host(headers):
            return 421, "this service answers under the names of this machine alone: 127.0.0.1"
        if scope["method"] not in _READS and self._access.refuses_origin(headers, scope["scheme"]):
            return 403, "a page of another site may not ask for this"
        if scope["path"] not in _OPEN and not self._access.admits(headers):
            return 401, "the service's token is required: Authorization: Bearer TOKEN"
        if _length(headers) > self._limit(scope):
            return 413, f"a request of more than {self._limit(scope):,} bytes is not taken"
        return None

    def _limit(self, scope: Scope) -> int:
        return self._largest.get(scope["path"], self._largest[""])


def _headers_of(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _as_sent(scope: Scope) -> str:
    """Return the path as it was sent, so that whatever is in it stays on one line."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "replace")
    text = raw.partition(b"?")[0][:_LONGEST_PATH].decode("latin-1")
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _length(headers: Mapping[str, str]) -> int:
    text = headers.get("content-length", "0")
    return int(text) if text.isdecimal() and len(text) < 20 else 0


async def _refuse(send: Send, status: int, why: str) -> None:
    body = json.dumps({"error": why}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

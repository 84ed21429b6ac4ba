"""What holds for every request: which hosts and sites may ask, the token, security headers, the access log.

- The ``Host`` must be a known name, so that no other site can reach the service under its own name (DNS rebinding).
- Requests that change something must not come from another site's page; there are no CORS headers.
- If there is a token, every request but ``/health``, the style and the log-in needs it, in the header
  ``Authorization: Bearer`` or as the cookie that the log-in sets.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from evaluation.values import shown

from .metrics import Metrics
from .problem import MEDIA_TYPE, Problem

__all__ = ["COOKIE", "Access", "Guard", "is_loopback"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "detector_session"
OPEN = ("/health", "/login", "/static/page.css")  # without a token
DRAIN_SECONDS = 3  # for the rest of a body whose response has been sent already
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with no-referrer, browsers send our own forms with "Origin: null"
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
log = logging.getLogger("detector.serve.access")


def is_loopback(host: str) -> bool:
    """Return whether *host* is this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Access:
    """Who may ask: the *host* that the service listens on, further *names* for it, and the *token* or None."""

    def __init__(self, host: str, names: tuple[str, ...] = (), token: str | None = None) -> None:
        self.names = {name.lower().strip("[]") for name in (host, "localhost", *names)}
        self.loopback = is_loopback(host)
        self.everywhere = host in ("0.0.0.0", "::")
        self.token = token
        self.session = secrets.token_urlsafe(32)  # value of the cookie; it ends with the service

    def knows_host(self, value: str) -> bool:
        """Return whether *value*, a ``Host`` header, names this service."""
        name = value.lower()
        name = name[1 : name.find("]")] if name.startswith("[") else name.partition(":")[0]
        if name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # a name can be made to point here, an address cannot
        return self.everywhere or (self.loopback and address.is_loopback)

    def has_token(self, value: str) -> bool:
        """Return whether *value* is the token, in a time that does not tell how much of it is right."""
        return self.token is not None and hmac.compare_digest(value.encode(), self.token.encode())

    def allows(self, headers: dict[str, str]) -> bool:
        """Return whether *headers* have the token or the cookie."""
        if self.token is None:
            return True
        kind, _, value = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.has_token(value.strip()):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and hmac.compare_digest(cookie.value.encode(), self.session.encode())


class Guard:
    """The ASGI application *app* behind the rules of this module."""

    def __init__(self, app: App, access: Access, metrics: Metrics) -> None:
        self.app, self.access, self.metrics = app, access, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self.metrics)
        try:
            self._check(scope, exchange.headers)
        except Problem as problem:
            if problem.code == "no_token" and _is_page(scope, exchange.headers):
                await exchange.redirect("/login")
            else:
                await exchange.refuse(problem)
        else:
            await self.app(scope, exchange.receive, exchange.send)
        finally:
            exchange.write_log()

    def _check(self, scope: Scope, headers: dict[str, str]) -> None:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        host = headers.get("host", "")
        if len(hosts) != 1 or not self.access.knows_host(host):
            raise Problem("other_host", "the Host header names another server; --allow-host adds a name")
        if scope["method"] not in ("GET", "HEAD", "OPTIONS") and _from_other_site(headers, host):
            raise Problem("other_site", "the request comes from a page of another site")
        if scope["path"] not in OPEN and not self.access.allows(headers):
            raise Problem("no_token", "send the token: Authorization: Bearer TOKEN")


def _from_other_site(headers: dict[str, str], host: str) -> bool:
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2].lower() != host.lower()


def _is_page(scope: Scope, headers: dict[str, str]) -> bool:
    """Return whether a person asks for a page."""
    page = scope["path"] == "/" or scope["path"].startswith("/results")
    return page and scope["method"] == "GET" and "text/html" in headers.get("accept", "")


class _Exchange:
    """A request and its response.

    If the response comes before the end of the request's body, the rest is read for a moment: if the connection were
    closed at once, most clients would report that it is broken, not the response.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, metrics: Metrics) -> None:
        self.scope, self._receive, self._send, self.metrics = scope, receive, send, metrics
        self.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        self.received = "transfer-encoding" not in self.headers and self.headers.get("content-length", "0") == "0"
        self.status = 0
        self.began = time.monotonic()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self.received = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.metrics.responses[self.status] += 1
            given = [(name.lower(), value) for name, value in message.get("headers", [])]
            own = {name for name, _ in given}
            given += [(n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in own]
            if not self.received:
                given.append((b"connection", b"close"))
            await self._send({**message, "headers": given})
        elif not message.get("more_body", False) and not self.received:
            await self._send({**message, "more_body": True})
            await self._drain()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await self._send(message)

    async def _drain(self) -> None:
        end = time.monotonic() + DRAIN_SECONDS
        while not self.received and time.monotonic() < end:
            try:
                await asyncio.wait_for(self.receive(), max(0, end - time.monotonic()))
            except TimeoutError:
                return

    async def refuse(self, problem: Problem) -> None:
        """Answer with *problem*."""
        await self._respond(problem.status, problem.body(), {"content-type": MEDIA_TYPE, **problem.headers()})

    async def redirect(self, path: str) -> None:
        """Send the client to *path*."""
        await self._respond(303, b"", {"location": path})

    async def _respond(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        encoded.append((b"content-length", str(len(body)).encode()))
        await self.send({"type": "http.response.start", "status": status, "headers": encoded})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})

    def write_log(self) -> None:
        """Log the request on one line; ids of results and names of files are left out."""
        client = self.scope.get("client")
        given = self.scope.get("state", {}).get("shown", "")
        took = time.monotonic() - self.began
        route = _route(self.scope)
        name = f" {shown(given)}" if given else ""
        log.info(
            "%s %s %s %s %.3f s%s", client[0] if client else "-", self.scope["method"], route, self.status, took, name
        )


def _route(scope: Scope) -> str:
    """Return the path of the route that answered, with the names of its parameters; ``other`` if there was none."""
    known = scope.get("state", {}).get("route")
    return str(known) if known else "other"

"""What every request passes before a view: it is logged and counted, must come from our pages, by a browser that is new enough.

A request is logged by its route and not by its path: paths and queries carry the ids of keys, and tokens of mailed links.
"""

import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webapp import logs
from webapp.settings import Settings
from webapp.web import browsers, paths
from webapp.web.guards import View
from webapp.web.state import Request

Count = Callable[[str, str, int, float], None]
"""Counts a request: its method, route, status, and how many seconds it took."""

log = logging.getLogger("keystead.requests")


class Requests:
    """ASGI middleware, the outermost: gives each request its id, and once it is answered logs it and has it counted."""

    def __init__(self, app: ASGIApp, count: Count) -> None:
        self.app, self.count = app, count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        logs.request_id.set(secrets.token_hex(4))
        begun, status, ended = time.perf_counter(), 500, 0.0

        async def send_and_note(message: Message) -> None:
            nonlocal status, ended
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)
            ended = time.perf_counter()  # what is done after the answer, such as mailing, is not waited for

        try:
            await self.app(scope, receive, send_and_note)
        finally:
            method, route = logs.plain(scope["method"][:16]), getattr(scope.get("route"), "path", "none")
            seconds = (ended or time.perf_counter()) - begun
            self.count(method, route, status, seconds)
            logs.write(log, logging.INFO, "request", method=method, route=route, status=status, ms=round(seconds * 1000, 1))


class Checks:
    """ASGI middleware: what proxies ask for every request of every app goes straight to its view.

    Nothing on the way is for it: there is no page, no cookie and no form, and the proxy logs the request already. But a cache
    that kept an answer would tell an app of somebody else.
    """

    KEPT_BY_NOBODY = (b"cache-control", b"no-store")

    def __init__(self, app: ASGIApp, settings: Settings, view: View, count: Count) -> None:
        self.app, self.view, self.count = app, view, count
        self.paths = (paths.CHECK, settings.prefix + paths.CHECK)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in self.paths or scope["method"] != "GET":
            return await self.app(scope, receive, send)
        begun = time.perf_counter()
        response = await self.view(Request(scope, receive))
        response.raw_headers.append(self.KEPT_BY_NOBODY)
        await response(scope, receive, send)
        self.count("GET", paths.CHECK, response.status_code, time.perf_counter() - begun)


class SameOrigin:
    """ASGI middleware: an unsafe method must come from our own pages (OWASP CSRF Cheat Sheet, origin verification)."""

    def __init__(self, app: ASGIApp, settings: Settings, refusal: ASGIApp) -> None:
        self.app, self.settings, self.refusal = app, settings, refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        safe = scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS")
        allowed = safe or _from_here(Headers(scope=scope), self.settings.origin)
        await (self.app if allowed else self.refusal)(scope, receive, send)


class Supported:
    """ASGI middleware: a browser that is too old for our pages gets one that names what works. Advice, not a check.

    It comes as 403, so that whoever asks for `/account` to learn whether a visitor is signed in is not misled.
    """

    def __init__(self, app: ASGIApp, advice: Callable[[Scope, Receive, Send, str], Awaitable[None]]) -> None:
        self.app, self.advice = app, advice

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        browser = browsers.parse(Headers(scope=scope).get("user-agent", "")) if scope["type"] == "http" else None
        if browser and browser.too_old and "/static/" not in scope["path"] and not paths.is_for_apps(scope):
            return await self.advice(scope, receive, send, f"{browser.name} {browser.version}")
        await self.app(scope, receive, send)


def _from_here(headers: Headers, origin: str) -> bool:
    """`Origin` decides; where a browser sends none, `Sec-Fetch-Site`, then `Referer`; where there is nothing, no."""
    if (claimed := headers.get("origin")) is not None:
        return claimed == origin
    if (site := headers.get("sec-fetch-site")) is not None:
        return site == "same-origin"
    try:
        referer = urlsplit(headers.get("referer", ""))
    except ValueError:
        return False
    return f"{referer.scheme}://{referer.netloc}" == origin

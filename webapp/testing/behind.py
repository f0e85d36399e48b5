"""Applications behind a site that runs in this process: what a proxy does between browsers, an application, and Keystead.

About each request it asks Keystead, as Caddy's `forward_auth` does, and goes by the answer: the application gets the request with
the headers that Keystead gave, or the browser gets the answer. Never decides anything by itself.
"""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from anyio.from_thread import BlockingPortal
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.lifespan.on import LifespanOn

from webapp.web import forwarded, paths

PROXY = "192.0.2.250"
"""Where the proxy's requests come from (TEST-NET-1, RFC 5737)."""
TRUSTED = ip_network(PROXY)
_OVERWRITTEN = frozenset((*forwarded.ORIGINAL, *forwarded.FORWARDED, b"x-forwarded-for", b"forwarded"))
"""What a proxy says itself, whatever a client says."""


@dataclass(frozen=True, slots=True)
class Behind:
    """An application behind the site, at `url`, which ends without a slash."""

    name: str
    url: str


class Hosts:
    """ASGI: Keystead, or the application behind it whose host is asked for."""

    def __init__(self, keystead: ASGIApp, behind: MutableMapping[str, ASGIApp]) -> None:
        self.keystead, self.behind = keystead, behind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.behind.get(Headers(scope=scope).get("host", ""), self.keystead)(scope, receive, send)


class Relay:
    """ASGI: an application, with a proxy before it that asks Keystead."""

    def __init__(self, app: ASGIApp, keystead: ASGIApp, origin: str, state: dict[str, Any]) -> None:
        self.app, self.keystead, self.state = app, keystead, state
        self.scheme, _, self.host = origin.partition("://")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith(paths.APP_HOST):
            await self.keystead(_sent_by_proxy(scope), receive, send)
            return
        answer = await self._check(scope)
        onward = self._let_in(scope, answer) if answer.status_code == 200 else None
        await (self.app(onward, receive, send) if onward else answer(scope, receive, send))

    async def _check(self, scope: Scope) -> Response:
        """What Keystead says about this request, or about this websocket."""
        about = {
            "x-forwarded-method": scope.get("method", "GET"),
            "x-forwarded-proto": self.scheme,
            "x-forwarded-host": self.host,
            "x-forwarded-uri": _uri(scope),
        }
        asked = _sent_by_proxy({**scope, "type": "http", "method": "GET", "query_string": b""}, about)
        heard = _Heard()
        await self.keystead({**asked, "path": paths.CHECK, "raw_path": paths.CHECK.encode()}, _no_body, heard)
        return heard.response

    def _let_in(self, scope: Scope, answer: Response) -> Scope:
        """The request as the application gets it."""
        told = [(name, value) for name, value in answer.raw_headers if name.startswith(forwarded.OURS)]
        about = {"x-forwarded-proto": self.scheme, "x-forwarded-host": self.host}
        onward = _sent_by_proxy(scope, about)
        return {**onward, "headers": [*onward["headers"], *told], "state": self.state.copy()}


class _Heard:
    """The answer, which is short, as it comes in."""

    def __init__(self) -> None:
        self.response = Response()
        self.response.body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.response.status_code, self.response.raw_headers = message["status"], list(message["headers"])
        else:
            self.response.body = bytes(self.response.body) + message.get("body", b"")


@contextmanager
def started(app: ASGIApp, portal: BlockingPortal) -> Iterator[tuple[ASGIApp, dict[str, Any]]]:
    """The application, started and later stopped in this event loop, as a server does; and the state that it started with."""
    config = uvicorn.Config(app, log_config=None, proxy_headers=False)
    lifespan = LifespanOn(config)
    portal.call(lifespan.startup)
    if lifespan.should_exit:
        raise RuntimeError("the application behind Keystead does not start; the log says why")
    try:
        yield config.loaded_app, lifespan.state
    finally:
        portal.call(lifespan.shutdown)


def origin_of(name: str, public_url: str) -> str:
    """Where an application is that has a name of its own below the site's host, and the site's port."""
    site = urlsplit(public_url)
    return f"{site.scheme}://{name}.{site.netloc}"


def _sent_by_proxy(scope: Scope, about: dict[str, str] | None = None) -> Scope:
    """The same request from the proxy, which says where it got it from."""
    kept = [(name, value) for name, value in scope["headers"] if name.lower() not in _OVERWRITTEN]
    said = {"x-forwarded-for": (scope.get("client") or ("",))[0], **(about or {})}
    return {
        **scope,
        "client": (PROXY, 0),
        "headers": [*kept, *((name.encode(), text.encode("latin-1")) for name, text in said.items())],
    }


def _uri(scope: Scope) -> str:
    path = bytes(scope.get("raw_path") or scope["path"].encode())
    return b"?".join(filter(None, (path, scope["query_string"]))).decode("latin-1")


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}

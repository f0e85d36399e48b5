"""A StubKey in a real browser: a site on a port of this machine, whose pages find the key behind `navigator.credentials`.

For tests that drive a browser by whatever means, and have no virtual authenticator. The site runs in this process; its pages
bring a script that asks here what the key answers. Nothing that `keystead serve` runs imports this: no setting makes it do so.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import uvicorn
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webapp.testing.behind import Hosts
from webapp.testing.site import Site, running
from webapp.testing.stub_key import DOMException, Faults, StubKey

Kind = Literal["create", "get"]
_KINDS: dict[str, Kind] = {"create": "create", "get": "get"}

ROOM = "/stub-key/"
"""The paths of the script and of what it asks begin like this."""
_AS_IT_IS: dict[str, Any] = {"lifespan": "off", "ws": "none", "timeout_graceful_shutdown": 2}
"""The application was started before the server."""
SCRIPT = Path(__file__).with_name("stub_key.js")


@dataclass(slots=True)
class Slot:
    """Where the key of a browser is inserted. Tests may change both fields while pages are open.

    `key`: None, and nobody has a key at hand. `faults`: what goes wrong from the next ceremony on; `{}`, and nothing does.
    """

    key: StubKey | None = None
    faults: Faults = field(default_factory=Faults)

    def answer(self, kind: Kind, options: str, origin: str) -> str:
        """What the key answers to a page of this origin, as JSON; raises DOMException where it does not."""
        if self.key is None:
            raise DOMException("NotAllowedError", "no key is inserted")
        ask = self.key.create if kind == "create" else self.key.get
        return ask(options, origin, **self.faults)


class PluggedIn:
    """ASGI middleware: the pages of an application find the key in this slot. `prefix` is the path that they are under."""

    def __init__(self, app: ASGIApp, slot: Slot, prefix: str = "") -> None:
        self.app, self.slot, self.prefix = app, slot, prefix
        self.tag = f'<script src="{prefix}{ROOM}script.js"></script>'.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope.get("path", "")).removeprefix(self.prefix)
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif path.startswith(ROOM):
            response = await self._response(path.removeprefix(ROOM), Request(scope, receive))
            await response(scope, receive, send)
        else:
            await self.app(_uncompressed(scope), receive, _Marked(send, self.tag))

    async def _response(self, asked: str, request: Request) -> Response:
        if asked == "script.js":
            return Response(SCRIPT.read_bytes(), media_type="text/javascript")
        if request.method == "POST" and (kind := _KINDS.get(asked)):
            return self._answer(kind, (await request.body()).decode(), request.headers.get("origin", ""))
        return Response(status_code=404)

    def _answer(self, kind: Kind, options: str, origin: str) -> Response:
        """The credential's JSON, or the DOMException to reject with. The origin is the one that the browser names."""
        try:
            return Response(self.slot.answer(kind, options, origin), media_type="application/json")
        except DOMException as refused:
            return JSONResponse({"error": refused.name, "message": str(refused)})


class _Marked:
    """Sends on what an application sends; a page gets the script, before every other."""

    def __init__(self, send: Send, tag: bytes) -> None:
        self.send, self.tag = send, tag
        self.start: Message | None = None
        self.body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_page(message):
            self.start = message
        elif self.start and message["type"] == "http.response.body":
            self.body += message.get("body", b"")
            if not message.get("more_body"):
                await self._send_page(self.start)
        else:
            await self.send(message)

    async def _send_page(self, start: Message) -> None:
        body = self.body.replace(b"<head>", b"<head>" + self.tag, 1)
        if self.body:
            MutableHeaders(scope=start)["content-length"] = str(len(body))
        await self.send(start)
        await self.send({"type": "http.response.body", "body": body})


@contextmanager
def served(folder: Path, slot: Slot, **changes: Any) -> Iterator[Site]:
    """A site that browsers on this machine reach at `site.url`, with the key in this slot, until the block is left.

    `changes` are fields of Settings, as for `running`, which gives the same site without browsers.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = {"public_url": f"http://localhost:{listener.getsockname()[1]}"}  # browsers give keys to no 127.0.0.1
        with running(folder, **address | changes) as site:
            app = Hosts(PluggedIn(site.hosts.keystead, slot, site.settings.prefix), site.hosts.behind)
            server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, **_AS_IT_IS))
            serving = site.portal.start_task_soon(server.serve, [listener])
            try:
                yield site
            finally:
                server.should_exit = True
                serving.result()


def _is_page(start: Message) -> bool:
    return Headers(raw=start["headers"]).get("content-type", "").startswith("text/html")


def _uncompressed(scope: Scope) -> Scope:
    """The same request of a browser that wants plain text, so that the script can be put into it."""
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]}

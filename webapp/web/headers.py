"""The headers of every answer: what a browser may do with our pages, and what it may keep. Never differs by view."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webapp import templating
from webapp.settings import Settings
from webapp.web import paths

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_UNUSED = ("camera", "microphone", "geolocation", "payment", "usb", "serial", "hid", "bluetooth", "midi")
_PERMISSIONS = "publickey-credentials-get=(self), publickey-credentials-create=(self), " + ", ".join(
    f"{name}=()" for name in _UNUSED
)


def secure(settings: Settings) -> dict[str, str]:
    """What goes with every answer.

    The referrer policy is not `no-referrer`: with that, Chromium sends `Origin: null` from our own forms.
    """
    return {
        "content-security-policy": _CSP,
        "permissions-policy": _PERMISSIONS,
        "referrer-policy": "same-origin",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        **({"strict-transport-security": "max-age=31536000"} if settings.https else {}),
    }


class Headers:
    """ASGI middleware that adds them. Pages are never kept; files, whose address has their digest, for a year."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.prefix, self.made = app, settings.prefix, settings.made
        self.always = [(name.encode(), value.encode()) for name, value in secure(settings).items()]
        self.for_apps = [(name, value) for name, value in self.always if name != b"strict-transport-security"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        prefix = scope["root_path"] = self.prefix
        if not f"{scope['path']}/".startswith(f"{prefix}/"):
            scope["path"] = prefix + scope["path"]  # as ASGI wants it, also where the proxy takes the prefix away
        file = scope["path"].removeprefix(f"{prefix}/static/") if scope["path"].startswith(f"{prefix}/static/") else ""
        version = scope["query_string"].decode("latin-1")
        always = self.for_apps if paths.is_for_apps(scope) else self.always

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [*always, (b"cache-control", self._keep(file, version, message["status"]))]
            await send(message)

        await self.app(scope, receive, send_with_headers)

    def _keep(self, file: str, version: str, status: int) -> bytes:
        """For a year only the answer that is what its address says: a wrong version, or none, may be another tomorrow."""
        if not file:
            return b"no-store"
        found = status in (200, 304) and version and version == templating.version(file, self.made)
        return b"public, max-age=31536000, immutable" if found else b"no-cache"

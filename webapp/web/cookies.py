"""Our two cookies: the session's token, and the browser that has logged on before. Both signed; neither is trusted for more. A
third, which page.js sets, says how far the reader's clock is from UTC; it decides how times in letters are written, and nothing
else. A fourth is the code of a language.

A site at the root has `__Host-` cookies, which no sub-domain and no plain http can plant (RFC 6265bis §4.1.3.2). One that is
mounted under a path keeps its cookies to that path, and from its neighbours' applications.
"""

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webapp import languages, signing
from webapp.accounts import devices
from webapp.accounts.context import Device
from webapp.languages import Language
from webapp.settings import Settings
from webapp.web.state import Request

T = TypeVar("T")

YEAR = 31_536_000
MAX_ALIKE = 4
"""Cookies of one name that are looked at: other paths, or a parent domain, may have some."""
MAX_ZONE = 14 * 60
"""Kiribati is that far ahead of UTC, and nobody is further."""


def pairs(request: Request) -> Sequence[tuple[str, str]]:
    """Name and value of every cookie of this request, as they stand. HTTP/2 may bring each in a header of its own.

    Only blanks and tabs are cut off: what else Python takes for a blank would make `__Host-` of a name that is not, and that a
    site beside ours can set (PortSwigger, Cookie Chaos, 2025).
    """
    found: list[tuple[str, str]] | None = request.scope["state"].get("cookies")
    if found is None:
        texts = [pair.strip(" \t").partition("=") for line in request.headers.getlist("cookie") for pair in line.split(";")]
        found = request.state.cookies = [(name, value) for name, _, value in texts]
    return found


def plain(request: Request, name: str) -> str:
    """What a cookie says that anybody may have set; empty if it is not there. Never unquoted: Python takes a second for 32 kB of
    that (CVE-2024-7592, in the Pythons that we still run on).
    """
    return next((value for each, value in pairs(request) if each == name), "")


def only(request: Request, name: str, read: Callable[[str], T | None]) -> T | None:
    """What the cookie of this name says, to somebody who can `read` it. None also if two say different things: then a site beside
    ours has set one of them, and nobody knows which.
    """
    values = [value for each, value in pairs(request) if each == name]
    said = {found for value in values[:MAX_ALIKE] if (found := read(value)) is not None}
    return said.pop() if len(said) == 1 and len(values) <= MAX_ALIKE else None


def token(request: Request) -> str | None:
    """The session's token that this browser carries."""
    return _signed(request, "")


def hand_out(request: Request, token: str, keep: timedelta | None = None) -> None:
    """The answer carries this token: until the browser is closed, or for as long as it is to be kept."""
    request.state.fresh_token = token
    request.state.token_kept = f"; Max-Age={int(keep.total_seconds())}" if keep else ""


def take_away(request: Request) -> None:
    """The answer takes the session's cookie away."""
    request.state.fresh_token = ""


def device(request: Request) -> Device:
    """The browser; a new one, if it has not logged on before."""
    text = _signed(request, "-browser")
    return devices.load(text) if text else devices.new()


def zone(request: Request) -> int | None:
    """How many minutes the browser's clock is ahead of UTC, as page.js says; None where it does not, or says what cannot be."""
    text = plain(request, "keystead-zone")
    return int(text) if re.fullmatch(r"-?[0-9]{1,3}", text, re.ASCII) and abs(int(text)) <= MAX_ZONE else None


def app_name(origin: str) -> str:
    """What the cookie of an app is called, which is set on the app's own host. A nonce has its id behind it."""
    return "__Host-keystead-app" if origin.startswith("https:") else "keystead-app"


def on_app(origin: str, which: str, value: str, keep: timedelta | None = None) -> str:
    """A cookie for the host of an app; without a value it is taken away."""
    lasting = f"; Max-Age={int(keep.total_seconds())}" if keep else ""
    secure = "; Secure" if origin.startswith("https:") else ""
    return f"{app_name(origin)}{which}={value}{lasting if value else '; Max-Age=0'}; Path=/; HttpOnly{secure}; SameSite=Lax"


def language(request: Request) -> Language | None:
    """The language that was chosen in this browser; None for anything that is not one of ours."""
    return languages.KNOWN.get(plain(request, "keystead-language"))


def speak(request: Request, language: Language) -> None:
    """The answer makes this browser one in which this language was chosen."""
    request.state.spoken = language.code


def remember(request: Request, device: Device) -> None:
    """The answer makes this browser one that has logged on before."""
    request.state.known_browser = devices.dump(device)


def name(settings: Settings) -> str:
    """What the session's cookie is called; the browser's has `-browser` behind it."""
    if not settings.https:
        return "keystead"
    return "__Secure-keystead" if settings.prefix else "__Host-keystead"


class Cookies:
    """ASGI middleware that hands out the cookies of a session that was begun, stepped up or ended during the request."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def send_with_cookies(message: Message) -> None:
            if message["type"] == "http.response.start":
                state, headers = scope.get("state", {}), MutableHeaders(scope=message)
                if (token := state.get("fresh_token")) is not None:
                    headers.append("set-cookie", _cookie(self.settings, "", token, state.get("token_kept", "")))
                if spoken := state.get("spoken"):
                    headers.append("set-cookie", f"keystead-language={spoken}; Max-Age={YEAR}; {_where(self.settings)}")
                if known := state.get("known_browser"):
                    headers.append("set-cookie", _cookie(self.settings, "-browser", known, f"; Max-Age={YEAR}"))
            await send(message)

        await self.app(scope, receive, send_with_cookies)


def _cookie(settings: Settings, which: str, text: str, keep: str = "") -> str:
    value = signing.sign(settings.secret_keys, f"cookie{which}", text) + keep if text else "; Max-Age=0"
    return f"{name(settings)}{which}={value}; {_where(settings)}"


def _where(settings: Settings) -> str:
    return f"Path={settings.prefix or '/'}; HttpOnly; SameSite=Lax{'; Secure' if settings.https else ''}"


def _signed(request: Request, which: str) -> str | None:
    """What we put into this cookie; None if it is not there, or not ours."""
    settings = request.state.settings
    return only(request, name(settings) + which, lambda value: signing.unsign(settings.secret_keys, f"cookie{which}", value))

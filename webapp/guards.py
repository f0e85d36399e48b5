"""Refusals before a view runs. Every view is wrapped by one of these, and is handed what the guard has checked.

    @guards.anyone          nobody in particular            view(request)
    @guards.half_signed_in  password accepted, key owed     view(request, who: HalfSignedIn)
    @guards.signed_in       fully signed in                 view(request, who: SignedIn)
    @guards.proven          … with a proof that is fresh    view(request, who: Proven)

A half signed in session is never taken for a signed in one (CVE-2026-45690): the two are different types here.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from backends.records import Account, Bearer, Proof, SecurityKey, Session
from webapp import browsers, sessions
from webapp.settings import Settings
from webapp.state import Request

View = Callable[[Request], Awaitable[Response]]

LONGEST_BODY = 64 * 1024
"""A credential with an attestation certificate takes about 4 kB."""


@dataclass(frozen=True, slots=True)
class HalfSignedIn:
    """The password was right; the key is still owed."""

    account: Account
    session: Session
    keys: list[SecurityKey]


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Signed in, with everything that this account owes at logon."""

    account: Account
    session: Session
    keys: list[SecurityKey]


@dataclass(frozen=True, slots=True)
class Proven(SignedIn):
    """Signed in, and shown within ten minutes to be the person: by a key if any is bound, by a code otherwise."""


class NotSignedIn(Exception):
    """There is no session that may see this page."""


class KeyOwed(Exception):
    """Only half signed in: the key comes first."""


class AlreadySignedIn(Exception):
    """A page of the logon, asked for by somebody who has logged on."""


class NotProven(Exception):
    """Signed in, but without a fresh proof."""


class BadForm(Exception):
    """Not a form as our pages send them."""

    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text


def anyone(view: Callable[[Request], Awaitable[Response]]) -> View:
    """Says in the source that a view is open to everybody."""
    return view


def half_signed_in(view: Callable[[Request, HalfSignedIn], Awaitable[Response]]) -> View:
    """Only for a session that still owes its key."""

    @wraps(view)
    async def guarded(request: Request) -> Response:
        who = await _bearer(request)
        if who.session.stage != "half":
            raise AlreadySignedIn
        return await view(request, HalfSignedIn(who.account, who.session, who.keys))

    return guarded


def signed_in(view: Callable[[Request, SignedIn], Awaitable[Response]]) -> View:
    """Only for a full session."""

    @wraps(view)
    async def guarded(request: Request) -> Response:
        return await view(request, await _full(request))

    return guarded


def proven(view: Callable[[Request, Proven], Awaitable[Response]]) -> View:
    """Only for a full session with a fresh proof; without one the person is sent to give it."""

    @wraps(view)
    async def guarded(request: Request) -> Response:
        who = proof_of(await _full(request))
        if who is None:
            raise NotProven
        return await view(request, who)

    return guarded


async def visitor(request: Request) -> SignedIn | None:
    """Who is fully signed in, for a page that is open to everybody."""
    try:
        return await _full(request)
    except (NotSignedIn, KeyOwed):
        return None


def proof_of(who: SignedIn) -> Proven | None:
    """The same person, if the session's proof is fresh and good enough.

    Keys bound: only touching one of them (or a recovery code) is; an e-mailed code alone never is (CVE-2026-3429).
    """
    enough: frozenset[Proof] = frozenset({"key", "recovery"}) if who.keys else frozenset({"key", "recovery", "code"})
    return Proven(who.account, who.session, who.keys) if sessions.is_fresh(who.session, enough) else None


def is_shut(account: Account) -> bool:
    """Whether the account is frozen, and no new password has been set since."""
    return account.frozen_at is not None and account.password_at <= account.frozen_at


async def form(request: Request) -> dict[str, str]:
    """The fields of a form as our pages send them; of a field that is there twice, the last. BadForm for anything else."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/x-www-form-urlencoded", ""):
        raise BadForm(415, "This page takes an ordinary form.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_BODY:
            raise BadForm(413, "That is more than this page takes.")
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=50, errors="strict"))
    except ValueError:
        raise BadForm(400, "That form could not be read.") from None
    if any("\0" in text for field in fields.items() for text in field):
        raise BadForm(400, "That form could not be read.")
    return fields


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
        if browser and browser.too_old and "/static/" not in scope["path"]:
            return await self.advice(scope, receive, send, f"{browser.name} {browser.version}")
        await self.app(scope, receive, send)


def local_path(text: str, otherwise: str) -> str:
    """`text` if it is a path on this site and nothing that a browser could take for another site, else `otherwise`.

    Browsers read a backslash as a slash and skip tabs and line ends, hence the list (CVE-2026-28512 and its like).
    """
    harmless = text.startswith("/") and not text.startswith("//") and all(" " < c and c not in "\\@\x7f" for c in text)
    return text if harmless and len(text) <= 2048 and text.isascii() else otherwise


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


async def _full(request: Request) -> SignedIn:
    who = await _bearer(request)
    if who.session.stage != "full":
        raise KeyOwed
    return SignedIn(who.account, who.session, who.keys)


async def _bearer(request: Request) -> Bearer:
    who = await sessions.bearer(request)
    if who is None or is_shut(who.account) or (who.account.frozen_at and who.session.stage == "full"):
        raise NotSignedIn
    return who

"""Where somebody is logged on: a signed cookie on their side, a record on ours. Never trusts the cookie for more than its token.

The token is 256 random bits; the record is kept under its SHA-256. Every step up (password, proof, key, bind, unbind) makes a
new token, so that a token seen or planted before is worth nothing after (CWE-384). A session that was ended cannot be stepped
up: the record is replaced only if it is still there.
"""

import hashlib
import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache

from itsdangerous import BadSignature, Signer
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backends.protocol import Seal
from backends.records import Account, Bearer, Event, Proof, Session, Use
from webapp import browsers, clock, limits
from webapp.settings import Settings
from webapp.state import Request

HALF_LIFETIME = timedelta(minutes=10)
"""How long a half signed in session may owe its key."""
PROOF_LIFETIME = timedelta(minutes=10)
KNOWN_ACCOUNTS = 8
"""How many accounts a browser is remembered for."""
SEEN_EVERY = timedelta(minutes=1)
"""How exact `seen_at` is: writing it on every request would cost a commit each."""


async def bearer(request: Request) -> Bearer | None:
    """Whose live session this request's cookie belongs to; it counts as seen now."""
    token = _token(request)
    if token is None:
        return None
    now = clock.now()
    found = await request.state.backend.bearer(_hash(token), now)
    if found is None or found.session.stage == "half" or now - found.session.seen_at < SEEN_EVERY:
        return found
    session = replace(found.session, seen_at=now, expires_at=_expiry(request.state.settings, found.session.begun_at, now))
    seen = await request.state.backend.record_seen(session.token_hash, now, session.expires_at)
    return replace(found, session=session) if seen else None


async def begin(request: Request, account: Account) -> Session:
    """A new half signed in session; what it replaces in this browser is ended."""
    await end(request)
    now = clock.now()
    token = secrets.token_urlsafe(32)
    session = Session(
        id=secrets.token_urlsafe(16),
        token_hash=_hash(token),
        account_id=account.id,
        stage="half",
        begun_at=now,
        seen_at=now,
        expires_at=now + HALF_LIFETIME,
        address=limits.address(request),
        browser=str(browsers.parse(request.headers.get("user-agent", ""))),
    )
    await request.state.backend.put_session(session)
    request.state.fresh_token = token
    return session


async def step_up(request: Request, session: Session, *, proof: Proof | None = None) -> Session | None:
    """The session under a new token and with this proof, if one is given; None if it was ended meanwhile."""
    token, stepped = _stepped_up(request, session, proof)
    if not await request.state.backend.record_session(session.token_hash, stepped):
        return None
    request.state.fresh_token = token
    return stepped


async def log_on(request: Request, session: Session, proof: Proof | None, seal: Seal, use: Use | None = None) -> Event | None:
    """The half signed in session steps up to a full one: the event that says so; None if it was ended meanwhile."""
    token, stepped = _stepped_up(request, session, proof)
    event = await request.state.backend.record_logon(session.token_hash, stepped, seal, use)
    if event is not None:
        request.state.fresh_token = token
    return event


async def end(request: Request) -> Session | None:
    """Log off: the record goes, and the cookie with it. What was ended."""
    token = _token(request)
    session = await request.state.backend.session(_hash(token), clock.now()) if token else None
    if session:
        await drop(request, session)
    request.state.fresh_token = ""
    return session


async def drop(request: Request, session: Session) -> None:
    """End this session, which the request's cookie need not belong to, and hand out no cookie for it."""
    await request.state.backend.remove_session(session.account_id, session.id)
    request.state.fresh_token = ""


def is_fresh(session: Session, proofs: frozenset[Proof]) -> bool:
    """Whether one of these proofs was given, at most ten minutes ago."""
    return session.proof in proofs and session.proven_at is not None and clock.now() - session.proven_at < PROOF_LIFETIME


def is_new_browser(request: Request, account: Account) -> bool:
    """Whether this browser has not logged on to this account before; from now on it has."""
    known = _known(request)
    tag = hashlib.sha256(f"keystead browser {account.id}".encode()).hexdigest()[:16]
    request.state.known_browser = ".".join([tag, *(other for other in known if other != tag)][:KNOWN_ACCOUNTS])
    return tag not in known


class Cookies:
    """ASGI middleware that hands out the cookie of a session that was begun, stepped up or ended during the request."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                state, headers = scope.get("state", {}), MutableHeaders(scope=message)
                if (token := state.get("fresh_token")) is not None:
                    headers.append("set-cookie", _cookie(self.settings, cookie_name(self.settings), token))
                if known := state.get("known_browser"):
                    name = cookie_name(self.settings) + "-browser"
                    headers.append("set-cookie", _cookie(self.settings, name, known, "; Max-Age=31536000"))
            await send(message)

        await self.app(scope, receive, send_with_cookie)


def cookie_name(settings: Settings) -> str:
    """`__Host-` keeps sub-domains and plain http from planting a cookie of ours (RFC 6265bis §4.1.3.2)."""
    return "__Host-keystead" if settings.https else "keystead"


def _stepped_up(request: Request, session: Session, proof: Proof | None) -> tuple[str, Session]:
    """A new token, and the session as it is under it."""
    now, token = clock.now(), secrets.token_urlsafe(32)
    return token, replace(
        session,
        token_hash=_hash(token),
        stage="full",
        seen_at=now,
        expires_at=_expiry(request.state.settings, session.begun_at, now),
        proof=proof or session.proof,
        proven_at=now if proof else session.proven_at,
    )


def _cookie(settings: Settings, name: str, text: str, keep: str = "") -> str:
    value = _signer(settings.secret_keys).sign(text).decode() + keep if text else "; Max-Age=0"
    return f"{name}={value}; Path=/; HttpOnly; SameSite=Lax{'; Secure' if settings.https else ''}"


def _token(request: Request) -> str | None:
    return _signed(request, cookie_name(request.state.settings))


def _known(request: Request) -> list[str]:
    return (_signed(request, cookie_name(request.state.settings) + "-browser") or "").split(".")


def _signed(request: Request, name: str) -> str | None:
    """What we put into this cookie; None if it is not there, or not ours."""
    value = request.cookies.get(name)
    try:
        return _signer(request.state.settings.secret_keys).unsign(value).decode() if value else None
    except (BadSignature, UnicodeError):
        return None


@cache
def _signer(keys: tuple[str, ...]) -> Signer:
    """The first of our keys signs, every one verifies; itsdangerous wants the newest last."""
    return Signer(list(reversed(keys)), salt="keystead.session", digest_method=hashlib.sha256)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _expiry(settings: Settings, begun_at: datetime, now: datetime) -> datetime:
    return min(begun_at + settings.session_lifetime, now + settings.session_idle)

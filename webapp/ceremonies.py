"""Ceremonies from begin to finish: a challenge that is ours, answered once, and what to tell a person whose ceremony failed.

Beginning writes nothing: the challenge travels in a signed token together with its purpose, its session and its end. Finishing
tells nothing of an answer before the token is spent in the backend, so that one challenge is judged once, also across processes.
Never says why to an attacker: reasons go to the log, words to the person.
"""

import hashlib
import logging
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Literal, TypeVar

from itsdangerous import BadSignature, Signer

from backends.protocol import AlreadySpent, CounterBehind
from backends.records import Event, SecurityKey, Spent, Use
from webapp import clock, events, logs, webauthn
from webapp.guards import HalfSignedIn, Proven, SignedIn
from webapp.settings import Settings
from webapp.state import Request
from webapp.webauthn import BoundKey, NotYours, Rejected, RelyingParty

LIFETIME = timedelta(minutes=5)
"""How long a ceremony may be answered (WebAuthn L3 §15.1 recommends 5 to 10 minutes)."""
TIMEOUT = timedelta(minutes=2)
"""How long the browser waits for a touch."""

T = TypeVar("T")
Purpose = Literal["bind", "logon", "prove"]
log = logging.getLogger("keystead.ceremonies")


@dataclass(frozen=True, slots=True)
class Ceremony:
    """What a ceremony form carries: the kind, the WebAuthn JSON options, and our signed state."""

    kind: Literal["create", "get"]
    options: str
    token: str


@dataclass(frozen=True, slots=True)
class Failure:
    """What to tell somebody whose ceremony failed; `again` where trying again makes sense. `kind` is our word, for counting."""

    kind: str
    title: str
    text: str
    again: bool = True


class Failed(Exception):
    """The ceremony did not end well; `failure` says it in words.

    `judged`: an answer came and was refused. `suspect`: the key whose counter went back.
    """

    def __init__(self, failure: Failure, *, judged: bool = False, suspect: SecurityKey | None = None) -> None:
        self.failure, self.judged, self.suspect = failure, judged, suspect


CANCELLED = Failure(
    "cancelled", "Cancelled", "No key was touched: the request was cancelled, or the key did not answer. Nothing has changed."
)
NO_KEY = Failure(
    "cancelled",
    "Cancelled",
    "No key of yours answered. The request was cancelled, or the key that you touched is not one of those bound to this account.",
)
TIMED_OUT = Failure(
    "timed out", "That took too long", "The browser waits two minutes for a touch. Have the key at hand, then try again."
)
ALREADY_BOUND = Failure(
    "already bound",
    "This key is already bound",
    "This key is bound to your account already. To bind another one, take this one out and insert the other.",
)
TAKEN = Failure("taken", "This key cannot be bound", "This key is already bound to an account. Use another key.")
NOT_YOURS = Failure(
    "not yours",
    "Not one of your keys",
    "That key is not bound to this account. Take it out, insert a key that is bound, and try again.",
)
INSECURE = Failure(
    "insecure",
    "This address cannot use keys",
    "Browsers use security keys only on secure pages of the right address. Open this site by its usual https:// address.",
    False,
)
UNSUPPORTED = Failure(
    "unsupported",
    "This browser cannot do that",
    "This browser, or the key you inserted, cannot do what is needed. Use Chrome or Firefox on a PC, and a U2F or FIDO2 key.",
)
RUNNING = Failure(
    "already running",
    "Already waiting for a key",
    "Another request for your key is still open, perhaps in another tab. Close or cancel it, then try again.",
)
STALE = Failure("over", "This request is over", "It was answered already, or too much time has passed. Begin afresh.")
REFUSED = Failure(
    "refused", "The key's answer was not accepted", "What arrived could not be verified. Nothing has changed. Try again."
)
CLONE = Failure(
    "clone",
    "This key was refused",
    "It may have been copied: its counter went back. Use another of your keys, and tell whoever runs this site about it.",
)
NOT_ASKED = Failure(
    "not asked",
    "Your key was not asked",
    "A part of this page had not arrived yet, or JavaScript is switched off. Wait until the page is complete, then try again.",
)
UNKNOWN = Failure(
    "unknown", "That did not work", "The browser could not use the key. Take it out, insert it again, and try again."
)

_BY_NAME = {
    "": NOT_ASKED,
    "NotAllowedError": CANCELLED,
    "AbortError": CANCELLED,
    "TimeoutError": TIMED_OUT,
    "InvalidStateError": ALREADY_BOUND,
    "SecurityError": INSECURE,
    "NotSupportedError": UNSUPPORTED,
    "ConstraintError": UNSUPPORTED,
    "OperationError": RUNNING,
}


def begin_bind(request: Request, who: Proven) -> Ceremony:
    """A ceremony that makes a new credential; the keys that are bound already are excluded."""
    challenge = secrets.token_bytes(32)
    rp = relying_party(request.state.settings)
    options = webauthn.creation_options(rp, challenge=challenge, account=who.account, keys=who.keys, timeout=TIMEOUT)
    request.state.metrics.ceremony("bind", "begun")
    return Ceremony("create", options, _token(request, "bind", who, challenge))


def begin_use(request: Request, purpose: Literal["logon", "prove"], who: SignedIn | HalfSignedIn) -> Ceremony:
    """A ceremony that one of the account's keys can answer."""
    challenge = secrets.token_bytes(32)
    options = webauthn.request_options(relying_party(request.state.settings), challenge=challenge, keys=who.keys, timeout=TIMEOUT)
    request.state.metrics.ceremony(purpose, "begun")
    return Ceremony("get", options, _token(request, purpose, who, challenge))


async def finish_bind(request: Request, form: Mapping[str, str], who: Proven) -> BoundKey:
    """The key that answered. Failed otherwise."""
    with _counted(request, "bind"):
        return await _finish_bind(request, form, who)


async def finish_prove(request: Request, form: Mapping[str, str], who: SignedIn) -> SecurityKey:
    """The key that answered, its counter and time of use put down. Failed otherwise."""
    with _counted(request, "prove"):
        key, use = await _judged(request, form, "prove", who)
        await _recorded(request, key, request.state.backend.record_use(use))
    return key


async def finish_logon(request: Request, form: Mapping[str, str], who: HalfSignedIn) -> Event | None:
    """The event of the logon: the use of the key and the full session are put down in the same step. Failed otherwise.

    None if the session was ended meanwhile.
    """
    with _counted(request, "logon"):
        key, use = await _judged(request, form, "logon", who)
        return await _recorded(request, key, events.log_on(request, who.session, "key", key.name, use))


def relying_party(settings: Settings) -> RelyingParty:
    """Who we are to the browser; only the public URL says."""
    return RelyingParty(id=settings.rp_id, name=settings.name, origin=settings.origin, attestation=settings.attestation)


@contextmanager
def _counted(request: Request, purpose: Purpose) -> Iterator[None]:
    """Count how the ceremony ends."""
    try:
        yield
    except Failed as failed:
        request.state.metrics.ceremony(purpose, failed.failure.kind)
        raise
    request.state.metrics.ceremony(purpose, "accepted")


async def _finish_bind(request: Request, form: Mapping[str, str], who: Proven) -> BoundKey:
    challenge, ceremony = _asked(request, form, "bind", who)
    await _spend(request, ceremony)
    try:
        return webauthn.verify_bind(form.get("credential", ""), challenge=challenge, rp=relying_party(request.state.settings))
    except Rejected as rejected:
        raise _refused(rejected, who) from rejected


async def _judged(
    request: Request, form: Mapping[str, str], purpose: Literal["logon", "prove"], who: SignedIn | HalfSignedIn
) -> tuple[SecurityKey, Use]:
    """The key that answered, and what is to be put down of it."""
    challenge, ceremony = _asked(request, form, purpose, who)
    rp = relying_party(request.state.settings)
    try:
        used = webauthn.verify_use(
            form.get("credential", ""), challenge=challenge, rp=rp, account_id=who.account.id, keys=who.keys
        )
    except Rejected as rejected:
        await _spend(request, ceremony)
        raise _refused(rejected, who) from rejected
    key = next(key for key in who.keys if key.id == used.id)
    return key, Use(key_id=used.id, sign_count=used.sign_count, at=clock.now(), ceremony=ceremony)


async def _recorded(request: Request, key: SecurityKey, recording: Awaitable[T]) -> T:
    """What comes of putting the key's use down; in words what the backend has against it."""
    try:
        return await recording
    except AlreadySpent:
        raise Failed(STALE) from None
    except CounterBehind:
        if all(bound.id != key.id for bound in await request.state.backend.keys_of(key.account_id)):
            raise Failed(NOT_YOURS) from None  # unbound at this very moment
        logs.put(log, logging.WARNING, "counter not above the stored one", account=key.account_id)
        raise Failed(CLONE, judged=True, suspect=key) from None


def _asked(request: Request, form: Mapping[str, str], purpose: Purpose, who: SignedIn | HalfSignedIn) -> tuple[bytes, Spent]:
    """The challenge that the form answers, and what must be spent before the answer counts.

    Failed if the browser gave no answer, or if the ceremony is not ours, not of this session and purpose, or over.
    """
    if not form.get("credential"):
        raise Failed(_unanswered(purpose, form.get("failure", "")))
    try:
        state = _signer(request.state.settings.secret_keys).unsign(form.get("ceremony", "")).decode()
        text, signed_purpose, session_id, ends_ms = state.split(" ")
    except (BadSignature, ValueError):
        logs.put(log, logging.WARNING, "ceremony token not ours", account=who.account.id)
        raise Failed(STALE) from None
    ends_at = datetime.fromtimestamp(int(ends_ms) / 1000, UTC)
    if (signed_purpose, session_id) != (purpose, who.session.id) or ends_at <= clock.now():
        raise Failed(STALE)
    return urlsafe_b64decode(text), Spent(id=f"ceremony {text}", expires_at=ends_at)


async def _spend(request: Request, ceremony: Spent) -> None:
    if not await request.state.backend.spend_once(ceremony.id, ceremony.expires_at):
        raise Failed(STALE)


def _unanswered(purpose: Purpose, name: str) -> Failure:
    """What the browser's DOMException means here (WebAuthn L3 §5.1.3 and §5.1.4.1)."""
    if purpose != "bind" and name in ("NotAllowedError", "InvalidStateError"):
        return NO_KEY if name == "NotAllowedError" else NOT_YOURS
    return _BY_NAME.get(name, UNKNOWN)


def _refused(rejected: Rejected, who: SignedIn | HalfSignedIn) -> Failed:
    logs.put(log, logging.WARNING, "answer rejected", account=who.account.id, reason=rejected.reason)
    return Failed(NOT_YOURS if isinstance(rejected, NotYours) else REFUSED, judged=True)


def _token(request: Request, purpose: Purpose, who: SignedIn | HalfSignedIn, challenge: bytes) -> str:
    ends_at = clock.now() + LIFETIME
    state = (urlsafe_b64encode(challenge).decode(), purpose, who.session.id, str(round(ends_at.timestamp() * 1000)))
    return _signer(request.state.settings.secret_keys).sign(" ".join(state)).decode()


@cache
def _signer(keys: tuple[str, ...]) -> Signer:
    """The first of our keys signs, every one verifies; itsdangerous wants the newest last."""
    return Signer(list(reversed(keys)), salt="keystead.ceremony", digest_method=hashlib.sha256)

"""Ceremonies from begin to finish: a challenge that is ours, answered once, and why a ceremony failed, as a word.

Beginning writes nothing: the challenge travels in a signed token together with its purpose, account, session and end. Finishing
verifies, and the commit that counts the answer also uses up the challenge. Why an answer was rejected goes to the log only.
"""

import logging
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from msgspec.structs import replace

from backends.records import Account, SecurityKey
from webapp import clock, logs, signing, webauthn
from webapp.accounts import domains, nonces, owed
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision, Refused
from webapp.accounts.events import Happened
from webapp.settings import Settings
from webapp.webauthn import NotYours, RegisteredCredential, Rejected, RelyingParty

LIFETIME = timedelta(minutes=5)
"""How long a ceremony may be answered (WebAuthn L3 §15.1 recommends 5 to 10 minutes)."""
TIMEOUT = timedelta(minutes=2)
"""How long the browser waits for a touch."""

Use = Literal["logon", "prove", "try", "found"]
Purpose = Literal["bind"] | Use
log = logging.getLogger("keystead.ceremonies")


@dataclass(frozen=True, slots=True)
class Ceremony:
    """What a ceremony form carries: the kind, the WebAuthn JSON options, and our signed state."""

    kind: Literal["create", "get"]
    options: str
    token: str


class Answer(NamedTuple):
    """What came back: the token, the credential in JSON, and the name of the DOMException where there is no credential."""

    token: str
    credential: str
    failure: str


class Failed(Refused):
    """The ceremony did not end well. `refused`: an answer came, and was not taken."""

    def __init__(self, kind: str, *, refused: bool = False, trace: Decision | None = None) -> None:
        super().__init__(kind, trace=trace, wrong="key" if refused else "")
        self.refused = refused


class _State(NamedTuple):
    """What the token of a ceremony says: the challenge in base64url, for whom and what, of which domain, and until when."""

    text: str
    purpose: str
    account_id: str
    session_id: str
    domain: str
    ends_ms: str

    @property
    def challenge(self) -> bytes:
        return urlsafe_b64decode(self.text)

    @property
    def ends_at(self) -> datetime:
        return datetime.fromtimestamp(int(self.ends_ms) / 1000, UTC)


def begin_bind(settings: Settings, account: Account, session_id: str) -> Ceremony:
    """A ceremony that makes a new credential; the keys that are bound already are excluded."""
    challenge = secrets.token_bytes(32)
    options = webauthn.creation_options(
        relying_party(settings), challenge=challenge, account_id=account.id, username=account.username, keys=account.keys,
        timeout=TIMEOUT,
    )  # fmt: skip
    return Ceremony("create", options, _token(settings, "bind", account.id, session_id, settings.rp_id, challenge))


def begin_use(
    settings: Settings,
    purpose: Use,
    account: Account,
    session_id: str,
    keys: tuple[SecurityKey, ...],
    domain: str = "",
) -> Ceremony:
    """A ceremony that one of these keys can answer: those of this domain, or of the first that has any.

    Failed("elsewhere") if all of them are bound to domains that are none of ours.
    """
    chosen = domains.choose(settings, keys, domain)
    if not chosen.keys:
        raise Failed("elsewhere")
    challenge = secrets.token_bytes(32)
    options = webauthn.request_options(challenge=challenge, keys=chosen.keys, timeout=TIMEOUT)
    return Ceremony("get", options, _token(settings, purpose, account.id, session_id, chosen.domain, challenge))


def register(account: Account, act: Act, session_id: str, answer: Answer) -> tuple[Account, RegisteredCredential]:
    """The credential that answered, and the account on which the ceremony is used up. Failed otherwise."""
    asked = _asked(account, act, "bind", session_id, answer)
    account = _used_up(account, act, asked)
    try:
        rp = relying_party(act.settings)
        return account, webauthn.verify_registration(answer.credential, challenge=asked.challenge, rp=rp)
    except Rejected as rejected:
        raise _refused(account, rejected) from rejected


def use(
    account: Account,
    act: Act,
    purpose: Use,
    session_id: str,
    keys: tuple[SecurityKey, ...],
    answer: Answer,
) -> tuple[Account, SecurityKey]:
    """The one of these keys that answered, and the account on which that is recorded and the ceremony used up. Failed otherwise.

    A counter that is not above the stored one, unless both are 0, means that the key may have been copied (WebAuthn L3 §7.2
    step 22): recorded, mailed, refused.
    """
    asked = _asked(account, act, purpose, session_id, answer)
    account = _used_up(account, act, asked)
    rp = relying_party(act.settings)
    keys = tuple(key for key in keys if key.rp_id == asked.domain)
    try:
        used = webauthn.verify_assertion(answer.credential, challenge=asked.challenge, rp=rp, account_id=account.id, keys=keys)
    except Rejected as rejected:
        raise _refused(account, rejected) from rejected
    key = next(key for key in keys if key.id == used.id)
    if used.sign_count <= key.sign_count and (used.sign_count or key.sign_count):
        raise _cloned(account, act, key)
    now = replace(key, sign_count=used.sign_count, used_at=act.now)
    return replace(account, keys=tuple(now if each.id == key.id else each for each in account.keys)), now


def relying_party(settings: Settings) -> RelyingParty:
    """Who we are to the browser; only the public URL says."""
    return RelyingParty(
        id=settings.rp_id, name=settings.name, origin=settings.origin,
        attestation=settings.attestation, earlier=settings.moved_from,
    )  # fmt: skip


def _asked(account: Account, act: Act, purpose: Purpose, session_id: str, answer: Answer) -> _State:
    """What the answer answers. Failed if there is none, or if the ceremony is not ours, not of this session, or over."""
    state = _state(act.settings, answer.token)
    if not answer.credential:
        is_earlier = state is not None and state.domain != act.settings.rp_id
        raise Failed(_unanswered(purpose, answer.failure, is_earlier=is_earlier))
    if state is None:
        logs.write(log, logging.WARNING, "ceremony token not ours", account=account.id)
        raise Failed("over")
    if (state.purpose, state.account_id, state.session_id) != (purpose, account.id, session_id) or state.ends_at <= act.now:
        raise Failed("over")
    return state


def _state(settings: Settings, token: str) -> _State | None:
    """What this token says; None if it is not ours, or of another version of ours."""
    words = (signing.unsign(settings.secret_keys, "ceremony", token) or "").split(" ")
    return _State(*words) if len(words) == len(_State._fields) else None


def _used_up(account: Account, act: Act, asked: _State) -> Account:
    try:
        return nonces.consume(account, act.now, f"ceremony {asked.text}", asked.ends_at)
    except nonces.Consumed:
        raise Failed("over") from None


_BY_NAME = {
    "": "not asked",
    "NotAllowedError": "no answer",
    "AbortError": "cancelled",
    "TimeoutError": "timed out",
    "InvalidStateError": "already bound",
    "SecurityError": "insecure",
    "NotSupportedError": "unsupported",
    "ConstraintError": "unsupported",
    "OperationError": "already running",
}


def _unanswered(purpose: Purpose, name: str, *, is_earlier: bool) -> str:
    """What the browser's DOMException means here (WebAuthn L3 §5.1.3 and §5.1.4.1).

    For a domain that we moved from, SecurityError says that its file does not name us, or that the browser looks at no such file.
    """
    if is_earlier and name == "SecurityError":
        return "moved"
    if purpose != "bind" and name in ("NotAllowedError", "InvalidStateError"):
        return "no key" if name == "NotAllowedError" else "not yours"
    return _BY_NAME.get(name, "unknown")


def _refused(account: Account, rejected: Rejected) -> Failed:
    logs.write(log, logging.WARNING, "answer rejected", account=account.id, reason=rejected.reason)
    return Failed("not yours" if isinstance(rejected, NotYours) else "refused", refused=True, trace=Decision(account))


def _cloned(account: Account, act: Act, key: SecurityKey) -> Failed:
    logs.write(log, logging.WARNING, "counter not above the stored one", account=account.id)
    told = owed.owe(account, act, "clone suspected", facts={"key": key.name})
    return Failed("clone", refused=True, trace=Decision(told, [Happened("clone suspected", key.name)]))


def _token(settings: Settings, purpose: Purpose, account_id: str, session_id: str, domain: str, challenge: bytes) -> str:
    ends_ms = str(round((clock.now() + LIFETIME).timestamp() * 1000))
    state = _State(urlsafe_b64encode(challenge).decode(), purpose, account_id, session_id, domain, ends_ms)
    return signing.sign(settings.secret_keys, "ceremony", " ".join(state))

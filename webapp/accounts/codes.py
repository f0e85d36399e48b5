"""Verification codes: six digits sent by e-mail. What is stored cannot be turned back into the digits without a secret of ours.

The digits are drawn from an HMAC over a random salt, so that the same code can be sent again without being kept anywhere, and
are bound to account, purpose, session and address: a code that was asked for in one place answers nothing in another. A guess
uses up a try by the commit that precedes telling whether it was right.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import Literal

from msgspec.structs import replace

from backends.records import Account, VerificationCode
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision, Refused

Purpose = Literal["bind", "email"]
DIGITS = 6
MAX_TRIES = 5
MAX_TEXT = 64
LIFETIME = timedelta(minutes=10)
RESEND_AFTER = timedelta(seconds=60)
KEPT = timedelta(hours=1)
"""How long an expired code is remembered, so that whoever types it late is told why it is not taken."""


class Wrong(Refused):
    """What was typed is no proof. `kind`: malformed, none waiting, expired, no tries left, wrong."""

    def __init__(self, kind: str, tries_left: int = 0, *, trace: Decision | None = None) -> None:
        super().__init__(kind, trace=trace, wrong="code" if kind in ("wrong", "no tries left") else "")
        self.tries_left = tries_left


class TooSoon(Refused):
    """A code was sent less than a minute ago; another may be in `seconds`."""

    def __init__(self, seconds: int) -> None:
        super().__init__("too soon")
        self.seconds = seconds


def waiting(
    account: Account, session_id: str, purpose: Purpose, now: datetime, email: str | None = None
) -> VerificationCode | None:
    """The code that waits to be typed, if it was sent to this session, and to this address where one is given."""
    code = _sent(account, session_id, purpose, email)
    return code if code and code.expires_at > now else None


def expired(
    account: Account, session_id: str, purpose: Purpose, now: datetime, email: str | None = None
) -> VerificationCode | None:
    """The code that was sent to this session, if nobody typed it in time."""
    code = _sent(account, session_id, purpose, email)
    return code if code and code.expires_at <= now else None


def again_in(account: Account, purpose: Purpose, now: datetime) -> int:
    """In how many seconds a mail may leave again: a minute after the last, at once where that code can no longer be typed."""
    last = next((each for each in account.codes if each.purpose == purpose), None)
    if last is None or not last.tries_left or last.expires_at <= now:
        return 0
    return max(0, ceil((last.sent_at + RESEND_AFTER - now).total_seconds()))


def digits(account_id: str, code: VerificationCode, keys: Sequence[str]) -> str | None:
    """The digits to send; None if the secret they were drawn with is no longer among ours."""
    for key in keys:
        drawn = _digits(account_id, code, key)
        if hmac.compare_digest(_digest(account_id, code, drawn, key), code.digest):
            return drawn
    return None


def consume(
    account: Account, act: Act, session_id: str, purpose: Purpose, typed: str, email: str | None = None
) -> tuple[Account, VerificationCode]:
    """The account without the code, and the code, if these are its digits. Wrong otherwise, with a try used up."""
    plain = normalise(typed)
    if plain is None:
        raise Wrong("malformed")
    code = waiting(account, session_id, purpose, act.now, email)
    if code is None:
        raise Wrong("expired" if expired(account, session_id, purpose, act.now, email) else "none waiting")
    if not code.tries_left:
        raise Wrong("no tries left")
    if not matches(account.id, code, plain, act.settings.secret_keys):
        spent = replace(code, tries_left=code.tries_left - 1)
        raise Wrong("wrong", spent.tries_left, trace=Decision(_with(account, spent)))
    return replace(account, codes=tuple(each for each in account.codes if each is not code)), code


def matches(account_id: str, code: VerificationCode, typed: str, keys: Sequence[str]) -> bool:
    """Whether these are the digits that were sent."""
    return any([hmac.compare_digest(_digest(account_id, code, typed, key), code.digest) for key in keys])


def normalise(text: str) -> str | None:
    """The six digits that somebody typed or pasted, with blanks and dashes forgiven; None if that is not a code."""
    kept = "".join(text[:MAX_TEXT].split()).replace("-", "")
    return str(int(kept)).zfill(DIGITS) if len(kept) == DIGITS and kept.isdecimal() else None


def new(account_id: str, session_id: str, purpose: Purpose, email: str, now: datetime, key: str) -> VerificationCode:
    """A code that this session can use for this purpose, once it has been read at this address."""
    code = VerificationCode(
        purpose=purpose,
        session_id=session_id,
        email=email,
        salt=secrets.token_bytes(16),
        digest=b"",
        tries_left=MAX_TRIES,
        made_at=now,
        sent_at=now,
        expires_at=now + LIFETIME,
    )
    return replace(code, digest=_digest(account_id, code, _digits(account_id, code, key), key))


# operations


def prepare(account: Account, act: Act, session_id: str, purpose: Purpose, email: str) -> Decision:
    """A code is about to be sent: the one that can still be typed, or a new one. TooSoon within a minute of the last."""
    if seconds := again_in(account, purpose, act.now):
        raise TooSoon(seconds)
    keys = act.settings.secret_keys
    again = waiting(account, session_id, purpose, act.now, email)
    if again and again.tries_left and digits(account.id, again, keys):
        return Decision(_with(account, replace(again, sent_at=act.now)))
    return Decision(_with(account, new(account.id, session_id, purpose, email, act.now, keys[0])))


def not_sent(account: Account, act: Act, purpose: str, digest: bytes) -> Decision:
    """The mail did not leave: the code may be asked for again at once. One that nobody has read or guessed at is forgotten."""
    code = next((each for each in account.codes if each.purpose == purpose and each.digest == digest), None)
    if code is None:
        return Decision(account)
    if code.made_at == code.sent_at and code.tries_left == MAX_TRIES:
        return Decision(replace(account, codes=tuple(each for each in account.codes if each is not code)))
    return Decision(_with(account, replace(code, sent_at=code.sent_at - RESEND_AFTER)))


def _sent(account: Account, session_id: str, purpose: Purpose, email: str | None) -> VerificationCode | None:
    found = next((each for each in account.codes if each.purpose == purpose and each.session_id == session_id), None)
    return found if found and email in (None, found.email) else None


def _with(account: Account, code: VerificationCode) -> Account:
    return replace(account, codes=(*(each for each in account.codes if each.purpose != code.purpose), code))


def _digits(account_id: str, code: VerificationCode, key: str) -> str:
    """256 bits taken modulo a million: the bias is below 2^-236."""
    return str(int.from_bytes(_mac(account_id, code, "digits", key)) % 10**DIGITS).zfill(DIGITS)


def _digest(account_id: str, code: VerificationCode, typed: str, key: str) -> bytes:
    return _mac(account_id, code, f"digest {typed}", key)


def _mac(account_id: str, code: VerificationCode, label: str, key: str) -> bytes:
    parts = (label, code.salt.hex(), account_id, code.purpose, code.session_id, code.email)
    return hmac.digest(key.encode(), "\0".join(("keystead code", *parts)).encode(), hashlib.sha256)

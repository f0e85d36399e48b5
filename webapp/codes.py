"""Verification codes: six digits sent by e-mail. What is stored cannot be turned back into the digits without a key of ours.

The digits are drawn from an HMAC over a random salt, so that the same code can be sent again without being kept anywhere, and
are bound to account, purpose, session and address: a code that was asked for in one place answers nothing in another.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from backends.records import Session, VerificationCode

DIGITS = 6
TRIES = 5
LIFETIME = timedelta(minutes=10)
RESEND_AFTER = timedelta(seconds=60)
SENDS_A_DAY = 10


def new(session: Session, purpose: str, email: str, now: datetime, keys: Sequence[str]) -> VerificationCode:
    """A code that this session can use for this purpose, once it has been read at this address."""
    code = VerificationCode(
        account_id=session.account_id,
        purpose=purpose,
        session_id=session.id,
        email=email,
        salt=secrets.token_bytes(16),
        digest=b"",
        tries_left=TRIES,
        made_at=now,
        sent_at=now,
        expires_at=now + LIFETIME,
    )
    return replace(code, digest=_digest(code, _digits(code, keys[0]), keys[0]))


def digits(code: VerificationCode, keys: Sequence[str]) -> str | None:
    """The digits to send again; None if the key they were drawn with is no longer among ours."""
    for key in keys:
        drawn = _digits(code, key)
        if hmac.compare_digest(_digest(code, drawn, key), code.digest):
            return drawn
    return None


def matches(code: VerificationCode, typed: str, keys: Sequence[str]) -> bool:
    """Whether these are the digits that were sent."""
    return any([hmac.compare_digest(_digest(code, typed, key), code.digest) for key in keys])


def tidy(text: str) -> str | None:
    """The six digits that somebody typed or pasted, with blanks and dashes forgiven; None if that is not a code."""
    kept = "".join(text.split()).replace("-", "")
    return str(int(kept)).zfill(DIGITS) if len(kept) == DIGITS and kept.isdecimal() else None


def _digits(code: VerificationCode, key: str) -> str:
    """256 bits taken modulo a million: the bias is below 2^-236."""
    return str(int.from_bytes(_mac(code, "digits", key)) % 10**DIGITS).zfill(DIGITS)


def _digest(code: VerificationCode, typed: str, key: str) -> bytes:
    return _mac(code, f"digest {typed}", key)


def _mac(code: VerificationCode, label: str, key: str) -> bytes:
    parts = (label, code.salt.hex(), code.account_id, code.purpose, code.session_id, code.email)
    return hmac.digest(key.encode(), "\0".join(("keystead code", *parts)).encode(), hashlib.sha256)

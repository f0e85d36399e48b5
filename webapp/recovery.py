"""Recovery codes: ten one-time codes on paper, for whoever has lost the key. Only their hashes are kept.

A code has 80 bits from the system's generator, so that its plain SHA-256 cannot be turned back, and no key of ours has to live as
long as a piece of paper. A set counts from the moment that one of its codes was typed back: until then the set before it does.
"""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from itsdangerous import BadData, URLSafeSerializer

from webapp import clock
from webapp.guards import SignedIn
from webapp.state import Request

HOW_MANY = 10
FEW = 2
"""With this many left, a mail says so."""
LIFETIME = timedelta(hours=1)
"""How long a set that was shown waits to be confirmed."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A set as it is shown, once; `token` is our signed note of its hashes."""

    codes: list[str]
    token: str


def new(request: Request, who: SignedIn) -> Shown:
    """A set of codes that is not in force yet."""
    codes = [_spelled(secrets.token_bytes(10)) for _ in range(HOW_MANY)]
    ends = round((clock.now() + LIFETIME).timestamp() * 1000)
    digests = [digest(who.account.id, code).hex() for code in codes]
    note = [secrets.token_urlsafe(16), who.session.id, ends, digests]
    return Shown(codes, str(_serializer(request.state.settings.secret_keys).dumps(note)))


async def confirm(request: Request, who: SignedIn, token: str, typed: str) -> bool | None:
    """Put the set in force: True. False if the typed code is not of it; None if the set is over, or was put in force before."""
    try:
        id, session_id, ends, digests = _serializer(request.state.settings.secret_keys).loads(token)
    except (BadData, ValueError, TypeError):
        return None
    ends_at, now = datetime.fromtimestamp(ends / 1000, UTC), clock.now()
    if session_id != who.session.id or ends_at <= now:
        return None
    if digest(who.account.id, typed).hex() not in digests:
        return False
    if not await request.state.backend.spend_once(f"recovery {id}", ends_at):
        return None
    await request.state.backend.put_recovery_codes(who.account.id, [bytes.fromhex(text) for text in digests], now)
    return True


def digest(account_id: str, typed: str) -> bytes:
    """What is kept of a code, however it is typed: small or capital letters, with or without dashes and blanks."""
    tidy = "".join(c for c in typed.upper() if c.isalnum()).replace("0", "O").replace("1", "I").replace("8", "B")
    return hashlib.sha256(json.dumps(["keystead recovery", account_id, tidy]).encode()).digest()


async def left(request: Request, account_id: str) -> int:
    """How many codes of the account can still be used."""
    return sum(code.spent_at is None for code in await request.state.backend.recovery_codes_of(account_id))


def _spelled(code: bytes) -> str:
    """Four groups of four letters and digits (base32: no 0, 1 or 8)."""
    text = base64.b32encode(code).decode()
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


@cache
def _serializer(keys: tuple[str, ...]) -> URLSafeSerializer:
    """The first of our keys signs, every one verifies; itsdangerous wants the newest last."""
    return URLSafeSerializer(list(reversed(keys)), salt="keystead.recovery", signer_kwargs={"digest_method": hashlib.sha256})

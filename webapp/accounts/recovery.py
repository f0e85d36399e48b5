"""Recovery codes: ten one-time codes on paper, for whoever has lost the key. Only their hashes are kept.

A code has 80 bits from the system's generator, so that its plain SHA-256 cannot be turned back, and no secret of ours has to
live as long as a piece of paper. A set counts from the moment that one of its codes was typed back: until then the set before it
does.
"""

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from backends.records import Account, RecoveryCode
from webapp import signing
from webapp.accounts import nonces, owed, sessions
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision, Refused
from webapp.accounts.events import Happened
from webapp.settings import Settings

HOW_MANY = 10
FEW = 2
"""With this many left, a mail says so."""
LIFETIME = timedelta(hours=1)
"""How long a set that was shown waits to be confirmed."""
MAX_TEXT = 64


@dataclass(frozen=True, slots=True)
class Shown:
    """A set as it is shown, once; `token` is our signed note of its hashes."""

    codes: list[str]
    token: str


def new(settings: Settings, account_id: str, session_id: str, now: datetime) -> Shown:
    """A set of codes that is not in force yet."""
    codes = [_spelled(secrets.token_bytes(10)) for _ in range(HOW_MANY)]
    ends = round((now + LIFETIME).timestamp() * 1000)
    digests = [digest(account_id, code).hex() for code in codes]
    note = [secrets.token_urlsafe(16), account_id, session_id, ends, digests]
    return Shown(codes, signing.dumps(settings.secret_keys, "recovery", note))


def digest(account_id: str, typed: str) -> bytes:
    """What is kept of a code, however it is typed: small or capital letters, with or without dashes and blanks."""
    plain = "".join(c for c in typed[:MAX_TEXT].upper() if c.isalnum()).replace("0", "O").replace("1", "I").replace("8", "B")
    return hashlib.sha256(json.dumps(["keystead recovery", account_id, plain]).encode()).digest()


def left(account: Account) -> int:
    """How many codes of the account can still be used."""
    return sum(code.spent_at is None for code in account.recovery_codes)


def spend(account: Account, act: Act, typed: str) -> Account:
    """The account on which this code is spent. Refused("not a code") if it is none that can be used."""
    wanted = digest(account.id, typed)
    found = [hmac.compare_digest(code.digest, wanted) and code.spent_at is None for code in account.recovery_codes]
    if not any(found):
        raise Refused("not a code", wrong="recovery code")
    spent = (
        replace(code, spent_at=act.now) if is_it else code for code, is_it in zip(account.recovery_codes, found, strict=True)
    )
    return replace(account, recovery_codes=tuple(spent))


def void(account: Account) -> tuple[Account, list[Happened]]:
    """The account without its set, and that this happened, if any code was left."""
    events = [Happened("recovery codes void")] if left(account) else []
    return replace(account, recovery_codes=()), events


# operations


def confirm(account: Account, act: Act, session_id: str, token: str, typed: str) -> Decision:
    """The set that was shown is in force, in the place of the one before. Refused: over, not of it."""
    match signing.loads(act.settings.secret_keys, "recovery", token):
        case [str(id), account.id, asking, int(ends), list(digests)] if asking == session_id:
            ends_at = datetime.fromtimestamp(ends / 1000, UTC)
        case _:
            raise Refused("over")
    if ends_at <= act.now or not sessions.keys_in_force(account):
        raise Refused("over")
    if digest(account.id, typed).hex() not in digests:
        raise Refused("not of it")
    try:
        account = nonces.consume(account, act.now, f"recovery {id}", ends_at)
    except (nonces.Consumed, nonces.TooMany):
        raise Refused("over") from None
    codes = tuple(RecoveryCode(digest=bytes.fromhex(text), made_at=act.now) for text in digests)
    account = owed.owe(replace(account, recovery_codes=codes), act, "recovery codes made")
    return Decision(account, [Happened("recovery codes made")])


def _spelled(code: bytes) -> str:
    """Four groups of four letters and digits (base32: no 0, 1 or 8)."""
    text = base64.b32encode(code).decode()
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))

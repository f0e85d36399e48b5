"""Recovery codes: ten one-time codes on paper, for whoever has lost the key. Only their hashes are kept.

The codes of a set follow from a random seed, which the page's form carries, and from a secret of ours: the same form, sent again,
shows the same ten, and neither the form nor the records alone give them away. No secret has to live as long as the paper: once a
set is in force, its codes are known by their plain SHA-256, which 80 bits do not let anybody turn back.

A set is in force from when it is first shown, unless codes are left of another: then one of the new ones must be typed back.
"""

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from msgspec.structs import replace

from backends.records import Account, RecoveryCode
from webapp import signing
from webapp.accounts import nonces, owed, sessions
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision, Refused
from webapp.accounts.events import Happened
from webapp.settings import Settings

Note = Literal["recovery offer", "recovery shown"]
HOW_MANY = 10
FEW = 2
"""With this many left, a mail says so."""
LENGTH = 16
"""Letters and digits of a code: 80 bits in base32."""
OFFERED = timedelta(hours=1)
"""How long a form can be sent that has a set made, and shows it again."""
SHOWN = timedelta(hours=1)
"""How long a set that was shown then waits to be typed back."""
MAX_TEXT = 64


@dataclass(frozen=True, slots=True)
class CodeSet:
    """A set as it is shown to the session that it was made for; `token` is with what one of its codes is typed back."""

    seed: str
    codes: tuple[str, ...]
    digests: tuple[bytes, ...]
    token: str
    forgotten_at: datetime


def offer(settings: Settings, account_id: str, session_id: str, now: datetime) -> str:
    """What a form carries that has a set made: a new seed, signed. It shows nothing, and is worth nothing without a touch."""
    ends = round((now + OFFERED).timestamp() * 1000)
    key = settings.secret_keys[0]
    return _sign(settings, "recovery offer", [secrets.token_urlsafe(32), account_id, session_id, ends, signing.key_id(key).hex()])


def offered(settings: Settings, account_id: str, session_id: str, token: str, now: datetime) -> CodeSet:
    """The set of an offer. Refused("over") if this session has no such offer (any more)."""
    return _read(settings, "recovery offer", account_id, session_id, token, now)


def shown(settings: Settings, account_id: str, session_id: str, token: str, now: datetime) -> CodeSet:
    """The set that was shown with this token. Refused("over") if it was not shown to this session, or is too old."""
    return _read(settings, "recovery shown", account_id, session_id, token, now)


def is_in_force(account: Account, codes: CodeSet) -> bool:
    """Whether this is the account's set."""
    return tuple(code.digest for code in account.recovery_codes) == codes.digests


def digest(account_id: str, typed: str) -> bytes:
    """What is kept of a code, however it is typed: small or capital letters, with or without dashes and blanks."""
    return hashlib.sha256(json.dumps(["keystead recovery", account_id, _plain(typed)]).encode()).digest()


def left(account: Account) -> int:
    """How many codes of the account can still be used."""
    return sum(code.spent_at is None for code in account.recovery_codes)


def spend(account: Account, act: Act, typed: str) -> Account:
    """The account on which this code is spent. Refused: malformed, used before, not a code."""
    wanted = digest(account.id, typed)
    found = [hmac.compare_digest(code.digest, wanted) for code in account.recovery_codes]
    if not any(found):
        raise Refused("not a code", wrong="recovery code") if len(_plain(typed)) == LENGTH else Refused("malformed")
    if account.recovery_codes[found.index(True)].spent_at is not None:
        raise Refused("used before", wrong="recovery code")
    spent = (
        replace(code, spent_at=act.now) if is_it else code for code, is_it in zip(account.recovery_codes, found, strict=True)
    )
    return replace(account, recovery_codes=tuple(spent))


def void(account: Account) -> tuple[Account, list[Happened]]:
    """The account without its set, and that this happened, if any code was left."""
    events = [Happened("recovery codes void")] if left(account) else []
    return replace(account, recovery_codes=()), events


# operations


def make(account: Account, act: Act, session_id: str, token: str) -> Decision:
    """The set that was offered is in force, unless it would replace codes that are left. Refused("over")."""
    codes = offered(act.settings, account.id, session_id, token, act.now)
    if not sessions.keys_in_force(account):
        raise Refused("over")
    return Decision(account) if left(account) else _put_in_force(account, act, codes)


def confirm(account: Account, act: Act, session_id: str, token: str, typed: str) -> Decision:
    """The set that was shown is in force, in the place of the one before. Refused: over, not of it."""
    codes = shown(act.settings, account.id, session_id, token, act.now)
    if not sessions.keys_in_force(account):
        raise Refused("over")
    if digest(account.id, typed) not in codes.digests:
        raise Refused("not of it")
    return Decision(account) if is_in_force(account, codes) else _put_in_force(account, act, codes)


def rehearse(account: Account, act: Act, typed: str) -> Decision:
    """This code would open the account: it is not used up, and nothing is proven. Refused: malformed, used before, not a code."""
    spend(account, act, typed)
    return Decision(account, [Happened("recovery code tried")])


def _put_in_force(account: Account, act: Act, codes: CodeSet) -> Decision:
    """Once: a set that another one has replaced, or that is void, never comes back."""
    try:
        account = nonces.consume(account, act.now, f"recovery {codes.seed}", codes.forgotten_at)
    except (nonces.Consumed, nonces.TooMany):
        raise Refused("over") from None
    kept = tuple(RecoveryCode(digest=digest, made_at=act.now) for digest in codes.digests)
    account = owed.owe(replace(account, recovery_codes=kept), act, "recovery codes made")
    return Decision(account, [Happened("recovery codes made")])


def _read(settings: Settings, note: Note, account_id: str, session_id: str, token: str, now: datetime) -> CodeSet:
    match signing.loads(settings.secret_keys, note, token):
        case [str(seed), str(id), str(asking), int(ends), str(key_id)] if (id, asking) == (account_id, session_id):
            ends_at = datetime.fromtimestamp(ends / 1000, UTC)
        case _:
            raise Refused("over")
    key = next((each for each in settings.secret_keys if signing.key_id(each).hex() == key_id), None)
    if key is None or now >= (ends_at if note == "recovery offer" else ends_at + SHOWN):
        raise Refused("over")
    codes = tuple(_spelled(signing.mac(key, "recovery code", account_id, seed, str(n))[:10]) for n in range(HOW_MANY))
    again = _sign(settings, "recovery shown", [seed, account_id, session_id, ends, key_id])
    return CodeSet(seed, codes, tuple(digest(account_id, code) for code in codes), again, ends_at + SHOWN)


def _sign(settings: Settings, note: Note, parts: list[object]) -> str:
    return signing.dumps(settings.secret_keys, note, parts)


def _plain(typed: str) -> str:
    return "".join(c for c in typed[:MAX_TEXT].upper() if c.isalnum()).replace("0", "O").replace("1", "I").replace("8", "B")


def _spelled(code: bytes) -> str:
    """Four groups of four letters and digits (base32: no 0, 1 or 8)."""
    text = base64.b32encode(code).decode()
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))

"""What works once: the answer to a ceremony, a mailed link. Used up by the commit that acts on it, so that it works for one."""

from datetime import datetime

from msgspec.structs import replace

from backends.records import Account, Nonce
from webapp.accounts.decision import Refused

MAX_NONCES = 200
"""How many an account remembers: a bound on its record. Each is forgotten when it would have expired anyway."""


class Consumed(Refused):
    """It was used before."""

    def __init__(self) -> None:
        super().__init__("used before")


class TooMany(Refused):
    """More than a person could use: wait until some have expired."""

    def __init__(self) -> None:
        super().__init__("too many")


def consume(account: Account, now: datetime, id: str, expires_at: datetime) -> Account:
    """The account, which remembers that this was used. Consumed if it was before; TooMany if that many were lately."""
    live = tuple(each for each in account.nonces if each.expires_at > now)
    if any(each.id == id for each in live):
        raise Consumed
    if len(live) >= MAX_NONCES:
        raise TooMany
    return replace(account, nonces=(*live, Nonce(id=id, expires_at=expires_at)))

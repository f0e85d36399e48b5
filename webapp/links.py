"""Links in mails that can do something: signed, for one account and purpose, over after a while, and of use once.

Following a link changes nothing: mail scanners do it too. Only the form on the page behind it does.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Literal

from itsdangerous import BadData, URLSafeSerializer

from backends.records import Account
from webapp import clock
from webapp.settings import Settings
from webapp.state import Request

Purpose = Literal["reset", "not me"]
PATHS: dict[Purpose, str] = {"reset": "/logon/reset", "not me": "/not-me"}


@dataclass(frozen=True, slots=True)
class Link:
    """What a link says that we signed. `fact` is what its purpose needs to know."""

    id: str
    account_id: str
    fact: str
    ends_at: datetime


def make(settings: Settings, purpose: Purpose, account_id: str, fact: str, lifetime: timedelta) -> str:
    """The whole address, as it stands in a mail."""
    ends = round((clock.now() + lifetime).timestamp() * 1000)
    token = str(_serializer(settings.secret_keys, purpose).dumps([secrets.token_urlsafe(16), account_id, fact, ends]))
    return f"{settings.public_url}{PATHS[purpose]}?token={token}"


def read(request: Request, purpose: Purpose, token: str) -> Link | None:
    """What the token says; None if we did not sign it for this purpose, or if it is over."""
    try:
        id, account_id, fact, ends = _serializer(request.state.settings.secret_keys, purpose).loads(token)
    except (BadData, ValueError, TypeError):
        return None
    link = Link(id, account_id, fact, datetime.fromtimestamp(ends / 1000, UTC))
    return link if link.ends_at > clock.now() else None


def fingerprint(account: Account) -> str:
    """What a reset link remembers: once the password, or the address that it was mailed to, has changed, it is worth nothing."""
    return hashlib.sha256(f"{account.password_hash} {account.email}".encode()).hexdigest()[:16]


async def spend(request: Request, link: Link) -> bool:
    """Whether this is the first use of the link, ever."""
    return await request.state.backend.spend_once(f"link {link.id}", link.ends_at)


@cache
def _serializer(keys: tuple[str, ...], purpose: Purpose) -> URLSafeSerializer:
    """The first of our keys signs, every one verifies; itsdangerous wants the newest last."""
    return URLSafeSerializer(
        list(reversed(keys)), salt=f"keystead.link.{purpose}", signer_kwargs={"digest_method": hashlib.sha256}
    )

"""Links in mails that can do something: signed, for one account and purpose, over after a while, and of use once.

Following a link changes nothing: mail scanners do it too. Only the form on the page behind it does.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from backends.records import Account
from webapp import signing
from webapp.accounts import nonces
from webapp.accounts.decision import AccountGone
from webapp.settings import Settings

Purpose = Literal["reset", "not me", "known browser", "invitation"]
PATHS: dict[Purpose, str] = {
    "reset": "/logon/reset",
    "not me": "/not-me",
    "known browser": "/logon/known",
    "invitation": "/join/account",
}
LIFETIMES: dict[Purpose, timedelta] = {
    "reset": timedelta(minutes=30),
    "not me": timedelta(days=7),
    "known browser": timedelta(minutes=30),
    "invitation": timedelta(days=7),
}


@dataclass(frozen=True, slots=True)
class Link:
    """What a link says that we signed. `fact` is what its purpose needs to know."""

    id: str
    account_id: str
    fact: str
    ends_at: datetime


def make(settings: Settings, purpose: Purpose, account_id: str, fact: str, now: datetime) -> str:
    """The whole address, as it stands in a mail."""
    ends = round((now + LIFETIMES[purpose]).timestamp() * 1000)
    value = [secrets.token_urlsafe(16), account_id, fact, ends]
    return f"{settings.public_url}{PATHS[purpose]}?token={signing.dumps(settings.secret_keys, f'link 2.{purpose}', value)}"


def read(settings: Settings, purpose: Purpose, token: str, now: datetime) -> Link | None:
    """What the token says; None if we did not sign it for this purpose, or if it is over."""
    match signing.loads(settings.secret_keys, f"link 2.{purpose}", token):
        case [str(id), str(account_id), str(fact), int(ends)]:
            link = Link(id, account_id, fact, datetime.fromtimestamp(ends / 1000, UTC))
            return link if link.ends_at > now else None
    return None


def moment(link: Link) -> datetime:
    """When the event was that a *not me* link is about."""
    return datetime.fromtimestamp(int(link.fact) / 1000, UTC)


def fingerprint(account: Account) -> str:
    """What a reset link remembers: once the password, or the address that it was mailed to, has changed, it is worth nothing."""
    return hashlib.sha256(f"{account.password_hash} {account.email}".encode()).hexdigest()[:16]


def consume(account: Account, now: datetime, link: Link) -> Account:
    """The account, on which the link is used up. Consumed if it was before; AccountGone if the account was removed."""
    if account.removed_at:
        raise AccountGone
    return nonces.consume(account, now, f"link {link.id}", link.ends_at)

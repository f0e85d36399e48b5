"""Browsers that have logged on before. Each has a random id in a signed cookie, and tags of the accounts it has logged on to.

That buys it an allowance of its own for typing passwords, so that a stranger's guesses never keep the owner out. It proves
nothing.
"""

import hashlib
import secrets

from backends.records import Account
from webapp.accounts.context import Device

MAX_ACCOUNTS = 8
"""How many accounts a browser is remembered for."""


def knows(device: Device | None, account: Account) -> bool:
    """Whether this browser has logged on to the account, since the account last distrusted all of them."""
    return device is not None and _tag(account) in device.tags


def known_to(device: Device | None, account: Account) -> Device:
    """The browser, which has now logged on to this account."""
    tag, device = _tag(account), device or new()
    return Device(device.id, (tag, *(each for each in device.tags if each != tag))[:MAX_ACCOUNTS])


def new() -> Device:
    """A browser that has logged on to no account yet."""
    return Device(secrets.token_urlsafe(9))


def dump(device: Device) -> str:
    """As it stands in the cookie, before it is signed."""
    return ".".join((device.id, *device.tags))


def load(text: str) -> Device:
    """The browser that a cookie of ours names."""
    id, *tags = text.split(".")
    return Device(id, tuple(tags)[:MAX_ACCOUNTS])


def _tag(account: Account) -> str:
    since = account.devices_at.isoformat() if account.devices_at else ""
    return hashlib.sha256(f"keystead browser {account.id} {since}".encode()).hexdigest()[:16]

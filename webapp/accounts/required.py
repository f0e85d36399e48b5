"""A key that is required: of whom, and from when on. Whoever owes one then gets nowhere but to the page where one is bound.

The date is kept with the account, so that a person can rely on it. It is set when the account is first used after a key became
required of it, stays as it is, and goes when none is required any more.
"""

from datetime import datetime, timedelta

from msgspec.structs import replace

from backends.records import Account
from webapp.accounts.context import Act
from webapp.accounts.events import Happened
from webapp.settings import Settings


def of(account: Account, settings: Settings) -> bool:
    """Whether a key is required of this account."""
    return settings.key_required == "everyone" or not set(settings.key_required).isdisjoint(account.groups)


def since(account: Account, settings: Settings) -> datetime | None:
    """From when on the account needs a key; None where none is required, or nobody has used the account since one is."""
    return account.key_due_at if of(account, settings) else None


def is_undated(account: Account, settings: Settings) -> bool:
    """Whether a key is required of the account, and nobody has used it since one is."""
    return account.key_due_at is None and of(account, settings)


def noted(account: Account, act: Act, *, grace: timedelta | None = None) -> tuple[Account, list[Happened]]:
    """The account that is used now, with the date from which it needs a key; without one where none is required.

    `grace`: how long it may be used without, where that is not what the deployer allows everybody.
    """
    if not of(account, act.settings):
        return (replace(account, key_due_at=None) if account.key_due_at else account), []
    if account.key_due_at:
        return account, []
    due_at = act.now + (act.settings.key_grace if grace is None else grace)
    return replace(account, key_due_at=due_at), [Happened("key required", f"from {due_at:%Y-%m-%d %H:%M} UTC on")]

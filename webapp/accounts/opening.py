"""Opening after a wait: for whoever has neither key nor recovery code, where the deployer allows it (KEYSTEAD_WAIT).

Told by mail at once and each day, shown on every page of that account's logon, and stopped by one touch of any of its keys. It
needs the password. What it opens is an account whose keys are all suspended: none is deleted.
"""

from datetime import datetime, timedelta

from msgspec.structs import replace

from backends.records import Account, Opening
from webapp.accounts import owed
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision, Refused
from webapp.accounts.events import Happened

DAY = timedelta(days=1)
MAX_LETTERS = 30
"""Of a wait of more days than that, not every day is told of: what an account is owed is bounded."""


def stop(account: Account) -> tuple[Account, list[Happened]]:
    """The account without an opening that waits."""
    if account.opening is None:
        return account, []
    account = owed.without(replace(account, opening=None), "opening waits")
    return account, [Happened("opening stopped")]


def has_passed(account: Account, now: datetime) -> bool:
    """Whether the wait is over, so that the password opens the account."""
    return account.opening is not None and account.opening.opens_at <= now


# operations


def ask(account: Account, act: Act) -> Decision:
    """The wait begins. Refused where the deployer does not allow it; it goes on where it has begun."""
    wait = act.settings.wait
    if wait is None or not account.keys:
        raise Refused("not allowed")
    if account.opening is not None:
        return Decision(account)
    opens_at = act.now + wait
    account = replace(account, opening=Opening(asked_at=act.now, opens_at=opens_at))
    opens = str(round(opens_at.timestamp() * 1000))
    account = owed.owe(account, act, "opening asked", facts={"opens": opens})
    every = DAY * -(-wait // (MAX_LETTERS * DAY))
    for number in range(1, -(-wait // every)):
        account = owed.owe(account, act, "opening waits", due_at=act.now + number * every, facts={"opens": opens})
    return Decision(account, [Happened("opening asked")])


def suspend_all(account: Account, act: Act) -> tuple[Account, list[Happened]]:
    """The wait is over: no key is asked for any more, until somebody decides about them."""
    keys = tuple(key if key.suspended_at else replace(key, suspended_at=act.now) for key in account.keys)
    events = [Happened("key suspended", key.name) for key in account.keys if key.suspended_at is None]
    account = owed.owe(replace(account, keys=keys, opening=None, opened_at=act.now), act, "opened after the wait")
    return account, [*events, Happened("opened after the wait")]

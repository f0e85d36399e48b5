"""Opening after a wait: for whoever has neither key nor recovery code.

Where the deployer allows it (KEYSTEAD_WAIT), whoever gives the password asks for it, and the account opens with its keys
suspended. Anywhere, the help desk can give one browser a pass (KEYSTEAD_HELPDESK_WAIT): one logon without the key, which stays
bound. Both are told by mail at once and each day, shown on every page of that account's logon, and stopped by one touch of any of
its keys. Both need the password; none deletes a key.
"""

import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from msgspec.structs import replace

from backends.records import Account, Opening, Proof, Session
from webapp.accounts import owed, sessions
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision, Refused
from webapp.accounts.events import Happened
from webapp.accounts.owed import Kind
from webapp.settings import Settings

DAY = timedelta(days=1)
MAX_LETTERS = 30
"""Of a wait of more days than that, not every day is told of: what an account is owed is bounded."""
PASS_LIFETIME = timedelta(days=3)
"""How long a pass can be used once its wait is over."""


def begin(
    account: Account, act: Act, opening: Opening, asked: Kind, waits: Kind, *, facts: Mapping[str, str] = MappingProxyType({})
) -> Account:
    """The account, which opens so: told at once by one letter, and each day by another."""
    wait = opening.opens_at - act.now
    facts = {"opens": str(round(opening.opens_at.timestamp() * 1000)), **facts}
    account = owed.owe(replace(account, opening=opening), act, asked, facts=facts)
    every = DAY * -(-wait // (MAX_LETTERS * DAY))
    for number in range(1, -(-wait // every)):
        account = owed.owe(account, act, waits, due_at=act.now + number * every, facts=facts)
    return account


def stop(account: Account) -> tuple[Account, list[Happened]]:
    """The account without an opening that waits."""
    if account.opening is None:
        return account, []
    return _without(account), [Happened("opening stopped")]


def is_pass(account: Account) -> bool:
    """Whether what waits is a pass, which is for one browser."""
    return account.opening is not None and bool(account.opening.token_hash)


def is_pass_of(account: Account, token_hash: bytes) -> bool:
    """Whether what waits is a pass for the browser that carries this token."""
    return account.opening is not None and hmac.compare_digest(account.opening.token_hash, token_hash)


def is_over(opening: Opening, now: datetime) -> bool:
    """Whether it is a pass that was not used in time."""
    return bool(opening.token_hash) and opening.opens_at + PASS_LIFETIME <= now


def has_passed(account: Account, settings: Settings, session: Session, now: datetime) -> bool:
    """Whether the wait is over, so that the password is enough in this session."""
    if account.opening is None or account.opening.opens_at > now:
        return False
    if is_pass(account):
        return is_pass_of(account, session.token_hash) and not is_over(account.opening, now)
    return settings.wait is not None


def follow(account: Account, token: str, before: str | None) -> Account:
    """The account, whose pass goes on to this token, if it was for the one that the browser carried before."""
    if account.opening is None or before is None or not is_pass_of(account, sessions.hash_token(before)):
        return account
    return replace(account, opening=replace(account.opening, token_hash=sessions.hash_token(token)))


def use(account: Account, act: Act, session_id: str) -> tuple[Account, Proof | None, list[Happened]]:
    """The wait is over: the account as this session finds it, what that proves, and what happened.

    A pass is used up, and ends every other session; else no key is asked for any more, until somebody decides about them.
    """
    if is_pass(account):
        account = owed.owe(sessions.keep_only(_without(account), session_id), act, "pass used")
        return account, "recovery", [Happened("pass used")]
    account, events = suspend_all(account, act)
    return account, None, events


def suspend_all(account: Account, act: Act) -> tuple[Account, list[Happened]]:
    """No key is asked for any more, until somebody decides about them."""
    keys = tuple(key if key.suspended_at else replace(key, suspended_at=act.now) for key in account.keys)
    events = [Happened("key suspended", key.name) for key in account.keys if key.suspended_at is None]
    account = owed.owe(replace(account, keys=keys, opening=None, opened_at=act.now), act, "opened after the wait")
    return account, [*events, Happened("opened after the wait")]


# operations


def ask(account: Account, act: Act) -> Decision:
    """The wait begins. Refused where the deployer does not allow it, or a pass waits; it goes on where it has begun."""
    wait = act.settings.wait
    if wait is None or not account.keys or is_pass(account):
        raise Refused("not allowed")
    if account.opening is not None:
        return Decision(account)
    account = begin(account, act, Opening(asked_at=act.now, opens_at=act.now + wait), "opening asked", "opening waits")
    return Decision(account, [Happened("opening asked")])


def _without(account: Account) -> Account:
    return owed.without(replace(account, opening=None), "opening waits", "pass waits")

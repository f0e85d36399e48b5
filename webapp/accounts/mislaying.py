"""Mislaid, not lost: a key that its owner suspends for seven days. A touch brings it back; else it is unbound, and that is told.

It takes a touch or a recovery code of just now. Who mislays their only key still needs it at logon, or a recovery code: nothing
opens before it is unbound.
"""

from datetime import datetime, timedelta

from msgspec.structs import replace

from backends.records import Account, Session
from webapp.accounts import ceremonies, keys, owed, sessions
from webapp.accounts.ceremonies import Answer
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision, Refused
from webapp.accounts.events import Happened

DAYS = 7
_DAY = timedelta(days=1)
BY = "mislaid"
"""Who unbinds a key that nobody has touched: nobody does."""


def may(account: Account, session: Session, now: datetime) -> bool:
    """Whether this session may say that a key is mislaid."""
    return sessions.is_proven(account, session, now, sessions.FRESH)


# operations


def mislay(account: Account, act: Act, key_id: bytes | None, session_id: str, token: str) -> Decision:
    """Suspended for seven days; this session goes on under `token`, every other one is ended.

    KeyNotBound; NotProven if the proof is too old; Refused("suspended") if the key is.
    """
    key, session = keys.find(account, key_id), sessions.get(account, session_id)
    if not may(account, session, act.now):
        raise sessions.NotProven
    if key.suspended_at:
        raise Refused("suspended")
    until = act.now + DAYS * _DAY
    account = keys.in_place(account, replace(key, suspended_at=act.now, mislaid_until=until))
    facts = {"key": key.name, "until": str(round(until.timestamp() * 1000)), "id": keys.slug(key.id)}
    account = owed.owe(account, act, "key mislaid", facts=facts)
    account = owed.owe(account, act, "key still mislaid", facts=facts, due_at=until - _DAY)
    account = sessions.step_up(sessions.keep_only(account, session_id), act, session, token)
    return Decision(account, [Happened("key mislaid", key.name)])


def find(account: Account, act: Act, session_id: str, key_id: bytes | None, answer: Answer) -> Decision:
    """A mislaid key was touched: it is asked for again. It proves nothing else. KeyNotBound, or Failed."""
    key = keys.find(account, key_id)
    account, _ = ceremonies.use(account, act, "found", session_id, (key,), answer)
    account, events = keys.reinstate(account, act, key.id) if key.mislaid_until else Decision(account, [])
    return Decision(account, events)


def unbind_overdue(account: Account, act: Act) -> Decision:
    """The keys that nobody has touched in seven days are unbound; the account itself if there is none."""
    overdue = [key.id for key in account.keys if key.mislaid_until and key.mislaid_until <= act.now]
    return keys.unbind(account, act, overdue, by=BY) if overdue else Decision(account)


def stop(account: Account) -> Account:
    """The account whose mislaid keys stay suspended until somebody decides: none is unbound by itself."""
    for key in account.keys:
        if key.mislaid_until:
            account = owed.without_about(keys.in_place(account, replace(key, mislaid_until=None)), keys.slug(key.id))
    return account

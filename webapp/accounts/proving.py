"""Showing that it is you: a code by e-mail while no key is bound, a touch of a bound key otherwise. Never signs anybody in."""

from backends.records import Account
from webapp.accounts import ceremonies, codes, keys, opening, sessions
from webapp.accounts.ceremonies import Answer
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision, Refused
from webapp.accounts.events import Happened


def by_code(account: Account, act: Act, session_id: str, typed: str, token: str) -> Decision:
    """Proven by the code that was mailed. Wrong, or Refused("key owed") once a key is bound: then only a key proves it."""
    if sessions.keys_in_force(account):
        raise Refused("key owed")
    account, _ = codes.consume(account, act, session_id, "bind", typed, account.email)
    return Decision(sessions.step_up(account, act, sessions.get(account, session_id), token, "code"))


def by_key(account: Account, act: Act, session_id: str, answer: Answer, token: str) -> Decision:
    """Proven by a touch of a key that is in force; if it was mislaid, it is found. Failed otherwise."""
    account, key = ceremonies.use(account, act, "prove", session_id, sessions.keys_in_force(account), answer)
    account, events = opening.stop(account)
    if key.mislaid_until:
        account, found = keys.reinstate(account, act, key.id)
        events = [*events, *found]
    account = sessions.step_up(account, act, sessions.get(account, session_id), token, "key")
    return Decision(account, [*events, Happened("proof given", key.name)])

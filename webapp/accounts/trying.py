"""Trying a key: whether it works, and which one it is. Its answer proves nothing, logs nobody on, and makes no proof younger."""

from backends.records import Account, SecurityKey
from webapp.accounts import ceremonies, keys, opening, sessions
from webapp.accounts.ceremonies import Answer
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision
from webapp.accounts.events import Happened


def try_this(account: Account, act: Act, session_id: str, key_id: bytes | None, answer: Answer) -> Decision:
    """This key was touched, and works. KeyNotBound, or Failed if it was not this one."""
    return _tried(account, act, session_id, (keys.find(account, key_id),), answer)


def try_any(account: Account, act: Act, session_id: str, answer: Answer) -> Decision:
    """One of the account's keys was touched, perhaps a suspended one: `keys.last_used` says which. Failed if none was."""
    return _tried(account, act, session_id, account.keys, answer)


def _tried(account: Account, act: Act, session_id: str, among: tuple[SecurityKey, ...], answer: Answer) -> Decision:
    """The counter is compared and stored as ever, and a touch stops an opening that waits; the session stays as it was."""
    account, key = ceremonies.use(account, act, "try", session_id, among, answer)
    account, events = opening.stop(account) if key.id in {each.id for each in sessions.keys_in_force(account)} else (account, [])
    return Decision(account, [*events, Happened("key tried", key.name)])

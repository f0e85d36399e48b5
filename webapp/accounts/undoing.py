"""What can be taken back of an event that was not oneself: the session that it began, the key, the recovery codes, a wait.

Found by the moment of the event, which what it made still carries. Ending a session takes nothing from anybody and needs no
proof; a key is unbound, and codes and waits are ended, only by a touch of the last minute: whoever has stolen a session must not
be able to take its owner's ways back.
"""

from typing import NamedTuple

from backends.records import Account, Event, SecurityKey, Session
from webapp.accounts import opening, recovery
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision, Refused


class Made(NamedTuple):
    """What an event made, as far as it is still there."""

    session: Session | None = None
    key: SecurityKey | None = None
    codes: bool = False
    opening: bool = False


def made(account: Account, event: Event) -> Made:
    """What this event made, as far as it is still there."""
    match event.kind:
        case "logged on" | "recovery code used" | "pass used" | "opened after the wait":
            return Made(session=next((each for each in account.sessions if _entered_at(each) == event.at), None))
        case "key bound":
            return Made(key=next((each for each in account.keys if each.bound_at == event.at), None))
        case "recovery codes made":
            return Made(codes=any(each.made_at == event.at for each in account.recovery_codes))
        case "opening asked" | "pass given":
            return Made(opening=account.opening is not None and account.opening.asked_at == event.at)
    return Made()


# operations


def take_back(account: Account, act: Act, event: Event) -> Decision:
    """The recovery codes that it made are void, or the wait that it began is stopped. Refused("over") if neither is there."""
    found = made(account, event)
    if found.codes:
        return Decision(*recovery.void(account))
    if found.opening:
        return Decision(*opening.stop(account))
    raise Refused("over")


def _entered_at(session: Session) -> object:
    """Since when it is authenticated; it began so, where that was not recorded yet."""
    return session.entered_at or session.begun_at if session.stage == "authenticated" else None

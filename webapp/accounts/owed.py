"""The letters that an account is owed: facts about what happened, put into the same commit. `notifications` finds the words.

A kind that a stranger could cause again and again is owed once an hour; what happens meanwhile is counted in one that follows.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Literal

from msgspec.structs import replace

from backends.records import Account, Notification
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision
from webapp.accounts.events import Happened

Kind = Literal[
    "key bound",
    "key unbound",
    "key refused",
    "clone suspected",
    "key mislaid",
    "key still mislaid",
    "key found",
    "new browser",
    "recovery code used",
    "recovery code refused",
    "recovery codes made",
    "password changed",
    "e-mail changed",
    "reset",
    "known browser",
    "invitation",
    "has joined",
    "opening asked",
    "opening waits",
    "opened after the wait",
    "pass given",
    "pass waits",
    "pass used",
    "renamed",
    "frozen",
    "unfrozen",
    "account removed",
    "password needed",
]
BOUNDED: frozenset[Kind] = frozenset({"key refused", "recovery code refused", "new browser"})
HOUR = timedelta(hours=1)
LEASE = timedelta(minutes=1)
"""How long whoever takes a notification has for sending it, before somebody else may."""
PAUSES = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 20, 40, 60))
"""Between two attempts to send; the last one again and again."""
GIVE_UP = timedelta(days=3)
GIVEN_UP = "given up"
"""In `notified_at`, when a letter was last given up: for the doctor, which cannot read everybody's events."""
MAX_OWED = 100


def owe(
    account: Account,
    act: Act,
    kind: Kind,
    *,
    facts: Mapping[str, str] = MappingProxyType({}),
    to: str = "",
    due_at: datetime | None = None,
) -> Account:
    """The account with this letter owed. It is leased to this process, which sends it at once."""
    if kind in BOUNDED and (last := account.notified_at.get(kind)) and act.now - last < HOUR:
        return _counted(account, act, kind, last + HOUR, facts)
    account = _noted(account, kind, act.now) if kind in BOUNDED else account
    return _with_new(account, act, kind, to or account.email, due_at or act.now + LEASE, facts)


def without(account: Account, *kinds: Kind) -> Account:
    """The account that is no longer owed letters of these kinds."""
    return replace(account, notifications=tuple(each for each in account.notifications if each.kind not in kinds))


def without_about(account: Account, key: str) -> Account:
    """The account that is no longer owed a reminder of this mislaid key, which is named by its slug."""
    kept = (each for each in account.notifications if each.kind != "key still mislaid" or each.facts.get("id") != key)
    return replace(account, notifications=tuple(kept))


def due_since(notification: Notification) -> datetime:
    """When it was due for the first time: before it was put off."""
    return notification.due_at - sum((_pause(attempt) for attempt in range(notification.attempts)), timedelta())


# operations


def lease(account: Account, act: Act, holder: str) -> Decision:
    """What is due is this holder's to send, for a minute; the account itself if nothing is."""
    if not any(each.due_at <= act.now for each in account.notifications):
        return Decision(account)
    mine = [
        replace(each, due_at=act.now + LEASE, holder=holder) if each.due_at <= act.now else each for each in account.notifications
    ]
    return Decision(replace(account, notifications=tuple(mine)))


def sent(account: Account, act: Act, id: str) -> Decision:
    """The mail server has taken it: it is owed no longer."""
    left = tuple(each for each in account.notifications if each.id != id)
    return Decision(account if len(left) == len(account.notifications) else replace(account, notifications=left))


def not_sent(account: Account, act: Act, id: str) -> Decision:
    """The mail server has not taken it: again after a pause, or never, once that was tried for three days."""
    notification = next((each for each in account.notifications if each.id == id), None)
    if notification is None:
        return Decision(account)
    if act.now - due_since(notification) >= GIVE_UP:
        account = replace(account, notified_at=account.notified_at | {GIVEN_UP: act.now})
        return Decision(sent(account, act, id).account, [Happened("not mailed", notification.kind)])
    later = replace(notification, attempts=notification.attempts + 1, due_at=act.now + _pause(notification.attempts))
    return Decision(_in_place(account, later))


def _pause(attempts: int) -> timedelta:
    return PAUSES[min(attempts, len(PAUSES) - 1)]


def _counted(account: Account, act: Act, kind: Kind, due_at: datetime, facts: Mapping[str, str]) -> Account:
    """One more that a later letter counts, unless that one is on its way already."""
    counting = (each for each in account.notifications if each.kind == kind and "count" in each.facts and not each.holder)
    later = next(counting, None)
    if later:
        return _in_place(account, replace(later, facts=later.facts | {"count": str(int(later.facts["count"]) + 1)}))
    account = _noted(account, kind, due_at)
    return _with_new(account, act, kind, account.email, due_at, {**facts, "count": "1"})


def _with_new(account: Account, act: Act, kind: Kind, to: str, due_at: datetime, facts: Mapping[str, str]) -> Account:
    prefix = f"{account.version}-{kind}-"
    before = [int(each.id.removeprefix(prefix)) for each in account.notifications if each.id.startswith(prefix)]
    notification = Notification(
        id=f"{prefix}{max(before, default=-1) + 1}", kind=kind, to=to, at=act.now, due_at=due_at,
        address=act.address, browser=act.browser, zone=act.zone, language=act.language, facts=dict(facts),
    )  # fmt: skip
    return replace(account, notifications=_bounded((*account.notifications, notification)))


def _bounded(notifications: tuple[Notification, ...]) -> tuple[Notification, ...]:
    """Without one that is too many, of the kind that there are most of: a flood of one kind costs no other its letter."""
    if len(notifications) <= MAX_OWED:
        return notifications
    ((kind, _),) = Counter(each.kind for each in notifications).most_common(1)
    *_, dropped, _newest = (each for each in notifications if each.kind == kind)
    return tuple(each for each in notifications if each is not dropped)


def _noted(account: Account, kind: Kind, at: datetime) -> Account:
    return replace(account, notified_at=account.notified_at | {kind: at})


def _in_place(account: Account, changed: Notification) -> Account:
    return replace(account, notifications=tuple(changed if each.id == changed.id else each for each in account.notifications))

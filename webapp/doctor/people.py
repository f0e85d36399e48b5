"""The accounts: how many there are, which of them their address does not find, and who waits for letters.

It reads accounts for some seconds and no longer, however many there are, and says so. Names people by their usernames only.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta

from backends.protocol import Backend
from backends.records import Account
from webapp import clock
from webapp.accounts import addresses, owed
from webapp.doctor.finding import Context, Finding, ok, unchecked, wrong
from webapp.doctor.records import asked

SECONDS = 10.0
HOUR, WEEK = timedelta(hours=1), timedelta(days=7)
PAGE = 1000
NAMED = 10
"""How many are named at the most."""
_NOBODY = "There is none yet: `keystead account add` makes one."
_NO_LETTER = "Nobody has waited for one for an hour."


async def accounts(ctx: Context) -> list[Finding]:
    """How many there are, and what is to be done about some of them."""
    return await asked(ctx, lambda backends: _read(backends[0]))


async def letters(ctx: Context) -> list[Finding]:
    """Whether the mail server takes what accounts are owed."""
    return await asked(ctx, lambda backends: _owed(backends[0]))


async def _read(backend: Backend) -> list[Finding]:
    seen, untold, ends = addresses.Seen(), list[str](), time.monotonic() + SECONDS
    async for account in backend.accounts():
        if not account.removed_at:
            seen.add(account)
        untold += [account.username] if _was_not_told(account) else []
        if time.monotonic() > ends:
            return [unchecked(f"{len(seen):,} were looked at in {SECONDS:.0f} s, and there are more."), *_given_up(untold)]
    faults = [*_sharing(await seen.shared(backend)), *_given_up(untold)]
    return faults or [ok(f"{_accounts(len(seen))}." if len(seen) else _NOBODY)]


def _sharing(shared: Sequence[Sequence[str]]) -> Iterator[Finding]:
    for usernames in shared[:NAMED]:
        text = f"{_names(usernames)} share an e-mail address: it finds none of them at the logon."
        yield wrong(text, "`keystead account email` gives one of them another. Until then they log on by their usernames.")


def _was_not_told(account: Account) -> bool:
    given_up = account.notified_at.get(owed.GIVEN_UP)
    return given_up is not None and clock.now() - given_up < WEEK


def _given_up(untold: Sequence[str]) -> list[Finding]:
    if not untold:
        return []
    text = f"No mail server took letters to {_names(untold)} for three days; they were given up within the last week."
    return [wrong(text, "Tell them yourself. `keystead events export USERNAME` says of what (not mailed).", "letters")]


async def _owed(backend: Backend) -> list[Finding]:
    now = clock.now()
    owing = await backend.owing(now + HOUR, PAGE)  # what was put off is due again within the hour
    overdue = [since for account in owing if (since := min(map(owed.due_since, account.notifications))) <= now - HOUR]
    if not overdue:
        return [ok(_NO_LETTER)]
    many = f"{'More than ' if len(owing) == PAGE else ''}{_accounts(len(overdue))}"
    text = f"{many} {'is' if many == '1 account' else 'are'} owed letters, since {min(overdue):%Y-%m-%d %H:%M} UTC."
    return [wrong(text, "Let mail leave, and the server run: it goes on trying for three days. Its log says why (not mailed).")]


def _accounts(number: int) -> str:
    return f"{number:,} {'account' if number == 1 else 'accounts'}"


def _names(usernames: Sequence[str]) -> str:
    more = [f"{len(usernames) - NAMED:,} others"] if len(usernames) > NAMED else []
    *others, last = [*usernames[:NAMED], *more]
    return f"{', '.join(others)} and {last}" if others else last

"""The accounts: how many there are, which of them their address does not find, and who waits for letters.

It reads accounts for some seconds and no longer, however many there are, and says so. Names people by their usernames only.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from backends.protocol import Backend, Damaged
from backends.records import Account, App
from webapp import clock, signing
from webapp.accounts import addresses, identities, owed, passwords
from webapp.doctor.finding import Context, Finding, ok, unchecked, wrong
from webapp.doctor.records import asked, damaged
from webapp.settings import Settings

SECONDS = 10.0
HOUR, WEEK = timedelta(hours=1), timedelta(days=7)
PAGE = 1000
SAMPLE = 100
NAMED = 10
"""How many are named at the most."""
_NOBODY = (
    "`keystead account add` makes one. If there were some, see that KEYSTEAD_BACKEND names them, and that its disk is mounted."
)
_INTO = "`keystead account groups USERNAME GROUP…`, with all groups that the account is in"
_NO_LETTER = "Nobody has waited for one for an hour."


async def accounts(ctx: Context) -> list[Finding]:
    """How many there are, and what is to be done about some of them."""
    return await asked(ctx, lambda backends: _read(ctx.settings, backends[0]))


async def letters(ctx: Context) -> list[Finding]:
    """Whether the mail server takes what accounts are owed."""
    return await asked(ctx, lambda backends: _owed(backends[0]))


async def events(ctx: Context) -> list[Finding]:
    """Whether those that are not kept go."""
    kept = ctx.settings.events_kept
    if kept is None:
        return [ok("All are kept (KEYSTEAD_EVENTS_KEPT is not set).")]
    return await asked(ctx, lambda backends: _expired(backends[0], clock.now() - kept - WEEK))


async def _expired(backend: Backend, before: datetime) -> list[Finding]:
    """By the first accounts: `events expire` does all or none. An account's newest event always stays."""
    looked_at = 0
    async for account in backend.accounts(damaged=_pass_by):
        oldest = await backend.events_of(account.id, 1, account.checkpoint.seq + 2)
        if oldest and oldest[0].at < before and oldest[0].seq < account.head.seq:
            text = "There are events that KEYSTEAD_EVENTS_KEPT is over for: it deletes nothing by itself."
            return [wrong(text, "Let a timer run `keystead events expire` each night.")]
        looked_at += 1
        if looked_at == SAMPLE:
            break
    return [ok("None is older than it should be.")]


class _Seen:
    """What was seen of the accounts that were read."""

    def __init__(self, settings: Settings) -> None:
        self.damaged: list[Damaged] = []
        self.addresses = addresses.Seen()
        self.untold: list[str] = []
        self.without_password: list[str] = []
        self.listed = 0
        self.groups: set[str] = set()
        self.apps: list[App] = []
        self.missing: Counter[str] = Counter()
        self._secrets = {signing.key_id(key) for key in settings.sealing_keys}

    def add(self, account: Account) -> None:
        self.groups.update(account.groups)
        self.apps += account.apps
        if not identities.is_somebody(account):
            return
        self.addresses.add(account)
        self.listed += account.listed
        self.untold += [account.username] if _was_not_told(account) else []
        self.without_password += [account.username] if passwords.kind(account.password_hash) == "unknown" else []
        if account.seal and account.seal[:4] not in self._secrets:
            self.missing[account.seal[:4].hex()] += 1

    def faults(self, settings: Settings) -> Iterator[Finding]:
        """What one look at each account shows."""
        if self.damaged:
            yield damaged(self.damaged)
        yield from _given_up(self.untold)
        if self.without_password:
            text = (
                f"Nobody can verify the password hash of {_names(self.without_password)}: they cannot log on with any password."
            )
            yield wrong(text, "Set a password (`keystead account password`), or let them ask for a new one at the logon.")
        for id, number in self.missing.items():
            were = "was" if number == 1 else "were"
            text = f"{_accounts(number)} {were} sealed with a secret that is no longer set (its id is {id})."
            yield wrong(text, "Put it into KEYSTEAD_RETIRED_KEYS: without it nobody sees whether they were changed.", "rotation")
        if settings.preview == "listed" and not self.listed and len(self.addresses):
            text = "KEYSTEAD_PREVIEW is listed, and no account is listed: nobody is asked for a key."
            yield wrong(text, "List some (`keystead account preview USERNAME on`), or let everybody be asked (everyone).")


async def _read(settings: Settings, backend: Backend) -> list[Finding]:
    seen, ends = _Seen(settings), time.monotonic() + SECONDS
    async for account in backend.accounts(damaged=seen.damaged.append):
        seen.add(account)
        if time.monotonic() > ends:
            text = f"{len(seen.addresses):,} were looked at in {SECONDS:.0f} s, and there are more."
            return [unchecked(text), *seen.faults(settings)]
    if not len(seen.addresses) and not seen.damaged:
        return [wrong("There is no account.", _NOBODY)]
    faults = [*_sharing(await seen.addresses.shared(backend)), *seen.faults(settings)]
    faults += [*_empty(settings, seen.groups), *_shut(seen.apps, seen.groups)]
    return faults or [ok(f"{_accounts(len(seen.addresses))}.")]


def _sharing(shared: Sequence[Sequence[str]]) -> Iterator[Finding]:
    for usernames in shared[:NAMED]:
        text = f"{_names(usernames)} share an e-mail address: it finds none of them at the logon."
        yield wrong(text, "`keystead account email` gives one of them another. Until then they log on by their usernames.")


def _empty(settings: Settings, groups: set[str]) -> Iterator[Finding]:
    """Groups of which a key is required, and nobody is in."""
    for group in () if settings.key_required == "everyone" else sorted(set(settings.key_required) - groups):
        text = f"KEYSTEAD_KEY_REQUIRED names {group}, and no account is in that group."
        yield wrong(text, f"Put accounts into it ({_INTO}), or take it off the list.")


def _shut(apps: Sequence[App], groups: set[str]) -> Iterator[Finding]:
    """Apps that are open to groups only, of which nobody is in any."""
    for app in apps:
        if app.groups and groups.isdisjoint(app.groups):
            text = f"The app {app.name} is open only to {_names(app.groups)}, and no account is in such a group: nobody gets in."
            again = "remove the app, and add it anew with other groups, or with none (`keystead app`)."
            yield wrong(text, f"Put accounts into one ({_INTO}). Or {again}", "apps")


def _pass_by(damaged: Damaged) -> None:
    """Whoever looks at all accounts names it."""


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
    owing = await backend.owing(now + HOUR, PAGE, damaged=_pass_by)  # what was put off is due again within the hour
    overdue = [
        since for account in owing if (since := min(map(owed.due_since, account.notifications), default=now)) <= now - HOUR
    ]
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

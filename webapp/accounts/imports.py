"""Bringing accounts here from elsewhere: all is judged before anything is done, and what is there already stays as it is.

So a mistake in one row imports nothing, and what was interrupted is done by doing the same again. Passwords whose hashes can be
verified are kept until the first logon; whose cannot must ask for a new one. Never weakens an account that is here.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec.structs import replace

from backends.protocol import UsernameTaken, fold
from webapp import clock
from webapp.accounts import commits, foreign_hashes, identities, owed, passwords
from webapp.accounts.context import Act, Context
from webapp.accounts.decision import Decision
from webapp.accounts.events import Happened
from webapp.accounts.foreign_accounts import Fault, Row
from webapp.accounts.foreign_hashes import NotKept

AT_ONCE = 100
"""How many are looked up, and then stored, at the same time: they share a commit to the disk."""
MUST_RESET: frozenset[str] = frozenset({"none", "weak"})
"""Why a hash is not kept, where that is no mistake: its owner asks for a new password."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What whoever runs the site decides about an import.

    `domain` makes addresses of usernames where there is none; `reset_others` has the owners of hashes that cannot be kept ask for
    a new password as well; `tell` mails to those who must; `groups` are everybody's.
    """

    domain: str = ""
    reset_others: bool = False
    tell: bool = True
    groups: tuple[str, ...] = ()


class Newcomer(NamedTuple):
    """A row that can be imported; `kind` is that of its hash, or empty if its owner must ask for a new password."""

    row: Row
    kind: str


@dataclass(slots=True)
class Plan:
    """What an import would do. With a fault it must do nothing."""

    new: list[Newcomer] = field(default_factory=list)
    there: int = 0
    inactive: int = 0
    sharing: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def kinds(self) -> Counter[str]:
        """How many of the new ones have a hash of which kind; the empty one must ask for a new password."""
        return Counter(each.kind for each in self.new)


async def plan(ctx: Context, entries: Iterable[Row | Fault], rules: Rules) -> Plan:
    """What becomes of each entry, beside what is here already. Changes nothing."""
    planned = Plan()
    for page in _pages(list(_judged(planned, entries, rules))):
        met = await asyncio.gather(*(_met(ctx, each.row) for each in page))
        for newcomer, (fault, shares) in zip(page, met, strict=True):
            if fault == "there":
                planned.there += 1
            elif fault:
                planned.faults.append(Fault(newcomer.row.line, fault))
            else:
                planned.new.append(newcomer)
                planned.sharing += [newcomer.row.username] if shares else []
        await asyncio.sleep(0)
    planned.sharing += _sharing(planned.new)
    planned.faults.sort()
    return planned


async def carry_out(ctx: Context, planned: Plan, rules: Rules, progress: Callable[[int], None]) -> list[int]:
    """Store the new ones; `progress` is told how many that are so far. The lines of those whose name was taken meanwhile.

    Unavailable leaves some stored and others not: the same import, done again, does the rest.
    """
    taken: list[int] = []
    done = 0
    for page in _pages(planned.new):
        results = await asyncio.gather(*(_added(ctx, each, rules) for each in page), return_exceptions=True)
        done += results.count(True)
        progress(done)
        taken += [each.row.line for each, result in zip(page, results, strict=True) if result is False]
        if failed := next((result for result in results if isinstance(result, BaseException)), None):
            raise failed
    return taken


def judge(row: Row, rules: Rules) -> Newcomer | str:
    """The row as it would be imported, or why it cannot be, as a word of ours. Lengths come before all else."""
    if not identities.is_username(row.username):
        return "no username" if not row.username else "username"
    email = row.email or _address(row.username, rules.domain)
    if not identities.is_address(email):
        return "address" if email else "no address"
    try:
        kind = foreign_hashes.read(row.hash).kind
    except NotKept as refused:
        if refused.reason not in MUST_RESET and not rules.reset_others:
            return refused.reason
        return Newcomer(row._replace(email=email, hash=passwords.NOBODYS), "")
    return Newcomer(row._replace(email=email), kind)


def made(newcomer: Newcomer, act: Act, rules: Rules) -> Decision:
    """The account that nobody has stored yet, which is owed a letter if its owner must ask for a password."""
    row = newcomer.row
    account = replace(identities.new(row.username, row.email, row.hash, act.now), groups=rules.groups)
    if not newcomer.kind and rules.tell:
        account = owed.owe(account, act, "password needed", due_at=act.now)  # a running server sends it: there may be thousands
    return Decision(account, [Happened("account imported")])


async def _added(ctx: Context, newcomer: Newcomer, rules: Rules) -> bool:
    act = Act(clock.now(), ctx.settings, ctx.address, ctx.browser, ctx.device)
    try:
        await commits.add(ctx, *made(newcomer, act, rules))
    except UsernameTaken:
        return False
    return True


def _judged(planned: Plan, entries: Iterable[Row | Fault], rules: Rules) -> Iterator[Newcomer]:
    """Those that could be imported into an empty backend; what becomes of the others stands in the plan."""
    lines: dict[str, int] = {}
    for entry in entries:
        if isinstance(entry, Fault):
            planned.faults.append(entry)
        elif not entry.active:
            planned.inactive += 1
        elif isinstance(judged := judge(entry, rules), str):
            planned.faults.append(Fault(entry.line, judged))
        elif first := lines.get(name := fold(entry.username)):
            planned.faults.append(Fault(entry.line, "twice", first))
        else:
            lines[name] = entry.line
            yield judged


async def _met(ctx: Context, row: Row) -> tuple[str, bool]:
    """Why a row is not added to what is here: `there`, or `taken` by somebody else; and whether somebody has its address."""
    found = await ctx.backend.account_named(row.username)
    if found is not None and fold(found.username) == fold(row.username):
        return ("there" if fold(found.email) == fold(row.email) else "taken"), False
    return "", await ctx.backend.account_named(row.email) is not None


def _sharing(new: Sequence[Newcomer]) -> list[str]:
    """Those of the new ones that have one address together."""
    addresses = Counter(fold(each.row.email) for each in new)
    return [each.row.username for each in new if addresses[fold(each.row.email)] > 1]


def _address(username: str, domain: str) -> str:
    if identities.is_address(username):
        return username
    return f"{username}@{domain}" if domain else ""


def _pages(newcomers: Sequence[Newcomer]) -> Iterator[Sequence[Newcomer]]:
    for begin in range(0, len(newcomers), AT_ONCE):
        yield newcomers[begin : begin + AT_ONCE]

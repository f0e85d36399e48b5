"""Old events may go: the chain of an account's events then begins at a sealed checkpoint. Never the newest one."""

from datetime import datetime, timedelta

from msgspec.structs import replace

from backends.protocol import Backend
from backends.records import Account, ChainLink, Event
from webapp import clock
from webapp.accounts import commits, removal
from webapp.accounts.context import Act, Context
from webapp.accounts.decision import AccountGone, Decision
from webapp.accounts.events import Happened

PAGE = 200
MAX_PAGES = 10
"""How far back one moment is looked for, where somebody waits."""


async def expire_old(ctx: Context, account: Account, kept: timedelta) -> int:
    """Delete the account's events that are older than what is kept; of a removed one, the record with its last ones.

    How many were deleted: none by us where it was removed meanwhile.
    """
    if await removal.forget(ctx, account, kept):
        return account.head.seq - account.checkpoint.seq
    until = await newest_before(ctx, account, kept)
    if until is None:
        return 0
    try:
        await commits.change(ctx, account, expire, until)
    except AccountGone:
        return 0
    return until.seq - account.checkpoint.seq


async def newest_before(ctx: Context, account: Account, kept: timedelta) -> Event | None:
    """The newest event that is older than what is kept; None if there is none that may go."""
    before: int | None = account.head.seq
    while page := await ctx.backend.events_of(account.id, PAGE, before):
        old = [event for event in page if event.at < clock.now() - kept]
        if old:
            return old[-1]
        before = page[0].seq
    return None


async def at(backend: Backend, account: Account, moment: datetime) -> list[Event]:
    """What happened on the account at this moment, oldest first; nothing where that is too far back to look for it."""
    before, found = None, list[Event]()
    for _ in range(MAX_PAGES):
        page = await backend.events_of(account.id, PAGE, before)
        found = [event for event in page if event.at == moment] + found
        if not page or page[0].at < moment:
            break
        before = page[0].seq
    return found


def expire(account: Account, act: Act, until: Event) -> Decision:
    """The chain begins behind this event; it and older ones are deleted by the commit."""
    if not account.checkpoint.seq < until.seq < account.head.seq:
        return Decision(account)
    account = replace(account, checkpoint=ChainLink(seq=until.seq, mac=until.mac))
    return Decision(account, [Happened("events expired", str(until.seq))])


def seal_for_the_first_time(account: Account, act: Act) -> Decision:
    """An account of version 0.1 gets its seal."""
    return Decision(account) if account.seal else Decision(account, [Happened("sealed")])

"""The one way in which an account is changed: read, decide, commit in one step; decide anew if somebody was first.

An operation is a pure function from an account to a `Decision`. It raises `Refused` where it does not do what was asked; what a
refusal leaves behind (a try that was used up) is its `trace`, which is committed before anybody is told. A session's judgement
and the commit are about the same version, so that a request that was held back finds its session ended.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import ParamSpec

from msgspec.structs import replace

from backends.protocol import Unavailable
from backends.records import Account, Event
from webapp import clock, logs
from webapp.accounts import events, expiry, refusals, removal, sessions
from webapp.accounts.context import Act, Context
from webapp.accounts.decision import AccountGone, Decision, Operation, Refused
from webapp.accounts.events import Happened

P = ParamSpec("P")

MAX_ROUNDS = 200
"""How often somebody else may be first before we give up."""

log = logging.getLogger("keystead.events")


class Uncertain(Exception):
    """The backend failed while it committed, and cannot say whether it did."""


async def change(ctx: Context, account: Account, operation: Operation[P], *args: P.args, **kwargs: P.kwargs) -> Account:
    """The account as it is once what the operation decides is committed.

    Raises what the operation refuses with, NotSignedIn, KeyOwed, BindingOwed or NotProven if the context's session may not (any
    more), Unavailable if nothing was changed, Uncertain if that is unknown.
    """
    for round_ in range(MAX_ROUNDS):
        act = moment(ctx)
        if ctx.claim:
            sessions.require(account, ctx.claim, act.now, ctx.settings)
        decision, refused = _decide(operation, account, act, *args, **kwargs)
        if decision is None or (decision.account is account and not decision.events):
            committed: Account | None = account
        else:
            committed = await _commit(ctx, account, decision, act)
        if committed is not None:
            if refused:
                refused.account = committed
                if refused.wrong:
                    refusals.record(ctx, refused.wrong, account.id)
                raise refused
            return committed
        account = await _again(ctx, account, round_)
    raise Unavailable("Too many others are changing this account.")


async def add(ctx: Context, account: Account, happened: Sequence[Happened] = ()) -> Account:
    """The account, stored for the first time. UsernameTaken if there is one of this name."""
    added, sealed = events.seal(None, account, happened, moment(ctx))
    await ctx.backend.add(added, sealed)
    _tell(ctx, sealed)
    if added.notifications:
        ctx.owes(added, added.notifications)
    return added


def moment(ctx: Context) -> Act:
    """The moment of a decision, which is now."""
    return Act(clock.now(), ctx.settings, ctx.address, ctx.browser, ctx.device, ctx.zone, ctx.language)


def _decide(
    operation: Operation[P], account: Account, act: Act, *args: P.args, **kwargs: P.kwargs
) -> tuple[Decision | None, Refused | None]:
    try:
        return operation(account, act, *args, **kwargs), None
    except Refused as refused:
        return refused.trace, refused


async def _commit(ctx: Context, was: Account, decision: Decision, act: Act) -> Account | None:
    """The account as it was committed; None if somebody was first."""
    now = replace(expiry.expire(decision.account, act.now), version=was.version + 1)
    if removal.is_over(now):
        return now if await _did_delete(ctx, was) else None
    now, sealed = events.seal(was, now, decision.events, act)
    try:
        done = await ctx.backend.commit(was, now, sealed)
    except Unavailable as unavailable:
        done = await _did_commit(ctx, was, now, unavailable)
    if not done:
        return None
    if sealed and now.seal == was.seal:
        logs.write(log, logging.ERROR, "changed behind our back (run: keystead backend check)", account=was.id)
    _tell(ctx, sealed)
    if now.notifications is not was.notifications:
        known = {each.id for each in was.notifications}
        ctx.owes(now, [each for each in now.notifications if each.id not in known])
    return now


async def _did_commit(ctx: Context, was: Account, now: Account, unavailable: Unavailable) -> bool:
    """Whether the commit that failed was done after all. Unavailable if it was not, Uncertain if nobody can say."""
    try:
        found = await ctx.backend.account(was.id)
    except Unavailable:
        raise Uncertain from unavailable
    if found == now:
        return True
    if found is not None and found.version == was.version:
        raise unavailable
    raise Uncertain from unavailable


async def _did_delete(ctx: Context, was: Account) -> bool:
    """Whether the record is gone; False if somebody was first. Unavailable if it is still there, Uncertain if nobody can say."""
    try:
        return await ctx.backend.remove(was)
    except Unavailable as unavailable:
        try:
            found = await ctx.backend.account(was.id)
        except Unavailable:
            raise Uncertain from unavailable
        if found is not None:
            raise unavailable
        return True


async def _again(ctx: Context, was: Account, round_: int) -> Account:
    """The account as somebody else has left it; AccountGone if it was removed."""
    if round_:
        await asyncio.sleep(random.uniform(0, 0.001 * min(round_, 25)))  # noqa: S311  (so as not to meet again)
    account = await ctx.backend.account(was.id)
    if account is None or (account.removed_at and not was.removed_at):
        raise AccountGone
    return account


def _tell(ctx: Context, sealed: Sequence[Event]) -> None:
    for event in sealed:
        logs.write(log, logging.INFO, event.kind, account=event.account_id)
        ctx.metrics.event(event.kind)

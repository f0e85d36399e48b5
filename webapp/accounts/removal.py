"""Removing an account: its names and keys are free at once, and nothing of it is left but what must still be sent or kept.

What is left is a record without a person in it, under a name that nobody can type. It holds the letter that says so, and the
events where the deployer keeps them; without, it is deleted by the step that strikes off that letter. Never lets anybody in.
"""

from dataclasses import replace
from datetime import timedelta

from backends.records import Account
from webapp import clock
from webapp.accounts import owed
from webapp.accounts.context import Act, Context
from webapp.accounts.decision import Decision
from webapp.accounts.events import Happened
from webapp.accounts.passwords import NOBODYS


def is_over(account: Account) -> bool:
    """Whether a removed account has nothing left that its record is there for."""
    return account.removed_at is not None and not account.events_kept and not account.notifications


async def forget(ctx: Context, account: Account, kept: timedelta) -> bool:
    """Delete a removed account whose events are all older than what is kept; False if it must stay."""
    if account.removed_at is None or account.notifications or account.removed_at >= clock.now() - kept:
        return False
    return await ctx.backend.remove(account)


# operations


def remove(account: Account, act: Act, *, keep_events: bool) -> Decision:
    """Nothing but the letter that tells the person, and the events with this one behind them if they are kept."""
    name = f" removed {account.id}"  # a blank in front: no username, and cut off wherever a name is typed
    left = Account(
        id=account.id, username=name, email=name, password_hash=NOBODYS, created_at=account.created_at, password_at=act.now,
        removed_at=act.now, events_kept=keep_events, head=account.head,
        checkpoint=account.checkpoint if keep_events else account.head, seal=account.seal, version=account.version,
    )  # fmt: skip
    told = replace(act, language=account.language or act.language)
    left = owed.owe(left, told, "account removed", to=account.email, facts={"username": account.username})
    return Decision(left, [Happened("account removed", account.username)] if keep_events else [])

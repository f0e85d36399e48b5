"""Joining: an invitation is an account without name, address and password, of which no name or address finds anything.

It holds the address that somebody is invited at. What stands in the place of its username follows from that address and can be
neither typed nor chosen: so there is one invitation at an address, and it blocks no name. Whoever joins gives it a name and a
password, in the commit that uses the invitation up; until then there is nothing to log on to.
"""

import hashlib
import logging
import secrets
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from msgspec.structs import replace

from backends.protocol import Backend, Damaged, OnDamaged, Unavailable, UsernameTaken, fold, refuse
from backends.records import Account, Invitation
from webapp import logs
from webapp.accounts import commits, damage, identities, owed, passwords, required, sessions
from webapp.accounts.context import Act, Context
from webapp.accounts.decision import Decision, Refused
from webapp.accounts.events import Happened
from webapp.settings import Settings

LIFETIME = timedelta(days=7)
KEPT = timedelta(days=7)
"""How long an invitation that is over is still listed, before it is deleted."""
NOBODY = " invited "
"""How what stands in the place of a username begins: the blank before it is cut off whatever is typed."""

log = logging.getLogger("keystead")


def may_be_called(username: str) -> bool:
    """Whether somebody who joins may choose this name: none that could be taken for another person's address."""
    return identities.is_username(username) and "@" not in fold(username)


def may_ask(email: str, settings: Settings) -> bool:
    """Whether people of this address may invite themselves."""
    return identities.is_address(email) and email.rpartition("@")[2].lower() in settings.join


def is_open(account: Account | None, now: datetime) -> bool:
    """Whether this is an invitation that can be used."""
    return account is not None and account.invitation is not None and account.invitation.ends_at > now


async def invite(ctx: Context, email: str, groups: tuple[str, ...] | None) -> Account | None:
    """The invitation at this address, whose letter is on its way; None if an account has the address.

    `groups` are those that the person will be in; None where somebody asks for themselves, who gets what the deployer decided.
    """
    if await ctx.backend.account_named(email):
        return None
    found = await find(ctx.backend, email)
    if found is None:
        try:
            return await commits.add(ctx, _new(email, groups or (), ctx), [Happened("invited")])
        except UsernameTaken:  # somebody else invites them at this moment
            return await find(ctx.backend, email)
    try:
        return await commits.change(ctx, found, renew, groups)
    except Refused as refused:
        if refused.kind != "over":
            raise
        return None  # they join at this moment


async def find(backend: Backend, email: str) -> Account | None:
    """The invitation at this address, also one that is over."""
    return await backend.account_named(_nobody(email))


async def invitations(backend: Backend, damaged: OnDamaged = refuse) -> AsyncIterator[Account]:
    """Every invitation; it costs what there are of them."""
    async for account in backend.accounts(NOBODY, damaged=damaged):
        if not account.username.startswith(NOBODY):
            return
        yield account


async def purge(backend: Backend, now: datetime) -> None:
    """Delete invitations that have been over for a while. One that cannot be deleted keeps no other from it; Unavailable if
    nothing can be.
    """
    there = [(account, account.invitation) async for account in invitations(backend, damage.name)]
    for account in (account for account, invitation in there if invitation and invitation.ends_at <= now - KEPT):
        try:
            await backend.remove(account)
        except Damaged as damaged:
            damage.name(damaged)
        except Unavailable as unavailable:
            await backend.ready()  # else each of the others would be waited for
            logs.write(log, logging.WARNING, "invitation not purged", account=account.id, reason=unavailable)


def _nobody(email: str) -> str:
    return NOBODY + hashlib.sha256(fold(email).encode()).hexdigest()[:32]


def _new(email: str, groups: tuple[str, ...], ctx: Context) -> Account:
    act, nobody = commits.moment(ctx), _nobody(email)
    account = Account(
        id=secrets.token_urlsafe(16), username=nobody, email=nobody, password_hash=passwords.NOBODYS,
        created_at=act.now, password_at=act.now, groups=groups, invitation=Invitation(email=email, ends_at=act.now + LIFETIME),
    )  # fmt: skip
    return owed.owe(account, act, "invitation", to=email)


# operations


def renew(account: Account, act: Act, groups: tuple[str, ...] | None) -> Decision:
    """Invited again, for another week and into these groups; the letter is mailed once more. Refused("over") if it was used.

    Who asks for themselves (None) gets the letter of an invitation that is open as it is, and of one that is over a new one,
    without its groups.
    """
    invitation = account.invitation
    if invitation is None:
        raise Refused("over")
    if groups is not None or invitation.ends_at <= act.now:
        invitation = replace(invitation, ends_at=act.now + LIFETIME)
        account = replace(account, invitation=invitation, groups=groups or ())
    account = replace(owed.without(account, "invitation"), notified_at={})
    account = owed.owe(account, act, "invitation", to=invitation.email)
    return Decision(account, [Happened("invited")])


def join(account: Account, act: Act, username: str, password_hash: str, token: str) -> Decision:
    """The invitation is used up: an account of this name, logged on under `token`. Refused("over") if it cannot be used any more.

    The link came by mail, as a code does, and proves as much. Where a key is required it is from now on.
    """
    invitation = account.invitation
    if invitation is None or invitation.ends_at <= act.now:
        raise Refused("over")
    account = replace(
        owed.without(account, "invitation"), username=username, email=invitation.email, password_hash=password_hash,
        created_at=act.now, password_at=act.now, invitation=None,
    )  # fmt: skip
    account, noted = required.noted(account, act, grace=timedelta())
    account = sessions.begin(account, act, token, "authenticated")
    account = sessions.step_up(account, act, account.sessions[-1], token, "code")
    return Decision(account, [Happened("joined"), *noted])


def owe_that_there_is_one(account: Account, act: Act) -> Decision:
    """Who asked to join has an account: a letter says so, and under which name."""
    account = owed.without(account, "has joined")
    return Decision(owed.owe(account, act, "has joined", facts={"username": account.username}))

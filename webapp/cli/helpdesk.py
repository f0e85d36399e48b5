"""`keystead helpdesk`: the browser that somebody calls from, whose account it wants to open, and a pass for it."""

from typing import TYPE_CHECKING

import click

from webapp.cli.accounts import facts
from webapp.cli.running import account_named, left_out, log_to_stderr, moment, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from backends.records import Account, Session
    from webapp.accounts.context import Context
    from webapp.accounts.helpdesk import Call

    Found = tuple[Account, Session, Call]


@click.command()
@click.argument("number")
@click.argument("username", required=False)
@click.option("--pass", "gives_pass", is_flag=True, help="Give this browser a pass: one logon without the key, after a wait.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def helpdesk(number: str, username: str | None, gives_pass: bool, yes: bool) -> None:
    """Show the browser that shows this NUMBER, its account, and the words by which you and the caller know each other.

    With USERNAME no other account is looked at, which is faster where there are very many. What is done here is recorded with the
    account, and logged.

    Number and words show that the caller sits at this browser, where somebody gave the right password. They do not show who it
    is: ask for things that only the person knows. A pass works after KEYSTEAD_HELPDESK_WAIT, is mailed at once, and is stopped by
    one touch of any of the account's keys.
    """
    account, session, call = run(lambda ctx: _looked_up(ctx, number, username))
    for label, text in [*_words(session, call), *run(lambda ctx: facts(ctx, account))]:
        click.echo(f"{label:<16}{text}")
    if not gives_pass:
        click.echo(f"\nOnce you are sure who calls: keystead helpdesk {call.number} {account.username} --pass")
        return
    if not yes:
        question = f"\nAre you sure that it is {account.username} who calls? Give {session.browser} one logon without the key?"
        click.confirm(question, abort=True)
    given = run(lambda ctx: _given(ctx, account, session))
    if given.opening:
        click.echo(f"\nThis browser can log on without the key, once, from {moment(given.opening.opens_at)} on.")
        click.echo(f"{given.username} is told by mail. One touch of a key stops it; the keys stay bound.")


def _words(session: "Session", call: "Call") -> list[tuple[str, str]]:
    from webapp.accounts import helpdesk

    until = f", until {moment(session.number_until)}" if session.number_until else ""
    return [
        ("Number", call.number + until),
        ("They say", call.theirs),
        ("You answer", call.ours),
        ("Browser", f"{helpdesk.where(session)}, since {moment(session.begun_at)}"),
    ]


async def _looked_up(ctx: "Context", number: str, username: str | None) -> "Found":
    """Whose browser it is, once it is recorded that somebody looked."""
    from webapp.accounts import commits, helpdesk
    from webapp.accounts.decision import Refused

    log_to_stderr(ctx.settings)
    found = [each async for each in _found(ctx, number, username)]
    if len(found) > 1:
        raise click.ClickException("Several browsers show this number: ask for the username, and give it behind the number.")
    for account, session, call in found:
        try:
            return await commits.change(ctx, account, helpdesk.look_up, session.id), session, call
        except Refused:
            break
    raise click.ClickException(
        f"No browser shows {number}. A number is good for a quarter of an hour: have them read it again, or get another."
    )


async def _found(ctx: "Context", number: str, username: str | None) -> "AsyncIterator[Found]":
    from webapp import clock
    from webapp.accounts import helpdesk

    async for account in _accounts(ctx, username):
        for session, call in helpdesk.find(ctx.settings, account, number, clock.now()):
            yield account, session, call


async def _accounts(ctx: "Context", username: str | None) -> "AsyncIterator[Account]":
    if username:
        yield await account_named(ctx.backend, username)
        return
    async for account in ctx.backend.accounts(damaged=left_out):
        yield account


async def _given(ctx: "Context", account: "Account", session: "Session") -> "Account":
    from webapp.accounts import commits, helpdesk
    from webapp.accounts.decision import Refused

    log_to_stderr(ctx.settings)
    try:
        return await commits.change(ctx, account, helpdesk.give_pass, session.id)
    except Refused:
        raise click.ClickException("The number is too old by now: have them get another.") from None

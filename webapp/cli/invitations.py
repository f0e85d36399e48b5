"""`keystead account invite|invitations|withdraw`: who may join. Whoever is invited chooses their own name and password."""

import sys
from typing import TYPE_CHECKING

import click

from webapp.cli.accounts import in_groups
from webapp.cli.running import left_out, moment, run, table, text_of

if TYPE_CHECKING:
    from backends.records import Account
    from webapp.accounts.context import Context


@click.command("invite")
@click.argument("email", required=False)
@click.option("--group", "groups", multiple=True, help="Put them into this group; can be given several times.")
@click.option("--stdin", is_flag=True, help="Read addresses from standard input, one a line.")
def invite(email: str | None, groups: tuple[str, ...], stdin: bool) -> None:
    """Invite somebody by mail, who chooses a username and a password by the link in it. It works once, for seven days.

    Who is invited already gets another mail and another seven days, and is in the groups that are given now.
    """
    if (email is None) != stdin:
        raise click.UsageError("Give either an e-mail address or --stdin.")
    addresses, into = _addresses(text_of(sys.stdin.buffer.read()).splitlines() if email is None else [email]), in_groups(groups)

    async def work(ctx: "Context") -> list[str]:
        return [await _invited(ctx, address, into) for address in addresses]

    for line in run(work):
        click.echo(line)


@click.command("invitations")
def list_invitations() -> None:
    """List who is invited and has not joined yet."""

    async def work(ctx: "Context") -> list[tuple[str, ...]]:
        from webapp import clock
        from webapp.accounts import joining

        there = joining.invitations(ctx.backend, left_out)
        return sorted([_row(found, joining.is_open(found, clock.now())) async for found in there])

    table(("E-MAIL", "UNTIL", "GROUPS", "LETTER"), run(work))


@click.command("withdraw")
@click.argument("email")
def withdraw(email: str) -> None:
    """Withdraw an invitation: its link works no longer."""

    async def work(ctx: "Context") -> bool:
        from webapp.accounts import identities, joining

        while identities.is_address(email) and (found := await joining.find(ctx.backend, email)):
            if await ctx.backend.remove(found):
                return True
        return False

    if not run(work):
        raise click.ClickException(f"{email} is not invited. Whoever has joined has an account: keystead account show {email}")
    click.echo(f"{email} is no longer invited.")


async def _invited(ctx: "Context", email: str, groups: tuple[str, ...]) -> str:
    from webapp.accounts import joining

    found = await joining.invite(ctx, email, groups)
    if found is None or found.invitation is None:
        return f"{email} has an account already."
    return f"{email} is invited until {moment(found.invitation.ends_at)}."


def _addresses(lines: list[str]) -> list[str]:
    """The addresses, each once; nobody is invited while one of them is none."""
    from webapp.accounts import identities

    addresses = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    wrong = [address[:80] for address in addresses if not identities.is_address(address)]
    if wrong:
        raise click.ClickException(f"Nobody was invited, because this is no e-mail address: {', '.join(wrong[:10])}")
    return addresses


def _row(found: "Account", is_open: bool) -> tuple[str, ...]:
    from webapp.accounts import owed

    email, until = (found.invitation.email, moment(found.invitation.ends_at)) if found.invitation else ("", "")
    letter = "waits" if found.notifications else "could not be sent" if owed.GIVEN_UP in found.notified_at else "sent"
    return (email, until if is_open else "over", ", ".join(found.groups), letter)

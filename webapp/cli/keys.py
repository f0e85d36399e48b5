"""`keystead key …`: what accounts have bound."""

from typing import TYPE_CHECKING

import click

from webapp.cli.accounts import used
from webapp.cli.running import account_named, left_out, moment, run, table

if TYPE_CHECKING:
    from backends.records import Account, SecurityKey
    from webapp.accounts.context import Context


@click.group()
def key() -> None:
    """Security keys: what accounts have bound."""


@key.command("list")
@click.argument("username")
def list_keys(username: str) -> None:
    """List the keys of an account."""
    from webapp.accounts import keys

    async def work(ctx: "Context") -> list[tuple[str, ...]]:
        found = await account_named(ctx.backend, username)
        return [(key.name, moment(key.bound_at), used(key), keys.slug(key.id)) for key in found.keys]

    table(("NAME", "BOUND", "USED", "ID"), run(work))


@key.command("unbind")
@click.argument("username")
@click.argument("key", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
def unbind(username: str, key: str | None, yes: bool) -> None:
    """Unbind a key that is lost: KEY is its name, or its id or the beginning of it; without KEY, all of the account's keys.

    The account is logged off everywhere, and told by mail. Make sure that it is the person who asks: without a key, the
    password alone opens the account.
    """
    from webapp.accounts import commits, keys

    async def find(ctx: "Context") -> tuple["Account", list["SecurityKey"]]:
        found = await account_named(ctx.backend, username)
        return found, _chosen(found, key, username)

    owner, chosen = run(find)
    names = ", ".join(key.name for key in chosen)
    if not yes:
        click.confirm(f"Unbind {names} from {owner.username}, and log {owner.username} off everywhere?", abort=True)

    async def work(ctx: "Context") -> None:
        found, ids = await account_named(ctx.backend, username), [key.id for key in chosen]
        try:
            await commits.change(ctx, found, keys.unbind_all_sessions, ids, by="operator")
        except keys.KeyNotBound:
            raise click.ClickException("Somebody else unbound a key just now. Nothing was done; try again.") from None

    run(work)
    click.echo(f"Unbound {names}. {owner.username} is logged off everywhere.")


@key.command("earlier")
@click.argument("host")
@click.option("--unbind", "do_unbind", is_flag=True, help="Unbind them where their owner has bound a key here.")
def earlier(host: str, do_unbind: bool) -> None:
    """List the keys that are bound to HOST, which the site moved from, and whose owners have none here yet.

    With --unbind, keys of HOST are unbound from every account that has a key here; their owners are told by mail.
    """
    from webapp.accounts import keys

    async def work(ctx: "Context") -> list[tuple[str, ...]]:
        if host == ctx.settings.rp_id:
            raise click.ClickException(f"{host} is where the site is: nobody moved from there.")
        rows: list[tuple[str, ...]] = []
        async for found in ctx.backend.accounts(damaged=left_out):
            bound = [key for key in found.keys if key.rp_id == host]
            if bound and not (do_unbind and await _unbound_earlier(ctx, found, host)):
                here = "yes" if any(key.rp_id == ctx.settings.rp_id for key in found.keys) else "no"
                rows += [(found.username, key.name, used(key), here, keys.slug(key.id)) for key in bound]
        return rows

    rows = run(work)
    if rows:
        table(("USERNAME", "NAME", "USED", "HERE TOO", "ID"), rows)
    else:
        click.echo(f"No key is bound to {host}.")


async def _unbound_earlier(ctx: "Context", account: "Account", host: str) -> bool:
    from webapp.accounts import commits, keys
    from webapp.accounts.decision import Refused

    try:
        await commits.change(ctx, account, keys.unbind_earlier, host, by="operator")
    except Refused:
        return False
    return True


@key.command("reinstate")
@click.argument("username")
@click.argument("key")
def reinstate(username: str, key: str) -> None:
    """Have a suspended key asked for again: KEY is its name, or its id or the beginning of it. Make sure whose it is."""
    from webapp.accounts import commits, keys

    async def work(ctx: "Context") -> str:
        found = await account_named(ctx.backend, username)
        (chosen,) = _chosen(found, key, username)
        await commits.change(ctx, found, keys.reinstate, chosen.id)
        return chosen.name

    click.echo(f"{run(work)} is asked for at the logon of {username}.")


def _chosen(account: "Account", wanted: str | None, username: str) -> "list[SecurityKey]":
    from webapp.accounts import keys

    if not account.keys:
        raise click.ClickException(f"{username} has no key.")
    if wanted is None:
        return list(account.keys)
    named = [key for key in account.keys if wanted in (key.name, keys.slug(key.id))]
    chosen = named or [key for key in account.keys if keys.slug(key.id).startswith(wanted)]
    if len(chosen) == 1:
        return chosen
    which = "Several keys match" if chosen else "No key matches"
    raise click.ClickException(f"{which} {wanted}. `keystead key list {username}` shows names and ids.")

"""`keystead account …`: who can log on. Never takes a password as an argument, where other people could see it."""

import json
import sys
from typing import TYPE_CHECKING

import click

from webapp.cli.running import account_named, left_out, moment, record_named, run, table, text_of

if TYPE_CHECKING:
    from backends.records import Account, Event, Opening, SecurityKey
    from webapp.accounts.context import Context

RECENT = 10
"""How many events are shown with an account."""


@click.group()
def account() -> None:
    """Accounts: who can log on."""


from_stdin = click.option("--stdin", is_flag=True, help="Read the password from the first line of standard input.")


@account.command("add")
@click.argument("username")
@click.argument("email")
@click.option(
    "--listed", is_flag=True, help="Ask this account for its key also while KEYSTEAD_PREVIEW is listed or a percentage."
)
@click.option("--group", "groups", multiple=True, help="Put it into this group; can be given several times.")
@from_stdin
def add(username: str, email: str, listed: bool, groups: tuple[str, ...], stdin: bool) -> None:
    """Add an account; its password is asked for."""
    from backends.protocol import UsernameTaken
    from webapp import clock
    from webapp.accounts import commits, identities, passwords
    from webapp.accounts.events import Happened

    _acceptable(username, email)
    into = in_groups(groups)
    password = _new_password(stdin)

    async def work(ctx: "Context") -> None:
        made = identities.new(username, email, await passwords.hash(password), clock.now(), listed=listed, groups=into)
        await _warn_of_another(ctx, made.id, email)
        try:
            await commits.add(ctx, made, [Happened("account added")])
        except UsernameTaken:
            raise click.ClickException(f"There is an account {username} already.") from None

    run(work)
    click.echo(f"Added {username}.")


@account.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON lines: one for each account, as soon as it is read.")
def list_accounts(as_json: bool) -> None:
    """List all accounts, by name."""
    from webapp.accounts import identities

    async def work(ctx: "Context") -> list[tuple[str, ...]]:
        return [_row(found) async for found in ctx.backend.accounts(damaged=left_out) if identities.is_somebody(found)]

    async def tell(ctx: "Context") -> None:
        async for found in ctx.backend.accounts(damaged=left_out):
            if identities.is_somebody(found):
                click.echo(json.dumps(_line(found)))

    if as_json:
        return run(tell)
    return table(("USERNAME", "E-MAIL", "ADDED", "KEYS", "PREVIEW"), run(work))


@account.command("show")
@click.argument("username")
def show(username: str) -> None:
    """Show one account, its keys, where it is logged on, and what happened lately."""

    async def work(ctx: "Context") -> list[tuple[str, str]]:
        return await facts(ctx, await record_named(ctx.backend, username))

    for label, text in run(work):
        click.echo(f"{label:<16}{text}")


@account.command("password")
@click.argument("username")
@from_stdin
def password(username: str, stdin: bool) -> None:
    """Set a new password, and log the account off everywhere."""
    from webapp.accounts import commits, identities, passwords

    new = _new_password(stdin)

    async def work(ctx: "Context") -> None:
        await commits.change(ctx, await account_named(ctx.backend, username), identities.set_password, await passwords.hash(new))

    run(work)
    click.echo(f"{username} has a new password, and is logged off everywhere.")


@account.command("email")
@click.argument("username")
@click.argument("email")
def email(username: str, email: str) -> None:
    """Give an account another e-mail address: for somebody whose mailbox is lost. Make sure who asks."""
    from webapp.accounts import commits, identities

    async def work(ctx: "Context") -> None:
        found = await account_named(ctx.backend, username)
        _acceptable(found.username, email)
        await _warn_of_another(ctx, found.id, email)
        await commits.change(ctx, found, identities.set_email, email)

    run(work)
    click.echo(f"Mails for {username} go to {email} from now on.")


@account.command("rename")
@click.argument("username")
@click.argument("new")
def rename(username: str, new: str) -> None:
    """Give an account another username, and tell the person. Whatever knows it by the old one must learn the new one."""
    from backends.protocol import UsernameTaken
    from webapp.accounts import commits, identities

    async def work(ctx: "Context") -> str:
        found = await account_named(ctx.backend, username)
        _acceptable(new, found.email)
        try:
            await commits.change(ctx, found, identities.rename, new)
        except UsernameTaken:
            raise click.ClickException(f"There is an account {new} already.") from None
        return found.username

    click.echo(f"{run(work)} is called {new} from now on.")


@account.command("freeze")
@click.argument("username")
def freeze(username: str) -> None:
    """Log an account off everywhere, and let nobody in until you open it again: a new password does not. The person is told."""
    from webapp.accounts import commits, identities

    async def work(ctx: "Context") -> bool:
        found = await account_named(ctx.backend, username)
        return await commits.change(ctx, found, identities.bar) is not found

    click.echo(f"{username} is frozen, until `keystead account unfreeze`." if run(work) else f"{username} is frozen already.")


@account.command("unfreeze")
@click.argument("username")
def unfreeze(username: str) -> None:
    """Open an account that was frozen, by you or by *This was not me*. Make sure who asks."""
    from webapp.accounts import commits, identities

    async def work(ctx: "Context") -> bool:
        found = await account_named(ctx.backend, username)
        return await commits.change(ctx, found, identities.unfreeze) is not found

    click.echo(f"{username} is open again." if run(work) else f"{username} is not frozen.")


@account.command("preview")
@click.argument("username")
@click.argument("listed", type=click.Choice(["on", "off"]))
def preview(username: str, listed: str) -> None:
    """List an account for the preview (on), or take it off the list (off)."""
    from webapp.accounts import commits, identities

    async def work(ctx: "Context") -> None:
        await commits.change(ctx, await account_named(ctx.backend, username), identities.list_for_preview, listed == "on")

    run(work)
    click.echo(f"{username} is {'listed' if listed == 'on' else 'not listed'}.")


@account.command("groups")
@click.argument("username")
@click.argument("groups", nargs=-1, metavar="[GROUP]...")
@click.option("--none", is_flag=True, help="Take the account out of all groups.")
def put_into_groups(username: str, groups: tuple[str, ...], none: bool) -> None:
    """Put an account into these groups and no others; without any, say which it is in."""
    from webapp.accounts import commits
    from webapp.accounts import groups as groups_

    if groups and none:
        raise click.UsageError("Give either groups or --none.")
    wanted = in_groups(groups)

    async def work(ctx: "Context") -> "Account":
        found = await account_named(ctx.backend, username)
        return await commits.change(ctx, found, groups_.set_groups, wanted) if groups or none else found

    found = run(work)
    click.echo(f"{found.username} is in {', '.join(found.groups) or 'no group'}.")


def in_groups(names: tuple[str, ...]) -> tuple[str, ...]:
    """The groups as an account keeps them."""
    from webapp.accounts import groups

    try:
        return groups.normalise(names)
    except ValueError as wrong:
        raise click.BadParameter(str(wrong), param_hint="GROUP") from None


async def facts(ctx: "Context", found: "Account") -> list[tuple[str, str]]:
    """What whoever helps somebody wants to know of an account: a label and a text each."""
    from webapp import clock
    from webapp.accounts import keys, preview, recovery, required

    asked, listed = preview.includes(ctx.settings, found), ", listed" if found.listed else ""
    due_at = required.since(found, ctx.settings)
    live = [session for session in found.sessions if session.expires_at > clock.now() and session.stage == "authenticated"]
    lately = await ctx.backend.events_of(found.id, RECENT)
    return [
        ("Username", found.username),
        ("E-mail", found.email),
        ("Added", moment(found.created_at)),
        ("Password set", moment(found.password_at)),
        ("In the preview", ("yes" if asked else "no") + listed),
        *([("Groups", ", ".join(found.groups))] if found.groups else []),
        *([("Key required", f"from {moment(due_at)} on")] if due_at else []),
        ("Needs a key", "yes" if keys.asked(found, ctx.settings) else "no"),
        *([("Frozen", moment(found.frozen_at) + _until(found))] if found.frozen_at else []),
        *([("Opens", f"{moment(found.opening.opens_at)}, without a key{_for_whom(found.opening)}")] if found.opening else []),
        *(("Key", f"{key.name}, bound {moment(key.bound_at)}, {used(key)}") for key in found.keys),
        ("Codes left", str(recovery.left(found))),
        *(("Logged on", f"{each.browser}, {each.address}, {moment(each.begun_at)}") for each in live),
        *([("Letters owed", str(len(found.notifications)))] if found.notifications else []),
        *(("Event", _event(each)) for each in reversed(lately)),
    ]


def _until(frozen: "Account") -> str:
    return ", until `keystead account unfreeze`" if frozen.barred else ""


def _event(event: "Event") -> str:
    what = f"{event.kind}: {event.detail}" if event.detail else event.kind
    return ", ".join(text for text in (moment(event.at), what, event.browser, event.address) if text)


def _for_whom(opening: "Opening") -> str:
    return ", once, for the browser with the pass" if opening.token_hash else ""


def used(key: "SecurityKey") -> str:
    """When it was used, and whether it is suspended or mislaid."""
    suspended = ", suspended" if key.suspended_at else ""
    suspended = f", mislaid until {moment(key.mislaid_until)}" if key.mislaid_until else suspended
    return (f"used {moment(key.used_at)}" if key.used_at else "never used") + suspended


def _line(found: "Account") -> dict[str, object]:
    """For programs: what `list` shows, and what decides whether somebody can log on."""
    from webapp.accounts import passwords, sessions

    live = len(sessions.live_keys(found))
    return {
        "id": found.id,
        "username": found.username,
        "email": found.email,
        "added_at": found.created_at.isoformat(),
        "password": passwords.kind(found.password_hash),
        "keys": live,
        "suspended_keys": len(found.keys) - live,
        "groups": found.groups,
        "listed": found.listed,
        "frozen_at": found.frozen_at.isoformat() if found.frozen_at else None,
        "letters_owed": len(found.notifications),
    }


def _row(found: "Account") -> tuple[str, ...]:
    added = moment(found.created_at)
    return (found.username, found.email, added, str(len(found.keys)), "listed" if found.listed else "")


async def _warn_of_another(ctx: "Context", account_id: str, email: str) -> None:
    other = await ctx.backend.account_named(email)
    if other is not None and other.id != account_id:
        text = f"{other.username} is found by this address now. Once two accounts have it, both log on by username only."
        click.echo(text, err=True)


def _acceptable(username: str, email: str) -> None:
    from webapp.accounts import identities

    if not identities.is_username(username):
        raise click.BadParameter("use 1 to 64 printable characters, without blanks around them.", param_hint="USERNAME")
    if not identities.is_address(email):
        raise click.BadParameter("this is not an e-mail address.", param_hint="EMAIL")


def _new_password(stdin: bool) -> str:
    from webapp.accounts import passwords
    from webapp.web import wording

    if stdin:
        password = text_of(sys.stdin.buffer.readline()).rstrip("\r\n")
    else:
        password = click.prompt("New password", hide_input=True, confirmation_prompt="The same again")
    if weakness := passwords.weakness(password):
        raise click.ClickException(f"That cannot be the password. {wording.WEAK_PASSWORDS[weakness]}")
    return password

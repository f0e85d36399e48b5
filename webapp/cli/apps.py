"""`keystead app …`: the applications that stand behind this site."""

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

import click

from webapp.cli.running import left_out, moment, run, table

if TYPE_CHECKING:
    from backends.records import App
    from webapp.accounts.context import Context

REFUSALS = {
    "name taken": "There is an app of this name already: keystead app show {name}. To change it, remove it and add it anew.",
    "origin taken": "Another app is at one of these hosts, perhaps at another port, and would get its cookies: keystead app list",
    "too many": "There are 200 apps, which is the most.",
    "no such app": "There is no app {name}: keystead app list",
}


@click.group()
def app() -> None:
    """Apps: what people open with their logon here. How a proxy asks for it is in docs/apps.md."""


@app.command("add")
@click.argument("name")
@click.argument("address", nargs=-1, required=True)
@click.option("--title", default="", help="What people read in the place of its name.")
@click.option(
    "--key",
    type=click.Choice(["bound", "required"]),
    default="bound",
    show_default=True,
    help="Who must have touched a key: whoever has one bound, or everybody.",
)
@click.option(
    "--fresh", metavar="15m", help="How old that touch may be (or the code by e-mail, where no key is bound): 1m to 24h."
)
@click.option("--group", "groups", multiple=True, help="Open to this group of accounts only; can be given several times.")
def add(name: str, address: tuple[str, ...], title: str, key: str, fresh: str | None, groups: tuple[str, ...]) -> None:
    """Add an app by its NAME (such as wiki) and its ADDRESS (such as https://wiki.example.com), or several of them."""

    async def work(ctx: "Context") -> "App":
        from webapp import clock
        from webapp.accounts import apps

        try:
            made = apps.new(
                ctx.settings,
                name,
                address,
                clock.now(),
                title=title,
                key_required=key == "required",
                fresh=_fresh(fresh),
                of=groups,
            )
        except ValueError as wrong:
            raise click.ClickException(f"Nothing was added: {wrong}") from None
        await _change(ctx, "add", made)
        return made

    made = run(work)
    click.echo(f"Added {made.name}. Next: have your proxy ask before it lets anybody in (docs/apps.md), then")
    click.echo(f"    keystead doctor --app {made.origins[0]}")


@app.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON lines: one for each app.")
def list_apps(as_json: bool) -> None:
    """List all apps, by name."""
    found = run(_apps)
    if as_json:
        for each in found:
            click.echo(json.dumps(_line(each)))
        return
    table(("NAME", "ADDRESSES", "KEY", "FRESH", "GROUPS"), [_row(each) for each in found])


@app.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Show one app, and how many sessions could open it now."""

    async def work(ctx: "Context") -> tuple["App", int]:
        found = next((each for each in await _apps(ctx) if each.name == name), None)
        if found is None:
            raise click.ClickException(REFUSALS["no such app"].format(name=name))
        return found, await _open_to(ctx, found)

    found, sessions = run(work)
    rows = [
        ("Name", found.name),
        ("Title", found.title or found.name),
        ("Addresses", " ".join(found.origins)),
        ("Key", "required" if found.key == "required" else "of whoever has one bound"),
        ("Fresh", f"a proof of at most {found.fresh} minutes" if found.fresh else "a proof of any age"),
        ("Open to", ", ".join(found.groups) or "everybody"),
        ("Added", moment(found.added_at)),
        ("Sessions", f"{sessions} could open it now"),
    ]
    for label, text in rows:
        click.echo(f"{label:<12}{text}")


@app.command("remove")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(name: str, yes: bool) -> None:
    """Remove an app: once this has ended, nobody is let in there any more. No account is changed."""

    async def work(ctx: "Context") -> None:
        found = next((each for each in await _apps(ctx) if each.name == name), None)
        if found is None:
            raise click.ClickException(REFUSALS["no such app"].format(name=name))
        if not yes:
            click.confirm(f"Nobody gets to {' or '.join(found.origins)} through this site any more. Remove {name}?", abort=True)
        await _change(ctx, "remove", found)

    run(work)
    click.echo(f"Removed {name}. Nobody is let in there any more.")


async def _change(ctx: "Context", operation: Literal["add", "remove"], made: "App") -> None:
    """The app is added or removed, and every server knows."""
    from webapp.accounts import apps
    from webapp.accounts.decision import Refused

    try:
        await apps.change(ctx, operation, made)
    except Refused as refused:
        raise click.ClickException(REFUSALS[refused.kind].format(name=made.name)) from None
    await asyncio.sleep(apps.LEASE)


async def _apps(ctx: "Context") -> "tuple[App, ...]":
    from webapp.accounts.apps import Apps

    return await Apps().read(ctx.backend)


async def _open_to(ctx: "Context", found: "App") -> int:
    """How many sessions owe this app nothing."""
    from webapp import clock
    from webapp.accounts import apps, sessions

    now, count = clock.now(), 0
    async for account in ctx.backend.accounts(damaged=left_out):
        live = (sessions.find_entered(account, each.id, now) for each in account.sessions)
        count += sum(apps.owed(found, account, each, now, ctx.settings) is None for each in live if each)
    return count


def _fresh(text: str | None) -> timedelta | None:
    from webapp.settings import duration

    try:
        return duration(text) if text else None
    except ValueError as wrong:
        raise click.BadParameter(str(wrong), param_hint="--fresh") from None


def _row(found: "App") -> tuple[str, ...]:
    fresh = f"{found.fresh} min" if found.fresh else ""
    return found.name, " ".join(found.origins), found.key, fresh, ", ".join(found.groups)


def _line(found: "App") -> dict[str, Any]:
    return {
        "name": found.name,
        "title": found.title or found.name,
        "addresses": found.origins,
        "key": found.key,
        "fresh_minutes": found.fresh,
        "groups": found.groups,
        "added_at": found.added_at.isoformat(),
    }

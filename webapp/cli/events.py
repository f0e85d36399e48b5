"""`keystead events …`: what happened on accounts, as JSON lines; and which of it may go."""

import json
from typing import TYPE_CHECKING, Any

import click

from webapp.cli.backend import address, on
from webapp.cli.running import left_out, record_named, run

if TYPE_CHECKING:
    from backends.protocol import Backend
    from webapp.accounts.context import Context


@click.group()
def events() -> None:
    """What happened on accounts."""


@events.command()
@click.argument("username", required=False)
@address
def export(username: str | None, url: str) -> None:
    """Print events as JSON lines: of one account, or of all."""
    from backends.records import Event

    async def work(opened: "Backend") -> None:
        if username:
            account = await record_named(opened, username)
            for event in await opened.events_of(account.id, 10**9):
                click.echo(_line(event))
            return
        async for record in opened.dump(damaged=left_out):
            if isinstance(record, Event):
                click.echo(_line(record))

    on(url, work)


@events.command()
def expire() -> None:
    """Delete events that are older than KEYSTEAD_EVENTS_KEPT. Run it once a day; the chain then begins at a sealed checkpoint."""
    from webapp.accounts import history

    async def work(ctx: "Context") -> int:
        if ctx.settings.events_kept is None:
            text = "KEYSTEAD_EVENTS_KEPT is not set: all events are kept. Set it (such as 365d), or run this no more."
            raise click.ClickException(text)
        everybody, kept = ctx.backend.accounts(damaged=left_out), ctx.settings.events_kept
        return sum([await history.expire_old(ctx, account, kept) async for account in everybody])

    expired = run(work)
    click.echo(f"Deleted {expired:,} {'event' if expired == 1 else 'events'}.")


def _line(event: Any) -> str:
    names = ("account_id", "seq", "kind", "address", "browser", "detail")
    return json.dumps({name: getattr(event, name) for name in names} | {"at": event.at.isoformat(), "mac": event.mac.hex()})

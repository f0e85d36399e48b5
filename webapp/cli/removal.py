"""`keystead account remove|export`: what we know about somebody, and the end of it. Never shows a hash."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from webapp.cli.running import account_named, moment, record_named, run

if TYPE_CHECKING:
    from backends.records import Account
    from webapp.accounts.context import Context

new_file = click.Path(dir_okay=False, path_type=Path)


@click.command("export")
@click.argument("username")
@click.argument("file", required=False, type=new_file)
def export(username: str, file: Path | None) -> None:
    """Print what we know about somebody, as JSON: for them, when they ask. Or write it into a new FILE.

    No password, code or session can be guessed or taken by what it holds.
    """
    known = run(lambda ctx: _known(ctx, username))
    if file is None:
        click.echo(_json(known))
        return
    _write(file, known)
    click.echo(f"Written: what we know about {username}.")


@click.command("remove")
@click.argument("username")
@click.option("--keep-events", is_flag=True, help="Keep what happened on the account, sealed. Otherwise nothing is kept.")
@click.option("--export", "file", type=new_file, help="Write what we know about them into this new file first.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(username: str, keep_events: bool, file: Path | None, yes: bool) -> None:
    """Remove an account for good: log it off everywhere, free its names and keys, and tell the person by mail."""
    from webapp.accounts import commits, removal
    from webapp.accounts import export as records

    found = run(lambda ctx: account_named(ctx.backend, username))
    for line in (*_goes(found), "Its events are kept." if keep_events else "What happened on it is deleted as well."):
        click.echo(line)
    if not yes:
        click.confirm(f"Remove {found.username}? This cannot be undone.", abort=True)

    async def work(ctx: "Context") -> None:
        if file is not None:
            _write(file, await records.of(ctx, found))
        await commits.change(ctx, found, removal.remove, keep_events=keep_events)

    run(work)
    click.echo(f"Removed {found.username}.")


def _goes(account: "Account") -> list[str]:
    """What goes with the account."""
    parts = {"key": len(account.keys), "session": len(account.sessions), "recovery code": len(account.recovery_codes)}
    counted = [f"{number} {part}{'' if number == 1 else 's'}" for part, number in parts.items() if number]
    what = f"With it go {', '.join(counted)}" if counted else "No key is bound to it"
    return [f"{account.username}, {account.email}, added {moment(account.created_at)}.", f"{what}. Its username is free again."]


async def _known(ctx: "Context", username: str) -> dict[str, Any]:
    from webapp.accounts import export

    return await export.of(ctx, await record_named(ctx.backend, username))


def _json(known: dict[str, Any]) -> str:
    return json.dumps(known, indent=2, ensure_ascii=False)


def _write(file: Path, known: dict[str, Any]) -> None:
    """For its owner's eyes only, whole or not at all; a ClickException if it is there already or cannot be made."""
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise click.ClickException(f"{file} exists already, and is not overwritten. Nothing was done.") from None
    except OSError as error:
        raise click.ClickException(f"{file} cannot be made: {error.strerror}. Nothing was done.") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(f"{_json(known)}\n")
            opened.flush()
            os.fsync(opened.fileno())
    except OSError as error:
        with suppress(OSError):
            file.unlink()
        raise click.ClickException(f"{file} cannot be written: {error.strerror}. Nothing was done.") from None

"""`keystead backend …` and `keystead events …`: what a deployer does with records. Shows no secret.

These need an address and none of the other settings, so that they also run where nothing else of a deployment is.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from backends.moving import Progress, Tally
    from backends.protocol import Backend

T = TypeVar("T")

address = click.option(
    "--url", envvar="KEYSTEAD_BACKEND", required=True, help="The backend's address. [default: KEYSTEAD_BACKEND]"
)


@click.group()
def backend() -> None:
    """The backend: make it ready, look at it, carry it elsewhere."""


@backend.command()
@address
def migrate(url: str) -> None:
    """Bring a backend to this version's schema. Run it before `serve`, at every release."""
    import backends

    steps = _done(backends.migrate(url))
    click.echo(f"Migrated: {', '.join(steps)}." if steps else "Nothing to do: the schema is this version's.")


@backend.command()
@address
def check(url: str) -> None:
    """Look whether the records are whole. With KEYSTEAD_SECRET_KEYS set, also whether nobody changed what happened.

    Ends with status 1 if anything is wrong.
    """
    from backends import moving

    secrets = [key.strip() for key in os.environ.get("KEYSTEAD_SECRET_KEYS", "").split(",") if key.strip()]

    async def look(opened: "Backend") -> int:
        from webapp import events

        faults = 0
        genuine = events.genuine(secrets) if secrets else None
        with _bar() as progress:
            async for fault in moving.check(opened, genuine, progress):
                faults += 1
                click.echo(fault)
        return faults

    faults = _on(url, look)
    if faults:
        raise click.ClickException(f"{faults} {'thing is' if faults == 1 else 'things are'} wrong.")
    click.echo("All is well." if secrets else "All is well. (Seals of events were not checked: KEYSTEAD_SECRET_KEYS is not set.)")


@backend.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
def copy(source: str, target: str) -> None:
    """Copy all records from one address into another that is empty, and compare. Stop the server first."""
    from backends import migrate, moving

    async def from_source(opened_source: "Backend") -> "Tally":
        async def into_target(opened_target: "Backend") -> "Tally":
            with _bar() as progress:
                return await moving.copy(opened_source, opened_target, progress)

        await migrate(target)
        return await _opened(target, into_target)

    _summary("Copied", _on(source, from_source))
    click.echo("Set KEYSTEAD_BACKEND to the new address, and start the server.")


@backend.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@address
def backup(file: Path, url: str) -> None:
    """Write all records into a new FILE of JSON lines. It holds password hashes: keep it safe."""
    from backends import moving

    async def work(opened: "Backend") -> "Tally":
        with _bar() as progress:
            return await moving.backup(opened, file, progress)

    _summary("Written", _on(url, work))


@backend.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@address
def restore(file: Path, url: str) -> None:
    """Load a backup into a backend that is empty, and compare."""
    from backends import migrate, moving

    async def work(opened: "Backend") -> "Tally":
        with _bar() as progress:
            return await moving.restore(file, opened, progress)

    async def prepared() -> "Tally":
        await migrate(url)
        return await _opened(url, work)

    _summary("Restored", _done(prepared()))


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
        account = await opened.account_named(username) if username else None
        if username and account is None:
            raise click.ClickException(f"There is no account {username}.")
        if account:
            for event in await opened.events_of(account.id, 10**9):
                click.echo(_line(event))
            return
        async for record in opened.dump():
            if isinstance(record, Event):
                click.echo(_line(record))

    _on(url, work)


def _line(event: Any) -> str:
    names = ("account_id", "seq", "kind", "address", "browser", "detail")
    return json.dumps({name: getattr(event, name) for name in names} | {"at": event.at.isoformat(), "mac": event.mac.hex()})


def _on(url: str, work: "Callable[[Backend], Coroutine[Any, Any, T]]") -> T:
    return _done(_opened(url, work))


async def _opened(url: str, work: "Callable[[Backend], Coroutine[Any, Any, T]]") -> T:
    from backends import open_backend

    opened = await open_backend(url)
    try:
        return await work(opened)
    finally:
        await opened.close()


def _done(work: Coroutine[Any, Any, T]) -> T:
    """What the work came to; in plain words, why it could not be done."""
    from backends.moving import Differs, NotWhole
    from backends.protocol import NotEmpty, NotOurs, Unavailable

    try:
        return asyncio.run(work)
    except NotEmpty:
        raise click.ClickException(
            "The target holds records already. Only an empty one is filled; nothing was changed."
        ) from None
    except FileExistsError as there:
        raise click.ClickException(f"{there.filename or 'That file'} exists already, and is not overwritten.") from None
    except (NotOurs, Differs, NotWhole) as refused:
        raise click.ClickException(str(refused)) from None
    except Unavailable as unavailable:
        raise click.ClickException(f"The backend does not answer: {unavailable}") from None


def _summary(verb: str, tally: "Tally") -> None:
    click.echo(f"{verb} and compared: {', '.join(f'{count} {kind}' for kind, count in tally.counts.items()) or 'nothing'}.")


@contextmanager
def _bar() -> "Iterator[Progress]":
    """A progress bar on a terminal; nothing where the output is kept."""
    seen: list[str] = []

    def tell(step: str, done: int, total: int | None) -> None:
        if not sys.stderr.isatty():
            return
        if seen and seen[-1] != step:
            click.echo(err=True)
        seen.append(step)
        share = f"[{'#' * (30 * done // total):<30}] {100 * done // total:3}%" if total else f"{done:,}"
        click.echo(f"\r{step:<7} {share}", nl=False, err=True)

    yield tell
    if seen:
        click.echo(err=True)

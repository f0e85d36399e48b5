"""`keystead backend …`: what a deployer does with records. Shows no secret.

These need an address and none of the other settings, so that they also run where nothing else of a deployment is.
"""

import asyncio
import os
import re
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from webapp import clock
from webapp.cli import backups
from webapp.cli.running import AT_THE_COMMAND, in_plain_words, left_out

if TYPE_CHECKING:
    from backends.protocol import Backend
    from backends.transfer import Checksum, Progress

T = TypeVar("T")

NAMED = 10
"""How many accounts are named at the most."""


_SECRET = re.compile(r"[a-z0-9+.-]+://[^/]*:.*@|.*[?&][^=]*(password|token|secret)[^=]*=", re.IGNORECASE)


def _named(ctx: click.Context, param: click.Parameter, text: str) -> str:
    """The address, or that in the variable of this name. None with a password in it: everybody can read a command line."""
    from webapp.settings import unquoted

    text = unquoted(text)
    if ":" in text:
        if _SECRET.match(text) and ctx.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE:
            raise click.BadParameter(
                "this address holds a password, which everybody on this machine could read just now. Change the password, "
                "put the address into a variable, and name that variable here.",
                ctx,
                param,
            )
        return text
    if found := unquoted(os.environ.get(text, "")):
        return found
    raise click.BadParameter(f"{text} is no address (such as file:///…), and no variable of that name is set.", ctx, param)


address = click.option(
    "--url",
    envvar="KEYSTEAD_BACKEND",
    required=True,
    callback=_named,
    help="The backend's address, or the name of a variable that holds it. [default: KEYSTEAD_BACKEND]",
)


@click.group()
def backend() -> None:
    """The backend: make it ready, look at it, carry it elsewhere."""


@backend.command()
@address
def migrate(url: str) -> None:
    """Bring a backend to this version's schema, and seal its accounts. Run it before `serve`, at every release.

    Sealing needs KEYSTEAD_SECRET_KEYS.
    """
    import backends

    steps = done(backends.migrate(url))
    click.echo(f"Migrated: {', '.join(steps)}." if steps else "Nothing to do: the schema is this version's.")
    secrets = _secrets("KEYSTEAD_SECRET_KEYS")
    if not secrets:
        click.echo("Accounts were not sealed: KEYSTEAD_SECRET_KEYS is not set.", err=True)
    sealed, shared = on(url, lambda opened: _seal(opened, secrets))
    if sealed:
        click.echo(f"Sealed {sealed} {'account' if sealed == 1 else 'accounts'}.")
    for usernames in shared:
        click.echo(f"{' and '.join(usernames)} share an e-mail address: it finds none of them at the logon.", err=True)


@backend.command()
@address
@click.option(
    "--against",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of `keystead backend heads`: whether any account was put back in time since.",
)
def check(url: str, against: Path | None) -> None:
    """Look whether the records are whole. With KEYSTEAD_SECRET_KEYS set, also whether nobody changed them behind our back.

    Ends with status 1 if anything is wrong; with 3 if only a secret is missing, so that some of it could not be verified.
    """
    from backends import transfer

    secrets = (*_secrets("KEYSTEAD_SECRET_KEYS"), *_secrets("KEYSTEAD_RETIRED_KEYS"))
    missing = set[str]()

    async def look(opened: "Backend") -> int:
        from webapp.accounts import events

        faults = 0
        verifier = events.Verifier(secrets, missing) if secrets else None
        with _bar() as progress:
            async for fault in transfer.check(opened, verifier, transfer.read_heads(against) if against else None, progress):
                faults += 1
                click.echo(fault)
        return faults

    faults = on(url, look)
    for id in sorted(missing):
        click.echo(f"Seals were made with a secret that is no longer set (its id is {id}).")
    if faults:
        told = f"{faults} {'thing is' if faults == 1 else 'things are'} wrong."
        raise click.ClickException(f"{told} What is to be done: docs/backends.md, What check finds.")
    if missing:
        raise NotVerified
    click.echo("All is well." if secrets else "All is well. (Seals were not checked: KEYSTEAD_SECRET_KEYS is not set.)")


@backend.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@address
def heads(file: Path, url: str) -> None:
    """Write the newest event of each account into a new FILE, for `check --against`. Keep it on another machine."""
    from backends import transfer

    async def work(opened: "Backend") -> int:
        return await transfer.write_heads(opened, file)

    written = on(url, work)
    click.echo(f"Written: the newest event of {written} {'account' if written == 1 else 'accounts'}.")


@backend.command()
@click.argument("source", metavar="FROM", callback=_named)
@click.argument("target", metavar="TO", callback=_named)
def copy(source: str, target: str) -> None:
    """Copy all records from one address into another that is empty, and compare. Stop the server first.

    FROM and TO are addresses, or names of variables that hold one.
    """
    from backends import migrate, transfer

    async def from_source(opened_source: "Backend") -> "Checksum":
        async def into_target(opened_target: "Backend") -> "Checksum":
            with _bar() as progress:
                return await transfer.copy(opened_source, opened_target, progress)

        await migrate(target)
        return await _opened(target, into_target)

    _summary("Copied", on(source, from_source))
    click.echo("Set KEYSTEAD_BACKEND to the new address, and start the server.")


@backend.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
@click.option(
    "--into",
    "folder",
    type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path),
    help="Instead of FILE: a folder, in which the file is named by date and time.",
)
@click.option(
    "--keep", type=click.IntRange(min=1), help="With --into: how many of those stay; older ones are deleted afterwards."
)
@address
def backup(file: Path | None, folder: Path | None, keep: int | None, url: str) -> None:
    """Write all records into a new FILE of JSON lines. It holds password hashes: keep it safe."""
    if (file is None) == (folder is None) or (keep and not folder):
        raise click.UsageError("name either a FILE, or a folder by --into, with or without --keep.")
    _backup(url, file or backups.named(folder or Path(), clock.now()))
    if folder and keep:
        with in_plain_words():
            expired = backups.expire(folder, keep)
        if expired:
            click.echo(f"Deleted: {len(expired)} older {'backup' if len(expired) == 1 else 'backups'}.")


def _backup(url: str, file: Path) -> None:
    from backends import transfer

    async def work(opened: "Backend") -> "Checksum":
        with _bar() as progress:
            return await transfer.backup(opened, file, progress)

    _summary("Written", on(url, work))


@backend.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--as-it-is", is_flag=True, help="Also with password hashes that nobody can verify: a new one is set by mail.")
@address
def restore(file: Path, as_it_is: bool, url: str) -> None:
    """Load a backup into a backend that is empty, and compare."""
    from backends import migrate, transfer

    async def work(opened: "Backend") -> "Checksum":
        with _bar() as progress:
            return await transfer.restore(file, opened, progress)

    async def prepared() -> "Checksum":
        _must_be_verifiable(transfer.password_hashes(file), as_it_is)
        await migrate(url)
        return await _opened(url, work)

    _summary("Restored", done(prepared()))


def _must_be_verifiable(hashes: "Iterable[tuple[str, str]]", as_it_is: bool) -> None:
    """Told before anything is loaded, and not at their logon, whose passwords nobody can verify."""
    from webapp.accounts import passwords

    unknown = [username for username, hash in hashes if passwords.kind(hash) == "unknown"]
    if not unknown:
        return
    more = f" and {len(unknown) - NAMED:,} others" if len(unknown) > NAMED else ""
    text = f"Keystead cannot verify the password hash of {', '.join(unknown[:NAMED])}{more}: it is of no kind that it knows."
    if not as_it_is:
        raise click.ClickException(f"{text} Nothing was restored. With --as-it-is it is, and they set a new password by mail.")
    click.echo(f"{text} They set a new password by mail, or you do: keystead account password", err=True)


class NotVerified(click.ClickException):
    """Nothing is known to be wrong, and not everything could be looked at."""

    exit_code = 3

    def __init__(self) -> None:
        super().__init__(
            "The rest is well. What these seals cover may have been changed behind our back, and nobody can see it: put the "
            "secrets that are missing into KEYSTEAD_RETIRED_KEYS, and look again."
        )


def _secrets(variable: str) -> tuple[str, ...]:
    from webapp.settings import split_secrets

    return split_secrets(os.environ.get(variable, ""))


async def _seal(opened: "Backend", secrets: tuple[str, ...]) -> tuple[int, list[tuple[str, ...]]]:
    """Seal every account that never was, as those of version 0.1: how many that were. And which ones share an address."""
    from webapp.accounts import addresses, commits, history
    from webapp.accounts.context import Context
    from webapp.metrics import Metrics
    from webapp.settings import Settings

    settings = Settings(
        public_url="http://localhost", secret_keys=secrets, retired_keys=_secrets("KEYSTEAD_RETIRED_KEYS"),
        backend="", mail="", mail_from="",
    )  # fmt: skip
    ctx, seen, sealed = Context(settings, opened, Metrics(), browser=AT_THE_COMMAND), addresses.Seen(), 0
    async for account in opened.accounts(damaged=left_out):
        seen.add(account)
        if secrets and not account.seal:
            await commits.change(ctx, account, history.seal_for_the_first_time)
            sealed += 1
    return sealed, await seen.shared(opened)


def on(url: str, work: "Callable[[Backend], Coroutine[Any, Any, T]]") -> T:
    return done(_opened(url, work))


async def _opened(url: str, work: "Callable[[Backend], Coroutine[Any, Any, T]]") -> T:
    from backends import open_backend

    opened = await open_backend(url)
    try:
        return await work(opened)
    finally:
        await opened.close()


def done(work: Coroutine[Any, Any, T]) -> T:
    """What the work came to; in plain words, why it could not be done."""
    from backends.protocol import KeyTaken, NotEmpty, UsernameTaken
    from backends.transfer import CorruptBackup, VerificationFailed

    try:
        with in_plain_words():
            return asyncio.run(work)
    except NotEmpty:
        raise click.ClickException(
            "The target holds records already. Only an empty one is filled; nothing was changed. Name a new file or database."
        ) from None
    except (UsernameTaken, KeyTaken):
        text = "Two accounts have one username, or one key: keystead backend check names them. The target is not to be used."
        raise click.ClickException(text) from None
    except (VerificationFailed, CorruptBackup) as refused:
        raise click.ClickException(str(refused)) from None


def _summary(verb: str, tally: "Checksum") -> None:
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

"""The keystead command: what a deployer types. Never takes a password as an argument, where other people could see it.

Everything heavy is imported inside the command that needs it, so that `keystead --help` answers at once.
"""

import asyncio
import os
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from webapp import __version__, cli_backend

if TYPE_CHECKING:
    from backends.protocol import Backend
    from backends.records import Account, SecurityKey
    from webapp.settings import Settings

T = TypeVar("T")
Work = Callable[["Settings", "Backend"], Coroutine[Any, Any, T]]

GRACE = 8
"""Seconds that requests in flight get to end in; platforms kill after ten."""
AT_THE_COMMAND = "keystead command"
"""What stands in events and mails in the place of a browser."""


class Refused(click.ClickException):
    """The command does not run like this; the text says what to change."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        click.echo(self.message, err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="keystead %(version)s")
def main() -> None:
    """Keystead: an Account Center where a bound U2F security key is needed to log on.

    Settings come from the environment (KEYSTEAD_…); the README lists them.
    """


@main.command()
@click.option("--host", help="The address to listen on. [default: all, or 127.0.0.1 when the public URL is on localhost]")
@click.option("--workers", envvar="WEB_CONCURRENCY", default=1, show_default=True, type=click.IntRange(1), help="Processes.")
def serve(host: str | None, workers: int) -> None:
    """Serve the Account Center on PORT."""
    import uvicorn

    from webapp import logs

    settings = _checked()
    with _counting_together(settings, workers):
        uvicorn.run(
            "webapp.app:from_environ",
            factory=True,
            host=host or ("127.0.0.1" if settings.local else "0.0.0.0"),  # noqa: S104 - a platform's router comes from outside
            port=settings.port,
            workers=workers,
            timeout_graceful_shutdown=GRACE,
            log_config=logs.config(settings.logs),
            **QUIET,
        )


@main.command()
@click.option("--port", type=click.IntRange(1, 65535), help="The port to listen on. [default: 8000, or the next that is free]")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Keep everything in this folder.")
def demo(port: int | None, keep: Path | None) -> None:
    """Try Keystead: a temporary installation with one account, whose mail is shown here."""
    from webapp import demo as demonstration

    demonstration.run(port, keep)


@main.command()
@click.option("--mail", "mail_to", metavar="ADDRESS", help="Send a mail to this address.")
@click.option("--url", help="Where to look for the running server. [default: KEYSTEAD_PUBLIC_URL]")
@click.option("--free", metavar="MB", default=500, show_default=True, type=click.IntRange(0), help="How much disk must be free.")
@click.option("--json", "as_json", is_flag=True, help="Say it as JSON.")
def doctor(mail_to: str | None, url: str | None, free: int, as_json: bool) -> None:
    """Look at this deployment, and say what is wrong and what to do. Ends with status 1 if anything is.

    Run it with the variables that the server has, as the user that it runs as.
    """
    from webapp import doctor as practice
    from webapp.doctor import report
    from webapp.doctor.finding import Wishes

    findings = asyncio.run(practice.examine(os.environ, Wishes(mail_to=mail_to, url=url, free=free)))
    click.echo(report.as_json(findings) if as_json else report.as_text(findings))
    sys.exit(any(finding.state == "wrong" for finding in findings))


@main.command()
def secret() -> None:
    """Make a secret for KEYSTEAD_SECRET_KEYS."""
    click.echo(secrets.token_urlsafe(32))


main.add_command(cli_backend.backend)
main.add_command(cli_backend.events)


@main.group()
def account() -> None:
    """Accounts: who can log on."""


from_stdin = click.option("--stdin", is_flag=True, help="Read the password from the first line of standard input.")


@account.command("add")
@click.argument("username")
@click.argument("email")
@click.option(
    "--listed", is_flag=True, help="Ask this account for its key also while KEYSTEAD_PREVIEW is listed or a percentage."
)
@from_stdin
def account_add(username: str, email: str, listed: bool, stdin: bool) -> None:
    """Add an account; its password is asked for."""
    from backends.protocol import UsernameTaken

    _acceptable(username, email)
    password = _new_password(stdin)

    async def work(settings: "Settings", backend: "Backend") -> None:
        try:
            await backend.add_account(await new_account(username, email, password, listed=listed))
        except UsernameTaken:
            raise click.ClickException(f"There is an account {username} already.") from None

    _run(work)
    click.echo(f"Added {username}.")


@account.command("list")
def account_list() -> None:
    """List all accounts."""

    async def work(settings: "Settings", backend: "Backend") -> list[tuple[str, ...]]:
        return [_row(account, await backend.keys_of(account.id)) async for account in backend.accounts()]

    _table(("USERNAME", "E-MAIL", "ADDED", "KEYS", "PREVIEW"), _run(work))


@account.command("show")
@click.argument("username")
def account_show(username: str) -> None:
    """Show one account, its keys, and where it is logged on."""
    from webapp import clock, preview

    async def work(settings: "Settings", backend: "Backend") -> list[tuple[str, str]]:
        found = await _account(backend, username)
        keys = await backend.keys_of(found.id)
        sessions = await backend.sessions_of(found.id, clock.now())
        asked = preview.includes(settings, found)
        return [
            ("Username", found.username),
            ("E-mail", found.email),
            ("Added", _moment(found.created_at)),
            ("Password set", _moment(found.password_at)),
            ("In the preview", ("yes" if asked else "no") + (", listed" if found.listed else "")),
            ("Needs a key", "yes" if keys and asked else "no"),
            *(("Key", f"{key.name}, bound {_moment(key.bound_at)}, {_used(key)}") for key in keys),
            *(("Logged on", f"{session.browser}, {session.address}, {_moment(session.begun_at)}") for session in sessions),
        ]

    for label, text in _run(work):
        click.echo(f"{label:<16}{text}")


@account.command("password")
@click.argument("username")
@from_stdin
def account_password(username: str, stdin: bool) -> None:
    """Set a new password, and log the account off everywhere."""
    from webapp import clock, passwords

    password = _new_password(stdin)

    async def work(settings: "Settings", backend: "Backend") -> None:
        found = await _account(backend, username)
        now = clock.now()
        await _record(backend, found, replace(found, password_hash=await passwords.hash(password), password_at=now))
        await backend.remove_sessions_of(found.id)
        await _event(settings, backend, found, "password changed", "")

    _run(work)
    click.echo(f"{username} has a new password, and is logged off everywhere.")


@account.command("email")
@click.argument("username")
@click.argument("email")
def account_email(username: str, email: str) -> None:
    """Give an account another e-mail address: for somebody whose mailbox is lost. Make sure who asks."""

    async def work(settings: "Settings", backend: "Backend") -> None:
        was = await _account(backend, username)
        _acceptable(was.username, email)
        await _record(backend, was, replace(was, email=email))
        await _event(settings, backend, was, "e-mail changed", "")

    _run(work)
    click.echo(f"Mails for {username} go to {email} from now on.")


@account.command("unfreeze")
@click.argument("username")
def account_unfreeze(username: str) -> None:
    """Open an account that was frozen by *This was not me*. Make sure who asks."""

    async def work(settings: "Settings", backend: "Backend") -> bool:
        was = await _account(backend, username)
        if was.frozen_at is None:
            return False
        await _record(backend, was, replace(was, frozen_at=None))
        await _event(settings, backend, was, "unfrozen", "")
        return True

    click.echo(f"{username} is open again." if _run(work) else f"{username} is not frozen.")


@account.command("preview")
@click.argument("username")
@click.argument("listed", type=click.Choice(["on", "off"]))
def account_preview(username: str, listed: str) -> None:
    """List an account for the preview (on), or take it off the list (off)."""

    async def work(settings: "Settings", backend: "Backend") -> None:
        found = await _account(backend, username)
        await _record(backend, found, replace(found, listed=listed == "on"))

    _run(work)
    click.echo(f"{username} is {'listed' if listed == 'on' else 'not listed'}.")


@main.group()
def key() -> None:
    """Security keys: what accounts have bound."""


@key.command("list")
@click.argument("username")
def key_list(username: str) -> None:
    """List the keys of an account."""
    from webapp import pages

    async def work(settings: "Settings", backend: "Backend") -> list[tuple[str, ...]]:
        keys = await backend.keys_of((await _account(backend, username)).id)
        return [(key.name, _moment(key.bound_at), _used(key), pages.slug(key.id)) for key in keys]

    _table(("NAME", "BOUND", "USED", "ID"), _run(work))


@key.command("unbind")
@click.argument("username")
@click.argument("key", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
def key_unbind(username: str, key: str | None, yes: bool) -> None:
    """Unbind a key that is lost: KEY is its name, or its id or the beginning of it; without KEY, all of the account's keys.

    The account is logged off everywhere, and told by mail. Make sure that it is the person who asks: without a key, the
    password alone opens the account.
    """

    from webapp import clock

    async def find(settings: "Settings", backend: "Backend") -> tuple["Account", list["SecurityKey"]]:
        found = await _account(backend, username)
        return found, _chosen(await backend.keys_of(found.id), key, username)

    owner, chosen = _run(find)
    names = ", ".join(key.name for key in chosen)
    if not yes:
        click.confirm(f"Unbind {names} from {owner.username}, and log {owner.username} off everywhere?", abort=True)

    async def work(settings: "Settings", backend: "Backend") -> None:
        for gone in chosen:
            if await backend.remove_key(owner.id, gone.id):
                await _event(settings, backend, owner, "key unbound", gone.name)
                await _tell(settings, owner, gone)
        if not await backend.keys_of(owner.id) and await backend.recovery_codes_of(owner.id):
            await backend.put_recovery_codes(owner.id, [], clock.now())
            await _event(settings, backend, owner, "recovery codes void", "")
        await backend.remove_sessions_of(owner.id)

    _run(work)
    click.echo(f"Unbound {names}. {owner.username} is logged off everywhere.")


QUIET: dict[str, Any] = {"proxy_headers": False, "server_header": False, "access_log": False, "ws": "none", "lifespan": "on"}
"""How uvicorn is run: it trusts no proxy, does not name itself, and writes no line that could hold a token."""


async def new_account(username: str, email: str, password: str, *, listed: bool = False) -> "Account":
    """An account that nobody has stored yet."""
    from backends.records import Account
    from webapp import clock, passwords

    now = clock.now()
    return Account(
        id=secrets.token_urlsafe(16),
        username=username,
        email=email,
        password_hash=await passwords.hash(password),
        created_at=now,
        password_at=now,
        listed=listed,
    )


@contextmanager
def _counting_together(settings: "Settings", workers: int) -> "Iterator[None]":
    """A folder in which workers add up what they count, until they have stopped. One worker needs none."""
    from webapp.metrics import SHARED

    if workers == 1 or not settings.metrics or SHARED in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="keystead-metrics-") as folder:
        os.environ[SHARED] = folder
        yield


def _checked() -> "Settings":
    """The settings, once a backend and a mailer could be opened with them: what cannot work is said before a worker starts."""

    async def work(settings: "Settings", backend: "Backend") -> "Settings":
        from webapp.mail import MailFailed, open_mailer

        try:
            open_mailer(settings)
        except MailFailed as failed:
            raise Refused(f"KEYSTEAD_MAIL: {failed}") from None
        if left := settings.left_behind(await backend.rp_ids()):
            raise Refused(f"KEYSTEAD_PUBLIC_URL: {left}")
        return settings

    return _run(work)


def _run(work: Work[T]) -> T:
    """Do the work with the deployer's settings and backend; Refused says in plain words why that cannot be."""
    from backends.protocol import NotOurs, Unavailable
    from webapp.settings import Settings, SettingsError

    try:
        settings = Settings.from_environ(os.environ)
        return asyncio.run(_with_backend(work, settings))
    except (SettingsError, NotOurs) as refused:
        raise Refused(str(refused)) from None
    except Unavailable as unavailable:
        raise Refused(f"The backend does not answer: {unavailable}") from None


async def _with_backend(work: Work[T], settings: "Settings") -> T:
    async with _open(settings) as backend:
        return await work(settings, backend)


@asynccontextmanager
async def _open(settings: "Settings") -> "AsyncIterator[Backend]":
    from backends import open_backend

    backend = await open_backend(settings.backend)
    try:
        yield backend
    finally:
        await backend.close()


def _acceptable(username: str, email: str) -> None:
    from webapp.settings import ADDRESS

    if not username.strip() or username != username.strip() or len(username) > 64 or not username.isprintable():
        raise click.BadParameter("use 1 to 64 printable characters, without blanks around them.", param_hint="USERNAME")
    if not ADDRESS.fullmatch(email):
        raise click.BadParameter("this is not an e-mail address.", param_hint="EMAIL")


def _new_password(stdin: bool) -> str:
    from webapp import passwords

    if stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("New password", hide_input=True, confirmation_prompt="The same again")
    if weakness := passwords.weakness(password):
        raise click.ClickException(f"That cannot be the password. {weakness}")
    return password


async def _account(backend: "Backend", username: str) -> "Account":
    found = await backend.account_named(username)
    if found is None:
        raise click.ClickException(f"There is no account {username}.")
    return found


async def _record(backend: "Backend", was: "Account", now: "Account") -> None:
    if not await backend.record_account(was, now):
        raise click.ClickException(f"{was.username} was changed by somebody else just now. Nothing was done; try again.")


async def _event(settings: "Settings", backend: "Backend", account: "Account", kind: str, detail: str) -> None:
    from backends.records import Event
    from webapp import clock, events

    event = Event(
        account_id=account.id, seq=0, kind=kind, at=clock.now(), address="", browser=AT_THE_COMMAND, detail=detail, mac=b""
    )
    await backend.add_event(account.id, lambda last: events.sealed(event, last, settings.secret_keys[0]))


async def _tell(settings: "Settings", account: "Account", key: "SecurityKey") -> None:
    """Mail the account that its key was unbound; a mail that fails is said, and changes nothing."""
    from webapp import clock, letters
    from webapp.mail import MailFailed, open_mailer

    subject, words = (
        "A security key was unbound from your account",
        "A security key was unbound. It no longer opens your account.",
    )
    facts = (("Key", key.name), ("By", f"whoever runs {settings.name}"))
    letter = letters.news(settings, account, subject, words, clock.now(), *facts)
    try:
        await open_mailer(settings).send(letter)
    except MailFailed as failed:
        click.echo(f"{account.username} could not be told by mail: {failed}", err=True)


def _chosen(keys: "list[SecurityKey]", wanted: str | None, username: str) -> "list[SecurityKey]":
    from webapp import pages

    if not keys:
        raise click.ClickException(f"{username} has no key.")
    if wanted is None:
        return keys
    named = [key for key in keys if wanted in (key.name, pages.slug(key.id))]
    chosen = named or [key for key in keys if pages.slug(key.id).startswith(wanted)]
    if len(chosen) == 1:
        return chosen
    which = "Several keys match" if chosen else "No key matches"
    raise click.ClickException(f"{which} {wanted}. `keystead key list {username}` shows names and ids.")


def _row(account: "Account", keys: "list[SecurityKey]") -> tuple[str, ...]:
    added = _moment(account.created_at)
    return (account.username, account.email, added, str(len(keys)), "listed" if account.listed else "")


def _moment(at: Any) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _used(key: "SecurityKey") -> str:
    return f"used {_moment(key.used_at)}" if key.used_at else "never used"


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())

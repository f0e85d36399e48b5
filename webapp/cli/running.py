"""How a command runs: with the deployer's settings and backend, and with plain words where that cannot be."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from backends.protocol import Backend, Damaged
    from backends.records import Account, Notification
    from webapp.accounts.context import Context
    from webapp.settings import Settings

T = TypeVar("T")
Work = Callable[["Context"], Coroutine[Any, Any, T]]

AT_THE_COMMAND = "keystead command"
"""What stands in events and mails in the place of a browser."""


CHANGED = "Somebody else changed the account meanwhile, and nothing was done. Look at it, and try again."
MEND = "Something else than Keystead changed it: docs/backends.md, A damaged account, says how to mend it."

_INVITED = "{name} is invited, and has not joined yet: keystead account invitations"


class Refused(click.ClickException):
    """The command does not run like this; the text says what to change."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        click.echo(self.message, err=True)


def run(work: Work[T]) -> T:
    """What the work comes to, with the deployer's settings and backend; Refused says in plain words why that cannot be.

    Letters that it makes due are handed to the mail server before it ends; what is not taken is left to the server's sender.
    """
    from webapp.settings import Settings

    with in_plain_words():
        settings = Settings.from_environ(os.environ)
        return asyncio.run(_with_backend(work, settings))


@contextmanager
def in_plain_words() -> Iterator[None]:
    """What a deployer can mend, or must know, is said without a traceback."""
    from backends.protocol import Damaged, IncompatibleStore, Unavailable
    from webapp.accounts import decision
    from webapp.accounts.commits import Uncertain
    from webapp.settings import SettingsError

    try:
        yield
    except (SettingsError, IncompatibleStore) as refused:
        raise Refused(str(refused)) from None
    except decision.Refused as refused:
        gone = isinstance(refused, decision.AccountGone)
        raise click.ClickException("The account was removed meanwhile." if gone else CHANGED) from None
    except Uncertain:
        raise Refused(
            "The backend stopped answering meanwhile. It may or may not have been done: look before you repeat it."
        ) from None
    except Unavailable as unavailable:
        damaged = isinstance(unavailable, Damaged)
        raise Refused(f"{unavailable} {MEND}" if damaged else away(unavailable)) from None
    except BrokenPipeError:
        raise  # whoever reads what we print has gone, and click ends quietly
    except FileExistsError as there:
        raise Refused(f"{there.filename} exists already, and is not overwritten.") from None
    except OSError as error:
        what = f"{error.filename} cannot be used" if error.filename else "This machine does not do that"
        raise Refused(f"{what}: {error.strerror or error}.") from None


def away(unavailable: Exception) -> str:
    """Why the backend does not answer, and where to look."""
    return f"The backend does not answer: {str(unavailable).rstrip('.')}. `keystead doctor` says what to do."


def log_to_stderr(settings: "Settings") -> None:
    """What is logged where the server does it is logged here as well: for what is not only recorded with the account."""
    import logging.config

    from webapp import logs

    logging.config.dictConfig(logs.config(settings.logs))


async def record_named(backend: "Backend", name: str) -> "Account":
    """The account of this name, address, or id as it stands in the log; also an invitation, or what is left of one that was
    removed. A ClickException if there is none.
    """
    from webapp.accounts.identities import SITE

    found = (await backend.account_named(name) or await backend.account(name)) if name.isprintable() else None
    if found is None or found.id == SITE:
        raise click.ClickException(await _nobody(backend, name))
    return found


async def account_named(backend: "Backend", name: str) -> "Account":
    """The same, of somebody: what is done to an account is done to no other record."""
    found = await record_named(backend, name)
    if found.removed_at:
        raise click.ClickException(f"{name} was removed. What is kept of it is shown by: keystead events export {name}")
    if found.invitation:
        raise click.ClickException(_INVITED.format(name=name))
    return found


async def _nobody(backend: "Backend", name: str) -> str:
    """Why nobody is found, as far as that is known."""
    from webapp.accounts import identities, joining

    if not identities.is_address(name):
        return f"There is no account {name}. Those that there are: keystead account list"
    if await joining.find(backend, name):
        return _INVITED.format(name=name)
    return f"There is no account {name}. An address that several accounts have finds none of them: keystead account list"


def text_of(data: bytes) -> str:
    """What was piped in; a ClickException if it is no text."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise click.ClickException("What comes by standard input is no UTF-8. Nothing was done.") from None


async def _with_backend(work: Work[T], settings: "Settings") -> T:
    from webapp.accounts.context import Context
    from webapp.metrics import Metrics

    async with _open(settings) as backend:
        letters = _Letters(settings, backend)
        ctx = Context(settings, backend, Metrics(), browser=AT_THE_COMMAND, owes=letters.owes)
        try:
            return await work(ctx)
        finally:
            await letters.deliver()


class _Letters:
    """What the command makes due, sent at its end."""

    def __init__(self, settings: "Settings", backend: "Backend") -> None:
        self._settings, self._backend = settings, backend
        self._due: list[tuple[Account, list[Notification]]] = []

    def owes(self, account: "Account", notifications: "Sequence[Notification]") -> None:
        if notifications:
            self._due.append((account, list(notifications)))

    async def deliver(self) -> None:
        if not self._due:
            return
        from webapp.metrics import Metrics
        from webapp.notifications.mail import MailFailed, open_mailer
        from webapp.notifications.sender import Sender

        try:
            sender = Sender(self._settings, self._backend, open_mailer(self._settings), Metrics())
        except MailFailed as failed:
            click.echo(f"No mail can leave: {failed}. The server tries again.", err=True)
            return
        logging.getLogger("keystead").addHandler(logging.NullHandler())  # what it would log is said below
        for account, notifications in self._due:
            sender.owes(account, notifications)
        await sender.settle()
        for name, reason in {_called(account): reason for account, reason in sender.failed}.items():
            click.echo(f"{name} could not be told by mail yet: {reason}. The server tries again.", err=True)


def _called(account: "Account") -> str:
    """Who it is; the address of somebody who has no name yet."""
    return account.invitation.email if account.invitation else account.username


@asynccontextmanager
async def _open(settings: "Settings") -> "AsyncIterator[Backend]":
    from backends import open_backend

    backend = await open_backend(settings.backend)
    try:
        yield backend
    finally:
        await backend.close()


def left_out(damaged: "Damaged") -> None:
    """What is done with all accounts is done without this one."""
    click.echo(f"Left out: {damaged} {MEND}", err=True)


def moment(at: Any) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Rows under their heads, in columns."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())

"""What a deployer has: a folder with a file backend and an outbox, and the command on it."""

import asyncio
import http.client
import os
import secrets
import sqlite3
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from msgspec.structs import replace

from backends import migrate, open_backend
from backends.records import Account, Event, SecurityKey, Session
from tests import command
from tests.command import KEYSTEAD
from webapp.accounts import commits, identities, passwords
from webapp.accounts.context import Context
from webapp.accounts.decision import Operation
from webapp.accounts.events import Happened
from webapp.metrics import Metrics
from webapp.settings import Settings
from webapp.testing.mailbox import Outbox

P = ParamSpec("P")
T = TypeVar("T")

PASSWORD = "correct horse battery"
NOW = datetime(2026, 11, 24, 3, 10, tzinfo=UTC)
PLAIN = {name: text for name, text in os.environ.items() if not name.startswith("KEYSTEAD_") and name != "PORT"}
"""The environment, without anything that is meant for a Keystead of somebody's own."""


class Deployment:
    """A folder with a file backend and an outbox, and the command on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "keystead.db"
        self.mailbox = Outbox(folder / "outbox")
        self.environ = PLAIN | {
            "KEYSTEAD_PUBLIC_URL": "https://account.example.com",
            "KEYSTEAD_SECRET_KEYS": secrets.token_urlsafe(32),
            "KEYSTEAD_BACKEND": self.file.as_uri(),
            "KEYSTEAD_MAIL": self.mailbox.url,
            "KEYSTEAD_MAIL_FROM": "keystead@example.com",
        }
        asyncio.run(migrate(self.file.as_uri()))

    def run(self, *words: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        return command.run(*words, environ=self.environ | environ, stdin=stdin)

    def ok(self, *words: str, stdin: str = "", **environ: str) -> str:
        """What it says when all is well."""
        done = self.run(*words, stdin=stdin, **environ)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def refused(self, *words: str, stdin: str = "", **environ: str) -> str:
        """What it says when it does not do it: nothing that only a programmer reads."""
        done = self.run(*words, stdin=stdin, **environ)
        assert done.returncode in (1, 2)
        assert "Traceback" not in done.stderr
        return done.stderr + done.stdout

    def ask(self, question: Callable[[Context], Awaitable[T]]) -> T:
        """What comes of it with the deployment's settings and backend, beside the command."""

        async def work() -> T:
            backend = await open_backend(self.environ["KEYSTEAD_BACKEND"])
            try:
                return await question(Context(Settings.from_environ(self.environ), backend, Metrics()))
            finally:
                await backend.close()

        return asyncio.run(work())

    def read(self, name: str = "anna") -> Account:
        found = self.ask(lambda ctx: ctx.backend.account_named(name))
        assert found is not None
        return found

    def events(self, name: str = "anna") -> list[Event]:
        account = self.read(name)
        return self.ask(lambda ctx: ctx.backend.events_of(account.id, 1000))

    def change(self, operation: Operation[P], *args: P.args, **kwargs: P.kwargs) -> Account:
        """Anna's account, changed by an operation; no letter is sent."""
        account = self.read()
        return self.ask(lambda ctx: partial(commits.change, ctx, account, operation, *args, **kwargs)())

    def damage(self, name: str = "anna") -> None:
        """The account's record, by another program's mistake."""
        with closing(sqlite3.connect(self.file)) as db, db:
            db.execute("UPDATE accounts SET document = '{}' WHERE folded_username = ?", (name,))

    def add(self, account: Account) -> Account:
        return self.ask(lambda ctx: commits.add(ctx, account, [Happened("account added")]))


def anna() -> Account:
    """An account with two keys, logged on in one place."""
    hashed = asyncio.run(passwords.hash(PASSWORD))
    account = identities.new("anna", "anna@example.com", hashed, NOW)
    used = [NOW.replace(hour=5), None]
    keys = [_key(number, name, at) for number, (name, at) in enumerate(zip(("Blue key", "Spare key"), used, strict=True), 1)]
    session = Session(
        id="here",
        token_hash=b"h" * 32,
        stage="authenticated",
        begun_at=NOW,
        seen_at=NOW,
        expires_at=NOW.replace(year=2100),
        address="192.0.2.7",
        browser="Firefox on Linux",
    )
    return replace(account, keys=tuple(keys), sessions=(session,))


def _key(number: int, name: str, used_at: datetime | None) -> SecurityKey:
    return SecurityKey(
        id=bytes([number]) * 16,
        name=name,
        public_key=b"cose",
        sign_count=1,
        aaguid=bytes(16),
        attestation="none",
        transports=("usb",),
        rp_id="account.example.com",
        bound_at=NOW + timedelta(minutes=number),
        used_at=used_at,
    )


@contextmanager
def running(*words: str, environ: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on until it is stopped; killed in the end."""
    process = subprocess.Popen(
        [*KEYSTEAD, *words], env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def status(port: int, path: str) -> int:
    """The status of an answer; waits for the server."""
    ends = time.monotonic() + 20
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.05)
        finally:
            connection.close()

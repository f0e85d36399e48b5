"""A real Keystead on loopback, as a deployer starts it, with the file backend and an outbox; and the people on it."""

import asyncio
import contextlib
import http.client
import os
import re
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from anyio.from_thread import start_blocking_portal

from backends import migrate, open_backend
from webapp import clock
from webapp.accounts import commits, identities, passwords
from webapp.accounts.context import Context
from webapp.metrics import Metrics
from webapp.settings import Settings
from webapp.testing.mailbox import Outbox, free_port, text_of


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who has an account."""

    username: str
    email: str
    password: str


@dataclass(frozen=True, slots=True)
class Site:
    """A running Keystead. `environ` is what it was started with, for commands beside it; `pid` the process that was started."""

    url: str
    folder: Path
    environ: dict[str, str]
    pid: int = 0

    def person(self, name: str | None = None) -> Person:
        """A new account, with nothing bound."""
        name = name or f"person-{secrets.token_hex(4)}"
        person = Person(name, f"{name}@example.com", secrets.token_urlsafe(12))
        # In a thread of its own: Playwright holds an event loop in this one.
        adding = threading.Thread(target=lambda: asyncio.run(self._add(person)))
        adding.start()
        adding.join()
        return person

    async def _add(self, person: Person) -> None:
        settings, hashed = Settings.from_environ(self.environ), await passwords.hash(person.password)
        backend = await open_backend(settings.backend)
        try:
            await commits.add(
                Context(settings, backend, Metrics()), identities.new(person.username, person.email, hashed, clock.now())
            )
        finally:
            await backend.close()

    @property
    def mailbox(self) -> Outbox:
        return Outbox(self.folder / "outbox")

    def letters(self, person: Person) -> list[EmailMessage]:
        """The mails that this person got, oldest first."""
        return [letter for letter in reversed(list(self.mailbox.mails())) if letter["To"] == person.email]

    def code(self, person: Person) -> str:
        """The digits in the newest mail with a code; waits for the first."""
        return self.mailbox.code(person.email)

    def link(self, person: Person, path: str) -> str:
        """The newest mailed link to this page; waits for the first."""
        ends = time.monotonic() + 5
        wanted = re.compile(re.escape(self.url + path) + r"\?token=\S+")
        while not (found := [link for letter in self.letters(person) for link in wanted.findall(text_of(letter))]):
            if time.monotonic() > ends:
                raise AssertionError(f"no link to {path} was mailed")
            time.sleep(0.05)
        return str(found[-1])

    def keystead(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run the keystead command on this site."""
        command = [sys.executable, "-m", "webapp", *arguments]
        return subprocess.run(command, env=self.environ, input=stdin, capture_output=True, text=True, timeout=30, check=False)


@contextlib.contextmanager
def serving(folder: Path, program: str = "webapp", **settings: str) -> Iterator[Site]:
    """A site on a free port, with everything it keeps in this folder. A setting may name `{port}`."""
    folder.mkdir(parents=True, exist_ok=True)
    port = int(settings.get("PORT", free_port()))
    url = f"http://localhost:{port}"
    environ = {
        **os.environ,
        "KEYSTEAD_PUBLIC_URL": url,
        "KEYSTEAD_SECRET_KEYS": secrets.token_urlsafe(32),
        "KEYSTEAD_BACKEND": (folder / "keystead.db").as_uri(),
        "KEYSTEAD_MAIL": f"outbox://{folder}/outbox",
        "KEYSTEAD_MAIL_FROM": "Keystead <keystead@example.com>",
        "PORT": str(port),
        **settings,
    }
    with start_blocking_portal() as portal:  # Playwright holds an event loop in this thread
        portal.call(migrate, environ["KEYSTEAD_BACKEND"])
    with (folder / "server.log").open("a+") as log:
        command = [sys.executable, "-m", program, "serve", "--host", "127.0.0.1"]
        server = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            if not wait_for(port, server):
                log.seek(0)
                raise AssertionError(f"the server did not start:\n{log.read()}")
            yield Site(url, folder, environ, server.pid)
        finally:
            server.terminate()
            try:
                server.wait(15)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
                raise


def wait_for(port: int, server: subprocess.Popen[bytes]) -> bool:
    """Whether the server answers; False if it ended, or does not answer within 20 seconds."""
    ends = time.monotonic() + 20
    while server.poll() is None and time.monotonic() < ends:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return True
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    return False

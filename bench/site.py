"""A Keystead as a deployer starts it, with the file backend and an outbox in one folder; and the people on it.

People are added by the command, as a deployer adds them. Never looks at the records by itself.
"""

import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.peers import process
from bench.peers.process import Server
from bench.start import get
from webapp.testing.mailbox import Outbox, free_port, text_of

ROOT = Path(__file__).parents[1]
KEYSTEAD = [sys.executable, "-m", "webapp"]
PATIENCE = 20


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who has an account."""

    username: str
    email: str
    password: str


@dataclass(frozen=True, slots=True)
class Site:
    """A running Keystead. `environ` is what it was started with, for commands beside it."""

    url: str
    mailbox: Outbox
    environ: dict[str, str]
    server: Server | None = None

    def person(self) -> Person:
        """A new account, with nothing bound."""
        name = f"person-{secrets.token_hex(4)}"
        person = Person(name, f"{name}@example.com", secrets.token_urlsafe(12))
        self.keystead("account", "add", person.username, person.email, "--stdin", stdin=person.password)
        return person

    def keystead(self, *words: str, stdin: str = "") -> str:
        """What the command says when all is well."""
        done = subprocess.run(
            [*KEYSTEAD, *words], cwd=ROOT, env=self.environ, input=stdin, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def code(self, person: Person) -> str:
        """The digits in the newest mail with a code; waits for the first."""
        return self.mailbox.code(person.email)

    def link(self, person: Person, path: str) -> str:
        """The newest mailed link to this page; waits for the first."""
        wanted, ends = re.compile(re.escape(self.url + path) + r"\?token=\S+"), time.monotonic() + PATIENCE
        while time.monotonic() < ends:
            for mail in self.mailbox.mails():
                if mail["to"] == person.email and (found := wanted.search(text_of(mail))):
                    return found[0]
            time.sleep(0.05)
        raise AssertionError(f"no link to {path} was mailed")


@contextmanager
def serving(folder: Path, **settings: str) -> Iterator[Site]:
    """A site on a free port, until the block is left."""
    port = free_port()
    site = Site(f"http://localhost:{port}", Outbox(folder / "outbox"), _environ(folder, port) | settings)
    site.keystead("backend", "migrate")
    with process.running([*KEYSTEAD, "serve", "--host", "127.0.0.1"], site.environ, port, folder / "log", ROOT) as server:
        ends = time.monotonic() + PATIENCE
        while not _answers(port):
            assert server.process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < ends, (folder / "log").read_text()
            time.sleep(0.02)
        yield replace(site, server=server)


def _answers(port: int) -> bool:
    try:
        get(port, "/logon")
    except OSError:
        return False
    return True


def _environ(folder: Path, port: int) -> dict[str, str]:
    return os.environ | {
        "KEYSTEAD_PUBLIC_URL": f"http://localhost:{port}",
        "KEYSTEAD_SECRET_KEYS": secrets.token_urlsafe(32),
        "KEYSTEAD_BACKEND": (folder / "keystead.db").as_uri(),
        "KEYSTEAD_MAIL": f"outbox://{folder}/outbox",
        "KEYSTEAD_MAIL_FROM": "Keystead <keystead@example.com>",
        "PORT": str(port),
    }

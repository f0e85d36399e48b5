"""`keystead demo`: a whole installation for one look. Lives in a temporary folder, is reached from this machine only, and is gone
when it stops, unless a folder to keep was named.
"""

import asyncio
import email
import errno
import secrets
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.policy import default
from pathlib import Path
from types import FrameType

import click
import uvicorn

from backends import migrate, open_backend
from backends.protocol import UsernameTaken
from webapp import clock, logs
from webapp.accounts import commits, identities, passwords
from webapp.accounts.context import Context
from webapp.app import create_app
from webapp.cli import GRACE, QUIET
from webapp.cli.running import Refused, in_plain_words
from webapp.metrics import Metrics
from webapp.settings import Settings

USERNAME = "alice"
FIRST_PORT = 8000
LOOK_EVERY = 0.2
_PLAIN = "abcdefghjkmnpqrstuvwxyz23456789"
"""Letters and digits that nobody takes for one another."""


def run(port: int | None, keep: Path | None) -> None:
    """Serve until somebody stops it."""
    with in_plain_words(), _folder(keep) as folder, _listening(port) as listener:
        settings = _settings(folder, listener.getsockname()[1])
        signal.signal(signal.SIGTERM, _stop)
        with suppress(KeyboardInterrupt):
            asyncio.run(_serve(settings, listener, folder))
    click.echo("\n  Stopped." + ("" if keep else " Everything it held is gone."))


def _stop(number: int, frame: FrameType | None) -> None:
    """A stop from outside removes the folder too."""
    raise KeyboardInterrupt


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="keystead-demo-") as folder:
            yield Path(folder)
    else:
        keep.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield keep.absolute()


@contextmanager
def _listening(wanted: int | None) -> Iterator[socket.socket]:
    """A socket on the wanted port, or on the first free one. Held from here on, so that nobody takes it meanwhile."""
    for port in [wanted] if wanted else range(FIRST_PORT, FIRST_PORT + 100):
        listener = _listen(port)
        if listener:
            with listener:
                yield listener
            return
    taken = f"Port {wanted} is taken, or not for this user: name another one."
    raise Refused(taken if wanted else "No port from 8000 on is free: name one with --port.")


def _listen(port: int) -> socket.socket | None:
    """None if it is taken, also on ::1: browsers may try localhost there first, and would find somebody else."""
    with suppress(OSError), socket.socket(socket.AF_INET6) as other:  # an error where this machine has no IPv6
        if other.connect_ex(("::1", port)) == 0:
            return None
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except OSError as error:
        listener.close()
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        return None
    return listener


def _settings(folder: Path, port: int) -> Settings:
    return Settings.from_environ(
        {
            "KEYSTEAD_PUBLIC_URL": f"http://localhost:{port}",
            "KEYSTEAD_SECRET_KEYS": _secret(folder / "secret"),
            "KEYSTEAD_BACKEND": (folder / "keystead.db").as_uri(),
            "KEYSTEAD_MAIL": (folder / "outbox").as_uri().replace("file:", "outbox:", 1),
            "KEYSTEAD_MAIL_FROM": "Keystead <keystead@example.com>",
            "PORT": str(port),
        }
    )


def _secret(file: Path) -> str:
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(32))
    return file.read_text()


async def _serve(settings: Settings, listener: socket.socket, folder: Path) -> None:
    password = "-".join("".join(secrets.choice(_PLAIN) for _ in range(4)) for _ in range(4))
    await _let_in(settings, password)
    config = uvicorn.Config(
        create_app(settings),
        timeout_graceful_shutdown=GRACE,
        log_config=logs.config("text", quiet=True),
        log_level="warning",
        **QUIET,
    )
    server = _Server(config)
    showing = asyncio.create_task(_show(settings, password, folder, server))
    try:
        await server.serve(sockets=[listener])
    finally:
        showing.cancel()


class _Server(uvicorn.Server):
    """Tells when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


async def _let_in(settings: Settings, password: str) -> None:
    """An account that this password opens, also where the folder was kept from another time."""
    await migrate(settings.backend)
    backend = await open_backend(settings.backend)
    ctx, hash = Context(settings, backend, Metrics()), await passwords.hash(password)
    try:
        await commits.add(ctx, identities.new(USERNAME, f"{USERNAME}@example.com", hash, clock.now()))
    except UsernameTaken:
        if known := await backend.account_named(USERNAME):
            await commits.change(ctx, known, identities.set_password, hash)
    finally:
        await backend.close()


async def _show(settings: Settings, password: str, folder: Path, server: _Server) -> None:
    """The one screen, once the server answers; then each mail as it is sent."""
    outbox = folder / "outbox"
    shown = set(_letters(outbox))
    await server.up.wait()
    click.echo(_SCREEN.format(url=settings.public_url, username=USERNAME, password=password, folder=folder))
    while True:
        for letter in _letters(outbox):
            if letter not in shown:
                shown.add(letter)
                click.echo(_mail(letter))
        await asyncio.sleep(LOOK_EVERY)


_SCREEN = """
  Keystead is running, for a look: only on this machine, and only until you stop it with Ctrl+C.

      Open        {url}
      Username    {username}
      Password    {password}

  What to do
      1. Log on, open Security Settings, and choose Bind in the row Universal 2nd Factor.
      2. Ask for the verification code: the mail is shown here.
      3. Insert your security key and touch it when it blinks.
         (No key at hand? In Chrome, Developer Tools > More tools > WebAuthn makes a virtual one.)
      4. Log off and on again: now the key is needed. Then unbind it.

  Everything is kept in {folder}
"""


def _letters(outbox: Path) -> list[Path]:
    return sorted(outbox.glob("*.eml"))


def _mail(file: Path) -> str:
    letter = email.message_from_bytes(file.read_bytes(), policy=default)
    body = letter.get_body(("plain",))
    lines = body.get_content().strip().splitlines() if body else []
    head = f"  ── Mail to {letter['to']}: {letter['subject']} "
    return "\n".join(["", head.ljust(78, "─"), "", *(f"      {line}".rstrip() for line in lines), "", "  " + "─" * 76])

"""A post office on loopback: a real SMTP server, which can be closed, refuse letters, or be slow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from aiosmtpd.smtp import SMTP, Envelope, Session

from webapp.testing.mailbox import free_port, text_of


class Post:
    """`letters` are those that it has accepted."""

    def __init__(self) -> None:
        self.port = free_port()
        self.refuses = False
        self.open_door = asyncio.Event()
        """No letter is accepted before this is set."""
        self.open_door.set()
        self.waiting = 0
        self.letters: list[EmailMessage] = []
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def subjects(self) -> list[str]:
        return [str(letter["subject"]).removeprefix("Keystead: ") for letter in self.letters]

    @property
    def texts(self) -> list[str]:
        return [text_of(letter) for letter in self.letters]

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: SMTP(self, hostname="mail.test", loop=loop), "127.0.0.1", self.port)

    async def close(self) -> None:
        if self._server:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def handle_DATA(  # noqa: N802 - aiosmtpd finds its hooks by their names
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        self.waiting += 1
        await self.open_door.wait()
        self.waiting -= 1
        if self.refuses:
            return "451 not now, alice@example.com"
        letter = message_from_bytes(envelope.original_content or b"", policy=default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        return "250 OK"


@asynccontextmanager
async def opened() -> AsyncIterator[Post]:
    post = Post()
    await post.open()
    try:
        yield post
    finally:
        post.open_door.set()
        with suppress(TimeoutError):
            await post.close()

"""Where mail arrives in tests: the folder of an `outbox://` mailer, or an SMTP server on this machine."""

import re
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_CODE = re.compile(r"(?m)^\s*([0-9]{6})\s*$")


class NoMail(AssertionError):
    """Nothing of the kind arrived in time."""


class Mailbox(ABC):
    """Mails that arrived. Times are in nanoseconds, as `time.time_ns()` gives them."""

    @abstractmethod
    def mails(self, since: int = 0) -> Iterator[EmailMessage]:
        """Those that arrived at this moment or later, newest first."""

    def newest(self, to: str | None = None, since: int = 0, wait: float = 5.0) -> EmailMessage:
        """The newest mail (to this address); waits this many seconds for one. NoMail if none came."""
        return self._await(lambda mail: mail, to, since, wait)

    def code(self, to: str | None = None, since: int = 0, wait: float = 5.0) -> str:
        """The verification code in the newest mail that has one; waits for it. NoMail if none came."""
        return self._await(code_in, to, since, wait)

    def _await(self, read: Callable[[EmailMessage], T | None], to: str | None, since: int, wait: float) -> T:
        end = time.monotonic() + wait
        while True:
            for mail in self.mails(since):
                if to in (None, address(mail)) and (found := read(mail)):
                    return found
            if time.monotonic() > end:
                raise NoMail(f"no such mail{f' to {to}' if to else ''} within {wait:g} seconds")
            time.sleep(0.02)


class Outbox(Mailbox):
    """The folder that `KEYSTEAD_MAIL=outbox:///folder` writes to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def url(self) -> str:
        """What to set KEYSTEAD_MAIL to."""
        return f"outbox://{self.folder.resolve().as_posix()}"

    def mails(self, since: int = 0) -> Iterator[EmailMessage]:
        """The file names begin with the time at which they were written."""
        for file in sorted(self.folder.glob("*.eml"), reverse=True):
            if int(file.name.partition("-")[0]) < since:
                return
            yield _parse(file.read_bytes())


class SmtpMailbox(Mailbox):
    """A mail server on loopback that keeps what it is given; a context manager. Needs aiosmtpd."""

    def __init__(self) -> None:
        self._kept: list[tuple[int, bytes]] = []

    def __enter__(self) -> "SmtpMailbox":
        from aiosmtpd.controller import Controller

        self._controller = Controller(self, hostname="127.0.0.1", port=free_port())
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    @property
    def url(self) -> str:
        """What to set KEYSTEAD_MAIL to."""
        return f"smtp://127.0.0.1:{self._controller.port}"

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep a mail."""
        self._kept.append((time.time_ns(), envelope.content))
        return "250 kept"

    def mails(self, since: int = 0) -> Iterator[EmailMessage]:
        for at, content in reversed(self._kept):
            if at < since:
                return
            yield _parse(content)


def free_port() -> int:
    """A port of loopback that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def code_in(mail: EmailMessage) -> str | None:
    """The verification code that a mail brings, if it brings one."""
    found = _CODE.search(text_of(mail))
    return found[1] if found else None


def text_of(mail: EmailMessage) -> str:
    """The plain text of a mail."""
    part = mail.get_body(("plain",))
    return str(part.get_content()) if part else ""


def address(mail: EmailMessage) -> str:
    """Whom a mail is for."""
    return str(mail["to"].addresses[0].addr_spec)


def _parse(data: bytes) -> EmailMessage:
    mail = message_from_bytes(data, policy=policy.default)
    assert isinstance(mail, EmailMessage)  # noqa: S101 - what the policy makes
    return mail

"""Letters out: over SMTP, or into a folder. Gets finished text; a failure never says a password, a code or an address.

A letter that was not accepted within ten seconds has failed, so that a person at a page learns of it; what a server does once it
has accepted one changes nothing. Nothing that came from outside can add a header: control characters never reach one
(CVE-2024-6923 is in the Pythons that we still run on).
"""

import asyncio
import os
import secrets
import ssl
import time
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid, parseaddr
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from webapp import clock
from webapp.settings import ADDRESS, Settings

if TYPE_CHECKING:
    import aiosmtplib

SECONDS = 10.0
"""From the connection to the end of it."""
GOODBYE_SECONDS = 1.0
"""How long a server may take to say goodbye."""
_DEFAULT_PORTS = {"smtp": 587, "smtps": 465}


class MailFailed(Exception):
    """The letter was not accepted, or not in time. The text says why, for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What one person is told: the same in plain text and in HTML."""

    to: str
    subject: str
    text: str
    html: str


class Mailer(Protocol):
    """A way for letters to leave."""

    async def send(self, letter: Letter) -> None:
        """Return once the letter was accepted; MailFailed otherwise."""

    async def reach(self) -> None:
        """Return if a letter could be handed over now: reached, secured, logged on. Sends nothing; MailFailed otherwise."""


def open_mailer(settings: Settings) -> Mailer:
    """The mailer at `KEYSTEAD_MAIL`. Connects to nothing yet; MailFailed if a folder cannot be made."""
    parts = urlsplit(settings.mail)
    return Outbox(settings, parts) if parts.scheme == "outbox" else Smtp(settings, parts)


class Smtp:
    """A mail server. With a password, TLS is a must; without one it is used where the server offers it."""

    def __init__(self, settings: Settings, parts: SplitResult) -> None:
        self._settings = settings
        self._host = parts.hostname or ""
        self._port = parts.port or _DEFAULT_PORTS[parts.scheme]
        self._username = unquote(parts.username) if parts.username is not None else None
        self._password = unquote(parts.password) if parts.password is not None else None
        self._tls_from_the_start = parts.scheme == "smtps"

    async def send(self, letter: Letter) -> None:
        await self._in_time(compose(self._settings, letter))

    async def reach(self) -> None:
        await self._in_time(None)

    async def _in_time(self, message: EmailMessage | None) -> None:
        client = self._client()
        try:
            async with asyncio.timeout(SECONDS) as deadline:
                await self._hand_over(client, message)
            await _say_goodbye(client, deadline.when() or 0)
        except TimeoutError:
            raise MailFailed(f"{self._host}:{self._port} did not answer within {SECONDS:g} seconds") from None
        finally:
            client.close()

    async def _hand_over(self, client: "aiosmtplib.SMTP", message: EmailMessage | None) -> None:
        import aiosmtplib  # only where letters leave by SMTP

        try:
            await client.connect()
            if message is not None:
                await client.send_message(message)
        except aiosmtplib.SMTPTimeoutError:
            raise TimeoutError from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            # `from None`: a server's answer may repeat the address or more, and would stand in the traceback.
            raise MailFailed(f"{self._host}:{self._port} {_reason(error)}") from None

    def _client(self) -> "aiosmtplib.SMTP":
        import aiosmtplib

        return aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            username=self._username,
            password=self._password,
            use_tls=self._tls_from_the_start,
            start_tls=self._start_tls,
            tls_context=self._tls_context,
            timeout=SECONDS,
            local_hostname=self._settings.rp_id,
        )

    @property
    def _start_tls(self) -> bool | None:
        """True: a must. None: if it is offered. False: not."""
        if self._tls_from_the_start:
            return False
        if _loopback(self._host):
            # Nothing leaves the machine, and mail servers of a machine seldom have a certificate for localhost.
            return None if self._password else False
        return True if self._password else None

    @cached_property
    def _tls_context(self) -> ssl.SSLContext:
        """Certificates are always checked. The variable SSL_CERT_FILE names those of an authority of one's own."""
        return ssl.create_default_context()


class Outbox:
    """A folder that gets one `.eml` file for each letter, named so that they sort by time. Nothing is sent."""

    def __init__(self, settings: Settings, parts: SplitResult) -> None:
        self._settings = settings
        self._folder = Path(unquote(parts.path))
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise MailFailed(f"the outbox {self._folder} cannot be made: {error.strerror}") from None

    async def send(self, letter: Letter) -> None:
        data = compose(self._settings, letter).as_bytes()
        try:
            await asyncio.to_thread(self._write, data)
        except OSError as error:
            raise MailFailed(f"the outbox {self._folder} cannot be written: {error.strerror}") from None

    async def reach(self) -> None:
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise MailFailed(f"the outbox {self._folder} cannot be written")

    def _write(self, data: bytes) -> None:
        """Whole or not at all: whoever watches the folder never reads half a letter."""
        name = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
        part = self._folder / f".{name}.part"
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
            part.replace(self._folder / f"{name}.eml")
        except OSError:
            part.unlink(missing_ok=True)
            raise


async def _say_goodbye(client: "aiosmtplib.SMTP", deadline: float) -> None:
    """QUIT, as is good manners; what comes of it matters to nobody."""
    import aiosmtplib

    end = min(deadline, asyncio.get_running_loop().time() + GOODBYE_SECONDS)
    with suppress(TimeoutError, OSError, aiosmtplib.SMTPException):
        async with asyncio.timeout_at(end):
            await client.quit()


def compose(settings: Settings, letter: Letter) -> EmailMessage:
    """The letter as mail servers take it; MailFailed if its address cannot be written to."""
    message = EmailMessage(policy=SMTP)
    try:
        name, address = parseaddr(settings.mail_from)
        message["From"] = _address(_one_line(name) or settings.name, address)
        message["To"] = _address("", letter.to)
    except ValueError:
        raise MailFailed("the address is not one that mail can be sent to") from None
    message["Subject"] = _one_line(letter.subject)
    message["Date"] = format_datetime(clock.now())
    message["Message-ID"] = make_msgid(domain=settings.rp_id)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
    message.set_content(letter.text)
    message.add_alternative(letter.html, subtype="html")
    return message


def _address(name: str, text: str) -> Address:
    """One mailbox and nothing else: no second recipient, no line end, no comment. ValueError if it is not."""
    if not ADDRESS.fullmatch(text) or text != _one_line(text):
        raise ValueError("not one address")
    local, _, domain = text.rpartition("@")
    return Address(name, local, domain if domain.isascii() else domain.encode("idna").decode())


def _one_line(text: str) -> str:
    """Without control characters and line ends of any kind."""
    return " ".join("".join(" " if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text).split())


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(error: Exception) -> str:
    """Why, without a word that the server said: it may repeat the address."""
    import aiosmtplib

    if isinstance(error, ssl.SSLError | aiosmtplib.SMTPConnectError) and "certificate" in str(error).lower():
        return "has a certificate that is not trusted"
    code = getattr(error, "code", None)
    known = {
        aiosmtplib.SMTPAuthenticationError: "refused the username and password",
        aiosmtplib.SMTPRecipientsRefused: "refused the recipient",
        aiosmtplib.SMTPRecipientRefused: "refused the recipient",
        aiosmtplib.SMTPSenderRefused: "refused the sender",
        aiosmtplib.SMTPServerDisconnected: "hung up",
        aiosmtplib.SMTPConnectError: "cannot be reached",
        OSError: "cannot be reached",
        aiosmtplib.SMTPDataError: "refused the letter",
    }
    otherwise = "offers no TLS, no logon, or no such addresses" if "not supported" in str(error) else "did not take the letter"
    words = next((words for kind, words in known.items() if isinstance(error, kind)), otherwise)
    return f"{words} ({code})" if code else words

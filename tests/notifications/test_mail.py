"""Letters reach a real mail server on loopback, or fail in time and in words that give nothing away."""

import asyncio
import email
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from webapp import clock
from webapp.notifications import mail
from webapp.notifications.mail import Letter, MailFailed
from webapp.settings import Settings

pytestmark = [
    pytest.mark.anyio,
    # aiosmtpd's own: it asks for an attribute that its successor will not have.
    pytest.mark.filterwarnings("ignore:.*login_data.*:DeprecationWarning"),
]

LETTER = Letter(to="anna@example.com", subject="Your verification code", text="Type 123456.\n", html="<p>Type 123456.</p>\n")
PASSWORD = "p@ss/wörd:%"


class Taken(NamedTuple):
    """A letter that the server accepted."""

    envelope: Envelope
    letter: EmailMessage
    over_tls: bool


class Inbox:
    """A mail server's mind: takes letters, but not those to `refused@…`; slowly those to `slow@…`."""

    pause = 0.0

    def __init__(self) -> None:
        self.taken: list[Taken] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd finds its hooks by their names
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("refused@"):
            return f"550 no such person as {address}"
        if address.startswith("slow@"):
            await asyncio.sleep(self.pause)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - as above
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        await asyncio.sleep(self.pause)
        content = envelope.original_content or b""
        self.taken.append(Taken(envelope, email.message_from_bytes(content, policy=default), session.ssl is not None))
        return "250 OK"


def settings(address: str, sender: str = "Example <keystead@example.com>") -> Settings:
    return Settings(public_url="https://account.example.com", secret_keys=("s" * 40,), backend="", mail=address, mail_from=sender)


@asynccontextmanager
async def serving(ssl_context: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[tuple[Inbox, int]]:
    """A mail server in this event loop; `ssl_context` is for TLS from the start, the options are aiosmtpd's."""
    inbox = Inbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(inbox, hostname="mail.test", loop=loop, **options), "127.0.0.1", 0, ssl=ssl_context
    )
    try:
        yield inbox, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


def knows_the_password(server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: object) -> AuthResult:
    right = isinstance(given, LoginPassword) and given.password == PASSWORD.encode()
    return AuthResult(success=right, handled=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for localhost, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "localhost.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


async def test_a_letter_arrives_whole() -> None:
    async with serving() as (inbox, port):
        await mail.open_mailer(settings(f"smtp://127.0.0.1:{port}")).send(LETTER)
    envelope, letter, _ = inbox.taken[0]
    assert (envelope.mail_from, envelope.rcpt_tos) == ("keystead@example.com", ["anna@example.com"])
    assert letter["From"] == "Example <keystead@example.com>"
    assert letter["To"] == "anna@example.com"
    assert letter["Subject"] == "Your verification code"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["Message-ID"].endswith("@account.example.com>")
    assert letter["Date"].datetime == clock.now()
    assert letter.get_content_type() == "multipart/alternative"
    assert [(part.get_content_type(), part.get_content().strip()) for part in letter.iter_parts()] == [
        ("text/plain", "Type 123456."),
        ("text/html", "<p>Type 123456.</p>"),
    ]


async def test_names_and_subjects_may_hold_any_letters() -> None:
    said = Letter(to="anna@bücher.example", subject="Schlüssel gebunden 🔑", text="Grüße\n", html="<p>Grüße</p>\n")
    async with serving() as (inbox, port):
        await mail.open_mailer(settings(f"smtp://127.0.0.1:{port}", "Bücher AG <a@example.com>")).send(said)
    assert inbox.taken[0].envelope.rcpt_tos == ["anna@xn--bcher-kva.example"]
    assert inbox.taken[0].letter["From"] == "Bücher AG <a@example.com>"
    assert inbox.taken[0].letter["Subject"] == "Schlüssel gebunden 🔑"
    assert [part.get_content().strip() for part in inbox.taken[0].letter.iter_parts()] == ["Grüße", "<p>Grüße</p>"]


async def test_an_address_may_hold_any_letters_where_the_server_can_take_them() -> None:
    said = Letter(to="jürgen@example.com", subject="Hello", text="Hello\n", html="<p>Hello</p>\n")
    async with serving(enable_SMTPUTF8=True) as (inbox, port):
        await mail.open_mailer(settings(f"smtp://127.0.0.1:{port}")).send(said)
    assert inbox.taken[0].envelope.rcpt_tos == ["jürgen@example.com"]
    async with serving(enable_SMTPUTF8=False) as (inbox, port):
        with pytest.raises(MailFailed):
            await mail.open_mailer(settings(f"smtp://127.0.0.1:{port}")).send(said)
    assert inbox.taken == []


async def test_without_a_name_the_sender_is_called_as_the_site() -> None:
    async with serving() as (inbox, port):
        await mail.open_mailer(settings(f"smtp://127.0.0.1:{port}", "keystead@example.com")).send(LETTER)
    assert inbox.taken[0].letter["From"] == "Keystead <keystead@example.com>"


async def test_a_password_goes_over_starttls(tls: ssl.SSLContext, trusted: None) -> None:
    options: dict[str, Any] = {
        "tls_context": tls,
        "require_starttls": True,
        "auth_required": True,
        "authenticator": knows_the_password,
    }
    async with serving(**options) as (inbox, port):
        address = f"smtp://keystead:{quote(PASSWORD, safe='')}@localhost:{port}"
        await mail.open_mailer(settings(address)).send(LETTER)
    assert [taken.over_tls for taken in inbox.taken] == [True]


async def test_smtps_speaks_tls_from_the_start(tls: ssl.SSLContext, trusted: None) -> None:
    async with serving(ssl_context=tls) as (inbox, port):
        await mail.open_mailer(settings(f"smtps://localhost:{port}")).send(LETTER)
    assert inbox.taken[0].letter["To"] == "anna@example.com"


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_certificate_of_nobody_is_not_trusted(tls: ssl.SSLContext, scheme: str) -> None:
    options: dict[str, Any] = {"tls_context": tls} if scheme == "smtp" else {"ssl_context": tls}
    async with serving(**options) as (inbox, port):
        with pytest.raises(MailFailed, match="certificate that is not trusted"):
            await mail.open_mailer(settings(f"{scheme}://keystead:pw@localhost:{port}")).send(LETTER)
    assert inbox.taken == []


async def test_a_certificate_of_another_host_is_not_trusted(tls: ssl.SSLContext, trusted: None) -> None:
    async with serving(ssl_context=tls) as (inbox, port):
        with pytest.raises(MailFailed, match="certificate that is not trusted"):
            await mail.open_mailer(settings(f"smtps://127.0.0.1:{port}")).send(LETTER)
    assert inbox.taken == []


async def test_a_password_is_not_sent_without_tls_beyond_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is on loopback all the same; only our judgement of its host is changed."""
    asked: list[object] = []
    monkeypatch.setattr(mail, "_loopback", lambda host: False)

    def note(*given: Any) -> AuthResult:
        asked.append(given)
        return AuthResult(success=True)

    async with serving(auth_require_tls=False, authenticator=note) as (inbox, port):
        with pytest.raises(MailFailed, match="offers no TLS"):
            await mail.open_mailer(settings(f"smtp://keystead:pw@127.0.0.1:{port}")).send(LETTER)
    assert (asked, inbox.taken) == ([], [])


async def test_a_wrong_password_is_said_without_the_password(tls: ssl.SSLContext, trusted: None) -> None:
    async with serving(tls_context=tls, authenticator=knows_the_password) as (_, port):
        with pytest.raises(MailFailed, match=r"refused the username and password \(535\)") as caught:
            await mail.open_mailer(settings(f"smtp://keystead:hunter2@localhost:{port}")).send(LETTER)
    assert "hunter2" not in str(caught.value)


async def test_a_refused_recipient_is_said_without_the_address() -> None:
    refused = Letter(to="refused@example.com", subject="Hello", text="Hello\n", html="<p>Hello</p>\n")
    async with serving() as (inbox, port):
        with pytest.raises(MailFailed, match="refused the recipient") as caught:
            await mail.open_mailer(settings(f"smtp://127.0.0.1:{port}")).send(refused)
    assert "refused@" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert inbox.taken == []


STAGES = ["banner", "EHLO", "MAIL", "RCPT", "DATA", "letter"]


@asynccontextmanager
async def hanging(at: str) -> AsyncIterator[tuple[list[bytes], int]]:
    """A mail server that says nothing any more from this stage on. The letters that it accepted, and its port."""
    accepted: list[bytes] = []
    stopped, visits = asyncio.Event(), set[asyncio.Task[None]]()

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def answer(stage: str, line: bytes) -> None:
            if stage == at:
                await stopped.wait()
                raise ConnectionAbortedError
            writer.write(line + b"\r\n")

        await answer("banner", b"220 mail.test")
        while command := (await reader.readline()).decode().strip():
            stage = command.split()[0].upper()
            await answer(stage, b"354 go on" if stage == "DATA" else b"250 OK")
            if stage == "DATA":
                letter = await reader.readuntil(b"\r\n.\r\n")
                await answer("letter", b"250 OK")
                accepted.append(letter)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await visit(reader, writer)
        writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.add(asyncio.get_running_loop().create_task(serve(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield accepted, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        stopped.set()
        await asyncio.gather(*visits)
        await server.wait_closed()


async def timed(port: int, to: str = "anna@example.com") -> tuple[float, str]:
    """How long sending a letter takes, and why it failed."""
    mailer, begun = mail.open_mailer(settings(f"smtp://127.0.0.1:{port}")), time.monotonic()
    try:
        await mailer.send(replace(LETTER, to=to))
    except MailFailed as failed:
        return time.monotonic() - begun, str(failed)
    return time.monotonic() - begun, ""


@pytest.mark.clock
async def test_a_server_that_hangs_at_any_stage_fails_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """One deadline for all stages together: ten seconds were twenty in version 0.1, which waited for QUIT as well."""
    monkeypatch.setattr(mail, "SECONDS", 1.0)

    async def hang(stage: str) -> tuple[float, str, int]:
        async with hanging(stage) as (accepted, port):
            seconds, why = await timed(port)
        return seconds, why.partition(" ")[2], len(accepted)

    for seconds, why, accepted in await asyncio.gather(*map(hang, STAGES)):
        assert (why, accepted) == ("did not answer within 1 seconds", 0)
        assert 1.0 <= seconds < 1.9


async def test_a_letter_that_was_accepted_has_not_failed_because_of_a_server_that_says_no_goodbye(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mail, "GOODBYE_SECONDS", 0.1)
    async with hanging("QUIT") as (accepted, port):
        seconds, why = await timed(port)
    assert why == ""
    assert seconds < 1.9
    assert len(accepted) == 1


async def test_a_goodbye_does_not_reach_beyond_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "SECONDS", 1.0)
    monkeypatch.setattr(mail, "GOODBYE_SECONDS", 5.0)
    async with hanging("QUIT") as (accepted, port):
        seconds, why = await timed(port)
    assert (why, len(accepted)) == ("", 1)
    assert seconds < 1.9


async def test_a_server_that_answers_slowly_at_every_stage_fails_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "SECONDS", 0.5)
    monkeypatch.setattr(Inbox, "pause", 0.4)
    async with serving() as (inbox, port):
        seconds, why = await timed(port, "slow@example.com")
    assert "did not answer within 0.5 seconds" in why
    assert seconds < 1.9
    assert inbox.taken == []


async def test_reaching_a_server_sends_nothing_and_says_when_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as (inbox, port):
        await mail.open_mailer(settings(f"smtp://127.0.0.1:{port}")).reach()
    assert inbox.taken == []
    monkeypatch.setattr(mail, "SECONDS", 0.4)
    async with hanging("banner") as (_, port):
        with pytest.raises(MailFailed, match="did not answer"):
            await mail.open_mailer(settings(f"smtp://127.0.0.1:{port}")).reach()


async def test_connections_are_closed_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "SECONDS", 0.2)
    monkeypatch.setattr(mail, "GOODBYE_SECONDS", 0.1)
    before = len(asyncio.all_tasks())
    for stage in ("banner", "letter", "QUIT"):
        async with hanging(stage) as (_, port):
            await timed(port)
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.05)
    assert len(asyncio.all_tasks()) == before


async def test_a_dead_port_is_said() -> None:
    async with serving() as (_, port):
        pass
    with pytest.raises(MailFailed, match=f"127.0.0.1:{port} cannot be reached"):
        await mail.open_mailer(settings(f"smtp://127.0.0.1:{port}")).send(LETTER)


ODD_SUBJECTS = [
    "a\r\nBcc: eve@example.com",
    "a\nBcc: eve@example.com",
    "a\u2028Bcc: eve@example.com",
    "a\x0bBcc: eve@example.com",
    "a\ud800",
]


@pytest.mark.parametrize("subject", ODD_SUBJECTS)
async def test_a_subject_cannot_add_a_header(subject: str) -> None:
    async with serving() as (inbox, port):
        odd = Letter(to="anna@example.com", subject=subject, text="Hello\n", html="<p>Hello</p>\n")
        await mail.open_mailer(settings(f"smtp://127.0.0.1:{port}")).send(odd)
    envelope, letter, _ = inbox.taken[0]
    assert envelope.rcpt_tos == ["anna@example.com"]
    assert letter["Bcc"] is None
    assert "\n" not in letter["Subject"]


@pytest.mark.parametrize(
    "to",
    [
        "anna@example.com\r\nBcc: eve@example.com",
        "anna@example.com, eve@example.com",
        "anna@example.com;eve@example.com",
        "<anna@example.com> eve@example.com",
        "anna@example.com>\r\nRCPT TO:<eve@example.com",
        "anna",
        "@example.com",
        "anna@",
        "",
        "anna@example..com,",
        "anna@" + "ü" * 80,
        '"a b"@example.com',
    ],
)
async def test_a_letter_goes_to_one_address_or_nowhere(to: str) -> None:
    odd = Letter(to=to, subject="Hello", text="Hello\n", html="<p>Hello</p>\n")
    async with serving() as (inbox, port):
        with pytest.raises(MailFailed):
            await mail.open_mailer(settings(f"smtp://127.0.0.1:{port}")).send(odd)
    assert inbox.taken == []


@pytest.fixture
def outbox(tmp_path: Path) -> Callable[[], list[Path]]:
    return lambda: sorted((tmp_path / "out box").iterdir())


async def test_an_outbox_gets_a_file_for_each_letter_in_order(tmp_path: Path, outbox: Callable[[], list[Path]]) -> None:
    mailer = mail.open_mailer(settings(f"outbox://{quote(str(tmp_path))}/out%20box"))
    for number in range(20):
        await mailer.send(Letter(to="anna@example.com", subject=f"Letter {number}", text="Grüße\n", html="<p>Grüße</p>\n"))
    files = outbox()
    letters = [email.message_from_bytes(file.read_bytes(), policy=default) for file in files]
    assert [letter["Subject"] for letter in letters] == [f"Letter {number}" for number in range(20)]
    assert {file.suffix for file in files} == {".eml"}
    assert {file.stat().st_mode & 0o077 for file in files} == {0}
    body = letters[0].get_body(("plain",))
    assert body is not None
    assert body.get_content().splitlines() == ["Grüße"]


async def test_an_outbox_that_cannot_be_written_is_said(tmp_path: Path, outbox: Callable[[], list[Path]]) -> None:
    mailer = mail.open_mailer(settings(f"outbox://{quote(str(tmp_path))}/out%20box"))
    (tmp_path / "out box").rmdir()
    with pytest.raises(MailFailed, match="cannot be written"):
        await mailer.send(LETTER)
    (tmp_path / "a file").touch()
    with pytest.raises(MailFailed, match="cannot be made"):
        mail.open_mailer(settings(f"outbox://{quote(str(tmp_path))}/a%20file/box"))

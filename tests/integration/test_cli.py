"""The keystead command, as a deployer types it: the real program, with a real file, in a real folder."""

import asyncio
import http.client
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import httpx2
import pytest

from backends import open_backend
from backends.protocol import Backend
from backends.records import SecurityKey, Session
from webapp import events, passwords
from webapp.testing.mailbox import free_port
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor

T = TypeVar("T")
KEYSTEAD = [sys.executable, "-m", "webapp"]
PASSWORD = "correct horse battery"
NOW = datetime(2026, 11, 24, 3, 10, tzinfo=UTC)


class Deployment:
    """A folder with a file backend and an outbox, and the command on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        plain = {name: text for name, text in os.environ.items() if not name.startswith("KEYSTEAD_") and name != "PORT"}
        self.environ = plain | {
            "KEYSTEAD_PUBLIC_URL": "https://account.example.com",
            "KEYSTEAD_SECRET_KEYS": secrets.token_urlsafe(32),
            "KEYSTEAD_BACKEND": (folder / "keystead.db").as_uri(),
            "KEYSTEAD_MAIL": f"outbox://{folder}/outbox",
            "KEYSTEAD_MAIL_FROM": "keystead@example.com",
        }

    def run(self, *words: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*KEYSTEAD, *words], env=self.environ | environ, input=stdin, capture_output=True, text=True, timeout=60, check=False
        )

    def ok(self, *words: str, stdin: str = "") -> str:
        """What it says when all is well."""
        done = self.run(*words, stdin=stdin)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def refused(self, *words: str, stdin: str = "", **environ: str) -> str:
        """What it says when it does not do it: nothing that only a programmer reads."""
        done = self.run(*words, stdin=stdin, **environ)
        assert done.returncode in (1, 2)
        assert "Traceback" not in done.stderr
        return done.stderr

    def ask(self, question: Callable[[Backend], Awaitable[T]]) -> T:
        """Ask the backend itself."""

        async def work() -> T:
            backend = await open_backend(self.environ["KEYSTEAD_BACKEND"])
            try:
                return await question(backend)
            finally:
                await backend.close()

        return asyncio.run(work())


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


@pytest.fixture
def anna(deployment: Deployment) -> str:
    """The id of an account that is logged on in one place and has two keys."""
    deployment.ok("account", "add", "anna", "anna@example.com", "--stdin", stdin=f"{PASSWORD}\n")

    async def work(backend: Backend) -> str:
        account = await backend.account_named("anna")
        assert account
        for number, name in enumerate(("Blue key", "Spare key"), 1):
            await backend.add_key(
                SecurityKey(
                    id=bytes([number]) * 16,
                    account_id=account.id,
                    name=name,
                    public_key=b"cose",
                    sign_count=1,
                    aaguid=bytes(16),
                    attestation="none",
                    transports=("usb",),
                    rp_id="account.example.com",
                    bound_at=NOW.replace(minute=10 + number),
                    used_at=NOW.replace(hour=5) if number == 1 else None,
                )
            )
        await backend.put_session(
            Session(
                id="here",
                token_hash=b"h" * 32,
                account_id=account.id,
                stage="full",
                begun_at=NOW,
                seen_at=NOW,
                expires_at=NOW.replace(year=2100),
                address="192.0.2.7",
                browser="Firefox on Linux",
            )
        )
        return account.id

    return deployment.ask(work)


def test_help_is_there_at_once_and_loads_nothing_heavy() -> None:
    # Measuring coverage in the child would load sqlite3 for itself.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    command = [sys.executable, "-X", "importtime", "-m", "webapp", "--help"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert {"serve", "demo", "account", "key", "secret"} <= set(done.stdout.split())
    loaded = set(re.findall(r"\| +([a-z0-9_]+)$", done.stderr, re.MULTILINE))
    assert not loaded & {"starlette", "fido2", "uvicorn", "jinja2", "sqlite3", "pymongo", "cryptography", "argon2"}


def test_the_version_is_the_one_of_the_package() -> None:
    from webapp import __version__

    done = subprocess.run([*KEYSTEAD, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"keystead {__version__}\n"


def test_a_secret_is_a_good_one_and_never_the_same(deployment: Deployment) -> None:
    made = {deployment.ok("secret").strip() for _ in range(3)}
    assert len(made) == 3
    assert {len(secret) for secret in made} == {43}


@pytest.mark.parametrize("words", [("serve",), ("account", "list"), ("key", "list", "anna")])
def test_without_settings_every_missing_one_is_named(words: tuple[str, ...]) -> None:
    plain = {name: text for name, text in os.environ.items() if not name.startswith("KEYSTEAD_")}
    done = subprocess.run([*KEYSTEAD, *words], env=plain, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for variable in ("PUBLIC_URL", "SECRET_KEYS", "BACKEND", "MAIL", "MAIL_FROM"):
        assert f"KEYSTEAD_{variable}\n" in done.stderr
    assert "keystead secret" in done.stderr


def test_a_backend_that_nobody_has_installed_is_said(deployment: Deployment) -> None:
    said = deployment.refused("serve", KEYSTEAD_BACKEND="acme://somewhere/else")
    assert "No backend is installed for acme:" in said


def test_a_backend_that_cannot_be_opened_is_said(deployment: Deployment) -> None:
    (deployment.folder / "file").write_text("this is no database, and never was one")
    said = deployment.refused("serve", KEYSTEAD_BACKEND=(deployment.folder / "file").as_uri())
    assert str(deployment.folder / "file") in said


def test_an_outbox_that_cannot_be_made_is_said(deployment: Deployment) -> None:
    (deployment.folder / "taken").touch()
    assert "cannot be made" in deployment.refused("serve", KEYSTEAD_MAIL=f"outbox://{deployment.folder}/taken/box")


def test_an_account_is_added_once(deployment: Deployment) -> None:
    assert deployment.ok("account", "add", "Anna", "anna@example.com", "--stdin", stdin=f"{PASSWORD}\n") == "Added Anna.\n"
    account = deployment.ask(lambda backend: backend.account_named("anna"))
    assert account
    assert (account.username, account.email, account.listed) == ("Anna", "anna@example.com", False)
    assert asyncio.run(passwords.verify(account.password_hash, PASSWORD))
    assert "already" in deployment.refused("account", "add", "ANNA", "a@example.com", "--stdin", stdin=f"{PASSWORD}\n")


@pytest.mark.parametrize(
    ("username", "email", "password", "says"),
    [
        ("anna", "anna@example.com", "too short", "at least 12 characters"),
        ("anna", "anna@example.com", "", "at least 12 characters"),
        ("anna", "anna", PASSWORD, "not an e-mail address"),
        ("anna", "anna@example.com\nBcc: x@example.com", PASSWORD, "not an e-mail address"),
        (" anna", "anna@example.com", PASSWORD, "without blanks around"),
        ("", "anna@example.com", PASSWORD, "without blanks around"),
        ("a\nb", "anna@example.com", PASSWORD, "printable"),
        ("a" * 65, "anna@example.com", PASSWORD, "64"),
    ],
)
def test_an_account_that_could_not_log_on_is_not_added(
    deployment: Deployment, username: str, email: str, password: str, says: str
) -> None:
    assert says in deployment.refused("account", "add", "--stdin", "--", username, email, stdin=f"{password}\n")
    assert deployment.ok("account", "list").splitlines() == ["USERNAME  E-MAIL  ADDED  KEYS  PREVIEW"]


def test_a_password_is_asked_for_twice_where_nobody_sees_it(deployment: Deployment) -> None:
    """At a terminal of its own, because a password is read from there and not from standard input."""
    child, terminal = os.forkpty()
    if child == 0:
        os.execve(sys.executable, [*KEYSTEAD, "account", "add", "anna", "anna@example.com"], deployment.environ)
    said = b""
    for prompt in (b"New password: ", b"The same again: "):
        while not said.endswith(prompt):
            said += os.read(terminal, 1024)
        time.sleep(0.1)
        os.write(terminal, f"{PASSWORD}\n".encode())
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    said += os.read(terminal, 1024)
    os.close(terminal)
    assert PASSWORD.encode() not in said
    assert "anna" in deployment.ok("account", "list")


def test_accounts_are_listed_and_shown(deployment: Deployment, anna: str) -> None:
    listed = deployment.ok("account", "list").splitlines()
    assert re.fullmatch(r"anna +anna@example\.com +\d{4}-\d\d-\d\d \d\d:\d\d UTC +2", listed[1])
    shown = deployment.ok("account", "show", "ANNA")
    assert "Needs a key     yes\n" in shown
    assert "Blue key, bound 2026-11-24 03:11 UTC, used 2026-11-24 05:10 UTC\n" in shown
    assert "Logged on       Firefox on Linux, 192.0.2.7, 2026-11-24 03:10 UTC\n" in shown
    assert "There is no account bert." in deployment.refused("account", "show", "bert")


def test_a_new_password_ends_every_session_and_is_an_event(deployment: Deployment, anna: str) -> None:
    deployment.ok("account", "password", "anna", "--stdin", stdin="another horse entirely\n")
    account = deployment.ask(lambda backend: backend.account(anna))
    assert account
    assert asyncio.run(passwords.verify(account.password_hash, "another horse entirely"))
    assert deployment.ask(lambda backend: backend.sessions_of(anna, NOW)) == []
    assert [event.kind for event in deployment.ask(lambda backend: backend.events_of(anna, 10))] == ["password changed"]


def test_an_account_is_listed_for_the_preview_and_taken_off(deployment: Deployment, anna: str) -> None:
    assert deployment.ok("account", "preview", "anna", "on") == "anna is listed.\n"
    assert "listed" in deployment.ok("account", "list").splitlines()[1]
    assert deployment.ok("account", "preview", "anna", "off") == "anna is not listed.\n"
    account = deployment.ask(lambda backend: backend.account(anna))
    assert account
    assert account.listed is False


def test_keys_are_listed(deployment: Deployment, anna: str) -> None:
    lines = deployment.ok("key", "list", "anna").splitlines()
    assert lines[1] == "Blue key   2026-11-24 03:11 UTC  used 2026-11-24 05:10 UTC  AQEBAQEBAQEBAQEBAQEBAQ"
    assert lines[2] == "Spare key  2026-11-24 03:12 UTC  never used                 AgICAgICAgICAgICAgICAg"


@pytest.mark.parametrize("which", ["Blue key", "AQEBAQEBAQEBAQEBAQEBAQ", "AQE"])
def test_a_lost_key_is_unbound_and_its_owner_told(deployment: Deployment, anna: str, which: str) -> None:
    assert deployment.ok("key", "unbind", "anna", which, "--yes") == "Unbound Blue key. anna is logged off everywhere.\n"
    assert [key.name for key in deployment.ask(lambda backend: backend.keys_of(anna))] == ["Spare key"]
    assert deployment.ask(lambda backend: backend.sessions_of(anna, NOW)) == []
    event = deployment.ask(lambda backend: backend.events_of(anna, 10))[0]
    assert (event.kind, event.detail, event.seq) == ("key unbound", "Blue key", 1)
    assert event == events.sealed(event, None, deployment.environ["KEYSTEAD_SECRET_KEYS"])
    letters = list((deployment.folder / "outbox").glob("*.eml"))
    assert len(letters) == 1
    assert "Blue key" in letters[0].read_text()


def test_without_a_name_every_key_is_unbound_once_that_is_confirmed(deployment: Deployment, anna: str) -> None:
    assert deployment.run("key", "unbind", "anna", stdin="n\n").returncode == 1
    assert len(deployment.ask(lambda backend: backend.keys_of(anna))) == 2
    assert "Unbind Blue key, Spare key from anna" in deployment.ok("key", "unbind", "anna", stdin="y\n")
    assert deployment.ask(lambda backend: backend.keys_of(anna)) == []
    assert "anna has no key." in deployment.refused("key", "unbind", "anna", "--yes")


@pytest.mark.parametrize(
    ("which", "says"), [("A", "Several keys match A."), ("Red key", "No key matches Red key."), ("", "Several")]
)
def test_a_key_that_is_not_named_clearly_stays(deployment: Deployment, anna: str, which: str, says: str) -> None:
    assert says in deployment.refused("key", "unbind", "anna", which, "--yes")
    assert len(deployment.ask(lambda backend: backend.keys_of(anna))) == 2


def test_a_key_is_unbound_also_when_its_owner_cannot_be_told(deployment: Deployment, anna: str) -> None:
    (deployment.folder / "taken").touch()
    done = deployment.run("key", "unbind", "anna", "Blue key", "--yes", KEYSTEAD_MAIL=f"outbox://{deployment.folder}/taken/box")
    assert done.returncode == 0
    assert "could not be told by mail" in done.stderr
    assert len(deployment.ask(lambda backend: backend.keys_of(anna))) == 1


@contextmanager
def running(*words: str, environ: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
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


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serve_answers_on_port_and_ends_when_told(deployment: Deployment, workers: str) -> None:
    port = free_port()
    environ = deployment.environ | {"PORT": str(port), "WEB_CONCURRENCY": workers}
    with running("serve", "--host", "127.0.0.1", environ=environ) as server:
        assert status(port, "/healthz") == 200
        assert status(port, "/logon") == 200
        begun = time.monotonic()
        server.send_signal(signal.SIGTERM)
        said, _ = server.communicate(timeout=10)
        assert time.monotonic() - begun < 10
    assert "Traceback" not in said


def test_the_demo_is_one_screen_and_leaves_nothing_behind(tmp_path: Path) -> None:
    port = free_port()
    environ = os.environ | {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with running("demo", "--port", str(port), environ=environ) as demo:
        assert status(port, "/logon") == 200
        assert [folder.name.startswith("keystead-demo-") for folder in tmp_path.iterdir()] == [True]
        demo.send_signal(signal.SIGINT)
        screen, _ = demo.communicate(timeout=15)
    assert demo.returncode == 0
    assert f"Open        http://localhost:{port}\n" in screen
    assert re.search(r"Username +alice\n +Password +\S{4}-\S{4}-\S{4}-\S{4}\n", screen)
    assert len(screen.splitlines()) < 24
    assert list(tmp_path.iterdir()) == []


def test_the_demo_shows_the_code_that_is_mailed(tmp_path: Path) -> None:
    port = free_port()
    environ = os.environ | {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with running("demo", "--port", str(port), environ=environ) as demo:
        screen = said_until(demo, r"Password +(\S+)\n")
        with httpx2.Client(base_url=f"http://localhost:{port}") as client:
            visitor = Visitor(client)
            visitor.log_on("alice", screen)
            visitor.send_code()
            mail = said_until(demo, r"((?s:.*)Mail to alice@example.com: .*?[0-9]{6})")
            assert "request method" not in mail, "log lines between the mails"
            code = mail[-6:]
            assert visitor.verify(code).status_code < 400
            key = StubKey(flavour="u2f")
            visitor.begin_bind("Blue")
            assert visitor.finish_bind(key).status_code < 400
        said_until(demo, r"(A security key was bound to your account)")


def said_until(process: subprocess.Popen[str], pattern: str) -> str:
    """What the first group finds in what it says from here on."""
    assert process.stdout
    said = ""
    for line in process.stdout:
        said += line
        if found := re.search(pattern, said):
            return found[1]
    raise AssertionError(said)


def test_the_demo_is_tidied_away_also_when_it_is_terminated(tmp_path: Path) -> None:
    port = free_port()
    with running("demo", "--port", str(port), environ=os.environ | {"TMPDIR": str(tmp_path)}) as demo:
        assert status(port, "/logon") == 200
        demo.terminate()
        demo.communicate(timeout=15)
    assert list(tmp_path.iterdir()) == []


def test_the_demo_says_that_a_port_is_taken_and_otherwise_takes_the_next(tmp_path: Path) -> None:
    port = free_port()
    environ = os.environ | {"TMPDIR": str(tmp_path)}
    with running("demo", "--port", str(port), environ=environ):
        assert status(port, "/healthz") == 200
        with running("demo", "--port", str(port), environ=environ) as second:
            said, _ = second.communicate(timeout=15)
        assert second.returncode == 2
        assert f"Port {port} is taken" in said


def test_a_demo_that_is_kept_goes_on_with_what_it_had(tmp_path: Path) -> None:
    words = ("demo", "--port", str(free_port()), "--keep", str(tmp_path / "kept"))
    passwords_shown = []
    for _ in range(2):
        with running(*words, environ=os.environ | {"PYTHONUNBUFFERED": "1"}) as demo:
            assert status(int(words[2]), "/logon") == 200
            demo.send_signal(signal.SIGINT)
            screen, _ = demo.communicate(timeout=15)
        found = re.search(r"Password +(\S+)", screen)
        assert found
        passwords_shown.append(found[1])
    assert (tmp_path / "kept" / "secret").stat().st_mode & 0o077 == 0
    deployment = Deployment(tmp_path / "kept")
    account = deployment.ask(lambda backend: backend.account_named("alice"))
    assert account
    assert asyncio.run(passwords.verify(account.password_hash, passwords_shown[1]))
    assert passwords_shown[0] != passwords_shown[1]

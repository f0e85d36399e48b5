"""The kit itself: a visitor, in process and against a server of its own, over both kinds of mail, with and without htmx."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import httpx2
import pytest

from backends import migrate, open_backend
from webapp import clock
from webapp.accounts import commits, identities, passwords
from webapp.accounts.context import Context
from webapp.metrics import Metrics
from webapp.settings import Settings
from webapp.testing.clock import Clock
from webapp.testing.mailbox import Mailbox, NoMail, Outbox, SmtpMailbox, free_port
from webapp.testing.site import PASSWORD, Site, running
from webapp.testing.stub_key import Flavour, StubKey
from webapp.testing.visitor import Unexpected, Visitor, at_once


def walk(visitor: Visitor, username: str, first: StubKey, second: StubKey) -> None:
    """Bind two keys, need them, unbind them."""
    landed = visitor.log_on(username, PASSWORD)
    assert landed.url.path.endswith("/account")
    visitor.bind(first, "Desk")
    visitor.log_off()
    visitor.log_on(username, PASSWORD)
    assert visitor.get("/account").headers["location"].endswith("/logon/key")
    visitor.log_on_with(first)
    visitor.bind(second, "Safe")
    visitor.get("/account/security")
    assert "Desk" in visitor.page.text
    assert "Safe" in visitor.page.text
    visitor.log_off()
    visitor.log_on(username, PASSWORD, second)
    visitor.unbind(first, prove_with=second)
    visitor.log_off()
    visitor.log_on(username, PASSWORD, second)
    visitor.unbind(second)
    visitor.log_off()
    assert visitor.log_on(username, PASSWORD).url.path.endswith("/account")


@pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])
@pytest.mark.parametrize("flavour", ["u2f", "ctap2"])
@pytest.mark.parametrize("attestation", ["none", "direct"])
def test_the_whole_way_in_process(tmp_path: Path, htmx: bool, flavour: Flavour, attestation: str) -> None:
    with running(tmp_path, attestation=attestation) as site:
        walk(site.visitor(htmx=htmx), site.account.username, StubKey(flavour=flavour), StubKey(flavour="u2f"))


def test_the_whole_way_on_https(tmp_path: Path) -> None:
    with running(tmp_path, public_url="https://keys.example.com") as site:
        visitor = site.visitor()
        walk(visitor, site.account.username, StubKey(), StubKey(counts=False))
        names = {cookie.name for cookie in visitor.client.cookies.jar}
    assert "__Host-keystead" in names
    assert all(name.startswith("__Host-") for name in names)


def test_the_fixtures_are_ten_lines_to_a_first_test(keystead: Site, keystead_visitor: Visitor, stub_key: StubKey) -> None:
    me = keystead.account.username, keystead.password
    keystead_visitor.log_on(*me)
    keystead_visitor.bind(stub_key)
    keystead_visitor.log_off()
    keystead_visitor.log_on(*me)
    keystead_visitor.log_on_with(stub_key)
    assert "Log off" in keystead_visitor.page.text


def test_a_person_who_cancels_is_told_and_tries_again(keystead: Site, keystead_visitor: Visitor, stub_key: StubKey) -> None:
    me = keystead.account.username, keystead.password
    keystead_visitor.log_on(*me)
    keystead_visitor.bind(stub_key)
    keystead_visitor.log_off()
    keystead_visitor.log_on(*me)
    keystead_visitor.begin_key()
    assert keystead_visitor.finish_key(stub_key, cancel=True).status_code == 422
    assert any("No key of yours answered" in words for words in keystead_visitor.page.said)
    keystead_visitor.log_on_with(stub_key)


def test_a_walk_that_fails_says_what_the_page_said(keystead: Site, keystead_visitor: Visitor, stub_key: StubKey) -> None:
    with pytest.raises(Unexpected, match=r"not logged on: POST /logon gave 401: The username or the password is wrong"):
        keystead_visitor.log_on(keystead.account.username, "guessed")
    with pytest.raises(AssertionError, match=r"this page has no ceremony form, but .*/logon"):
        keystead_visitor.finish_key(stub_key)


def test_the_clock_moves_time(keystead: Site, keystead_visitor: Visitor, keystead_clock: Clock) -> None:
    keystead_visitor.log_on(keystead.account.username, keystead.password)
    before = keystead_clock.now()
    keystead_clock.move(timedelta(days=8))
    assert timedelta(days=8) <= keystead_clock.now() - before < timedelta(days=8, minutes=1)
    assert keystead_visitor.get("/account").headers["location"].startswith("/logon")


def test_leaving_the_clock_time_is_real_again() -> None:
    before = clock.now()
    with Clock() as moved:
        moved.move(timedelta(days=-1))
        assert clock.now() < before
    assert clock.now() >= before


def test_a_mailbox_waits_for_no_more_than_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoMail, match=r"to nobody@example\.com"):
        Outbox(tmp_path).code("nobody@example.com", wait=0)


def test_calls_at_once_hand_on_what_was_raised() -> None:
    assert at_once([lambda: 1, lambda: 2]) == [1, 2]
    with pytest.raises(ZeroDivisionError):
        at_once([lambda: 1, lambda: 1 // 0])


# against a server that runs by itself


@contextmanager
def served(folder: Path, mail: str) -> Iterator[str]:
    """A server process on a free port, with zoe's account; its address."""
    port = free_port()
    url = f"http://localhost:{port}"
    environment = {
        "KEYSTEAD_PUBLIC_URL": url,
        "KEYSTEAD_SECRET_KEYS": "only-for-tests-but-long-enough-0123456789",
        "KEYSTEAD_BACKEND": f"file://{(folder / 'keystead.db').as_posix()}",
        "KEYSTEAD_MAIL": mail,
        "KEYSTEAD_MAIL_FROM": "keystead@example.com",
    }
    anyio.run(_seed, environment)
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "--factory",
        "webapp.app:from_environ",
        "--port",
        str(port),
        "--log-level",
        "error",
    ]
    process = subprocess.Popen(command, env={**os.environ, **environment})
    try:
        _await(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _await(url: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(200):
        assert process.poll() is None, "the server did not start"
        try:
            httpx2.get(f"{url}/healthz")
        except httpx2.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the server does not answer")


async def _seed(environment: dict[str, str]) -> None:
    """An account, stored before the server starts."""
    settings = Settings.from_environ(environment)
    await migrate(settings.backend)
    backend = await open_backend(settings.backend)
    account = identities.new("zoe", "zoe@example.com", await passwords.hash(PASSWORD), clock.now())
    await commits.add(Context(settings, backend, Metrics()), account)
    await backend.close()


@pytest.mark.parametrize("kind", ["outbox", "smtp"])
def test_the_whole_way_against_a_running_server(tmp_path: Path, kind: str) -> None:
    def visit(mailbox: Mailbox, mail: str) -> None:
        with served(tmp_path, mail) as url, httpx2.Client(base_url=url) as client:
            walk(Visitor(client, mailbox=mailbox), "zoe", StubKey(), StubKey(flavour="u2f"))
        subjects = [str(letter["subject"]) for letter in mailbox.mails()]
        assert len(subjects) == 5, json.dumps(subjects)

    if kind == "outbox":
        outbox = Outbox(tmp_path / "outbox")
        visit(outbox, outbox.url)
    else:
        with SmtpMailbox() as server:
            visit(server, server.url)

"""`keystead serve` as a platform runs it: it refuses what would lock people out, and a stop loses no request."""

import asyncio
import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends import migrate, open_backend
from backends.contract.samples import account, key
from tests.browser import live_site
from webapp.testing.mailbox import free_port

SERVE = [sys.executable, "-m", "webapp", "serve", "--host", "127.0.0.1"]
BODY = b"username=nobody&password=wrong+horse+battery"
STOPS_IN = 10
"""Seconds after which platforms kill."""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    asyncio.run(migrate((tmp_path / "keystead.db").as_uri()))
    plain = {name: text for name, text in os.environ.items() if not name.startswith("KEYSTEAD_")}
    return plain | {
        "KEYSTEAD_PUBLIC_URL": "https://account.example.com",
        "KEYSTEAD_SECRET_KEYS": "pU3xk9vQmZt6LbRw2yHs8cNf4dGj7aEo",
        "KEYSTEAD_BACKEND": (tmp_path / "keystead.db").as_uri(),
        "KEYSTEAD_MAIL": f"outbox://{tmp_path}/outbox",
        "KEYSTEAD_MAIL_FROM": "keystead@example.com",
        "PORT": str(free_port()),
    }


# another domain


@pytest.fixture
def bound(environ: dict[str, str]) -> dict[str, str]:
    """Keys are bound to account.example.com."""

    async def bind() -> None:
        backend = await open_backend(environ["KEYSTEAD_BACKEND"])
        await backend.add(account(keys=(key(rp_id="account.example.com"),)))
        await backend.close()

    asyncio.run(bind())
    return environ


def test_another_domain_than_that_of_the_keys_is_refused_at_the_start(bound: dict[str, str]) -> None:
    moved = bound | {"KEYSTEAD_PUBLIC_URL": "https://account.example.org"}
    done = subprocess.run(SERVE, env=moved, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "Keys are bound to account.example.com, and browsers would not use them at account.example.org" in done.stderr
    assert "docs/moving-domain.md" in done.stderr


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"KEYSTEAD_PUBLIC_URL": "https://account.example.com:8443/center"},
        {"KEYSTEAD_PUBLIC_URL": "https://account.example.org", "KEYSTEAD_MOVED_FROM": "account.example.com"},
    ],
    ids=["the same", "another port and path", "a move that is meant"],
)
def test_it_starts_where_keys_can_be_used_or_the_move_is_meant(bound: dict[str, str], change: dict[str, str]) -> None:
    with serving(bound | change) as port:
        assert answer(post(port, BODY)) == 403, "it answers: this was not sent from its own page"


# stopping


@contextlib.contextmanager
def serving(environ: dict[str, str]) -> Iterator[int]:
    """A server on its port; stopped, and gone within what platforms grant."""
    with started(environ) as (_, port):
        yield port


@contextlib.contextmanager
def started(environ: dict[str, str]) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    port = int(environ["PORT"])
    server = subprocess.Popen(SERVE, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert live_site.wait_for(port, server)
        yield server, port
        server.terminate()
        server.wait(STOPS_IN)
    finally:
        server.kill()
        server.wait()


def post(port: int, body: bytes, *, whole: bool = True, origin: str = "") -> socket.socket:
    """A logon on its way; the last bytes of the body stay behind if it is not to be whole."""
    head = (
        f"POST /logon HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n"
    )
    head += f"Origin: {origin}\r\n" if origin else ""
    connection = socket.create_connection(("127.0.0.1", port), 15)
    connection.sendall(f"{head}\r\n".encode() + (body if whole else body[:-5]))
    return connection


def answer(connection: socket.socket) -> int:
    """The status of the whole answer; http.client.HTTPException or OSError if it is cut off."""
    with contextlib.closing(connection), contextlib.closing(http.client.HTTPResponse(connection)) as response:
        response.begin()
        response.read()
        return response.status


@pytest.mark.clock
@pytest.mark.parametrize("workers", ["1", "2"])
def test_requests_in_flight_end_when_it_is_stopped(environ: dict[str, str], workers: str) -> None:
    """Some are being worked on, and one is still being sent."""
    origin = environ["KEYSTEAD_PUBLIC_URL"]
    statuses: list[int] = []
    with started(environ | {"WEB_CONCURRENCY": workers}) as (server, port):
        half = post(port, BODY, whole=False, origin=origin)
        under_way = [post(port, BODY, origin=origin) for _ in range(8)]
        readers = [threading.Thread(target=lambda each=each: statuses.append(answer(each))) for each in under_way]
        time.sleep(0.05)  # they have arrived; to judge a password takes longer than that
        begun = time.monotonic()
        server.terminate()
        for reader in readers:
            reader.start()
        time.sleep(0.5)
        half.sendall(BODY[-5:])
        assert answer(half) == 401
        server.wait(STOPS_IN)
        assert time.monotonic() - begun < STOPS_IN
        for reader in readers:
            reader.join()
    assert statuses == [401] * 8


@pytest.mark.clock
def test_a_stop_under_load_cuts_no_answer_off(environ: dict[str, str]) -> None:
    """Whoever was let in gets the whole answer; whoever comes too late is not let in."""
    cut_off: list[Exception] = []
    answered: list[int] = []
    stopped = threading.Event()

    def visit(port: int) -> None:
        while not stopped.is_set():
            try:
                connection = post(port, BODY, origin=environ["KEYSTEAD_PUBLIC_URL"])
            except OSError:
                return  # nobody listens any more
            try:
                answered.append(answer(connection))
            except (http.client.HTTPException, OSError) as error:
                cut_off.append(error)
                return

    with started(environ | {"WEB_CONCURRENCY": "2"}) as (server, port):
        visitors = [threading.Thread(target=visit, args=(port,)) for _ in range(8)]
        for visitor in visitors:
            visitor.start()
        time.sleep(1)
        before = len(answered)
        begun = time.monotonic()
        server.send_signal(signal.SIGTERM)
        server.wait(STOPS_IN)
        took = time.monotonic() - begun
        stopped.set()
        for visitor in visitors:
            visitor.join()
    assert before > 8
    assert took < STOPS_IN
    assert set(answered) <= {401, 429}
    # A connection that the kernel accepted and no worker had taken yet is reset: nothing of it was read.
    assert [error for error in cut_off if not isinstance(error, ConnectionResetError | http.client.RemoteDisconnected)] == []
    assert len(cut_off) <= 8


@pytest.mark.clock
def test_a_request_that_never_ends_does_not_hold_up_a_stop(environ: dict[str, str]) -> None:
    with started(environ) as (server, port):
        half = post(port, BODY, whole=False, origin=environ["KEYSTEAD_PUBLIC_URL"])
        time.sleep(0.1)
        begun = time.monotonic()
        server.terminate()
        server.wait(STOPS_IN)
        assert time.monotonic() - begun < STOPS_IN
        half.close()

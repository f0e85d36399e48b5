"""What one connection may take of the server, itself and behind the shipped proxies: nobody else may notice an attack.

First the protocol, with deadlines of a fraction of a second; then `keystead serve` as it is; then nginx and Caddy as shipped.
"""

import asyncio
import contextlib
import gc
import http.client
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import uvicorn
from uvicorn.server import ServerState

from tests.browser import live_site
from tests.deploy import attackers
from tests.deploy.attackers import Attack, End, Memory, Target, Visit
from tests.deploy.proxies import PROGRAMS, Place, ProxyName, proxy
from webapp.testing.mailbox import free_port
from webapp.web.protocol import BoundedProtocol

pytestmark = pytest.mark.clock

HOST = b"Host: x\r\n"
POST = b"POST /read HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


class Hasty(BoundedProtocol):
    """The same with other numbers."""

    MAX_CONNECTIONS = 16
    MAX_LARGE = 6
    HEAD_SECONDS = 0.5
    BODY_SECONDS = 1.0
    ANSWER_SECONDS = 2.2
    LINGER_SECONDS = 0.4
    TICK = 0.05


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what the path names: the body that it reads, or none of it, late, or with much."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/read later":
        await asyncio.sleep(1.5)
    if scope["path"] == "/early late":
        await asyncio.sleep(0.8)
    if scope["path"] == "/stand still":
        time.sleep(0.4)  # noqa: ASYNC251 - what comes meanwhile is read in one turn of the loop
    body = b"" if scope["path"] in ("/early", "/early late", "/much") else await _body(receive)
    if scope["path"] == "/late":
        await asyncio.sleep(1)
    if scope["path"] == "/much":
        body = b"x" * 20_000_000
    if scope["path"] == "/names":
        body = b" ".join(name for name, _ in scope["headers"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def _body(receive: Any) -> bytes:
    body, message = b"", {"more_body": True}
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return body


@contextlib.contextmanager
def serving(application: Any = app, **settings: Any) -> Iterator[int]:
    """The port of a server in a thread, with the hasty protocol."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(application, log_config=None, ws="none", http=Hasty, loop="uvloop", **settings)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving() as port:
        yield port


@contextlib.contextmanager
def connected(port: int, first: bytes = b"", source: str = "127.0.0.1") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), 5, source_address=(source, 0)) as connection:
        connection.sendall(first)
        yield connection


def rest(connection: socket.socket) -> bytes:
    """All that still comes, until the connection is closed or reset; TimeoutError if it stays open for five seconds."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65536):
            got += piece
    return got


def answered(port: int, request: bytes) -> list[int]:
    """The statuses of all answers, once the connection is closed."""
    with connected(port) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(request)
        return [int(status) for status in attackers.STATUS.findall(rest(connection))]


# who asks for nothing unusual


def test_a_form_of_40_kilobytes_arrives_in_pieces_and_the_connection_is_used_again(port: int) -> None:
    body = secrets.token_bytes(40_000)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection):
        for chunked in (False, True, True):
            pieces = (body[start : start + 1000] for start in range(0, len(body), 1000))
            headers = {} if chunked else {"Content-Length": str(len(body))}
            connection.request("POST", "/read", pieces, headers, encode_chunked=chunked)
            assert connection.getresponse().read() == body
        connection.request("HEAD", "/read")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")


def test_a_body_is_sent_once_the_server_says_continue(port: int) -> None:
    with connected(port, POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n") as connection:
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"hello")
        assert rest(connection).endswith(b"\r\n\r\nhello")


def test_requests_that_come_at_once_are_answered_in_turn(port: int) -> None:
    one = b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n%d"
    with connected(port, b"".join(one % number for number in range(8))) as connection:
        bodies = [part[-1:] for part in rest(connection).split(b"HTTP/1.1 200")[1:]]
    assert bodies == [b"%d" % number for number in range(8)]


def test_headers_of_31_kilobytes_are_taken_and_of_33_are_not(port: int) -> None:
    for size, status in ((31_000, 200), (33_000, 431), (40_000, 431)):
        assert answered(port, b"GET /read HTTP/1.1\r\nX: " + b"a" * size + b"\r\n\r\n") == [status], size
    assert answered(port, b"GET /read HTTP/1.1\r\nX: " + b"a" * 33_000) == [431], "their end is not waited for"


def test_a_hundred_headers_are_taken_and_one_more_is_not(port: int) -> None:
    for number, status in ((100, 200), (101, 431), (10_000, 431)):
        assert answered(port, b"GET /read HTTP/1.1\r\n" + b"a:\r\n" * number + b"\r\n") == [status], number


def test_an_address_of_8_kilobytes_is_taken_and_a_longer_one_is_not(port: int) -> None:
    for size, status in ((8_000, 200), (9_000, 414), (30_000, 414)):
        assert answered(port, b"GET /" + b"a" * size + b" HTTP/1.1\r\n\r\n") == [status], size


def test_an_answer_is_waited_for_longer_than_a_request(port: int) -> None:
    with connected(port, b"GET /late HTTP/1.1\r\n\r\n") as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_body_has_seconds_of_its_own(port: int) -> None:
    with connected(port) as connection:
        time.sleep(0.2)
        connection.sendall(POST + b"Connection: close\r\nContent-Length: 5\r\n\r\nhell")
        time.sleep(0.6)
        connection.sendall(b"o")
        assert rest(connection).endswith(b"hello")


def test_an_answer_to_half_a_body_gives_the_rest_no_more_time(port: int) -> None:
    request = b"POST /early%20late HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhell"
    begun = time.monotonic()
    with connected(port, request) as connection:
        assert b" 200 OK" in rest(connection)
    assert time.monotonic() - begun < 0.8 + Hasty.LINGER_SECONDS, "it has a second in all"


def test_a_body_that_the_server_does_not_take_yet_is_waited_for(port: int) -> None:
    body = secrets.token_bytes(200_000)
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request("POST", "/read%20later", body)
        assert connection.getresponse().read() == body


def test_an_answer_that_comes_before_the_body_is_not_lost(port: int) -> None:
    """The rest is taken in, and the connection can be used again."""
    with connected(port, b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n") as connection:
        assert b" 200 OK" in connection.recv(1000)
        connection.sendall(b"x" * 300_000 + POST + b"Content-Length: 5\r\n\r\nhello")
        assert connection.recv(1000).endswith(b"hello")


# bytes


ENDLESS = {
    "header": (b"GET / HTTP/1.1\r\nX: ", b"a" * 65536, {431}),
    "run of headers": (b"GET / HTTP/1.1\r\n", (b"X: " + b"a" * 1000 + b"\r\n") * 65, {431}),
    "name of a header": (b"GET / HTTP/1.1\r\n", b"a" * 65536, {431}),
    "address": (b"GET /", b"a" * 65536, {431, 414}),
    "run of line breaks": (b"", b"\r\n" * 32768, {431}),
    "chunk extension": (CHUNKED + b"1;", b"a" * 65536, {431, 400}),
    "run of tiny chunks": (CHUNKED, b"1\r\nx\r\n" * 10_000, {431}),
    "trailer": (CHUNKED + b"0\r\nX: ", b"a" * 65536, {431}),
    "run of trailers": (CHUNKED + b"0\r\n", b"a:\r\n" * 16384, {431}),
    "body": (POST + b"Content-Length: 999999999\r\n\r\n", b"a" * 65536, {413}),
    "body that nobody reads": (b"POST /early HTTP/1.1\r\n" + HOST + b"Content-Length: 999999999\r\n\r\n", b"a" * 65536, {200}),
    "run of requests": (b"", (b"GET /late HTTP/1.1\r\n" + HOST + b"\r\n") * 2000, set()),
    "run of upgrades": (b"", b"GET /late HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n" * 1000, set()),
    "garbage after a request": (b"GET /late HTTP/1.1\r\n" + HOST + b"\r\n", b"\x00\xff" * 32768, set()),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_nothing_is_taken_without_end(port: int, name: str) -> None:
    """The answer may be lost where the visitor's side is still sending; none is given while another one is under way."""
    begin, more, statuses = ENDLESS[name]
    attack = Attack(connections=1, begin=begin, more=more, every=0)
    [end] = attackers.run(Target(port=port), {name: attack}, 5)[name]
    assert end.after < 2
    assert end.sent < 16_000_000, "what the kernel takes in is on top of what the server takes"
    assert end.status in statuses | {None}


@pytest.mark.parametrize("name", ENDLESS)
def test_nothing_that_arrives_at_once_holds_the_others_up(name: str) -> None:
    """256 kB, as much as uvloop reads at a time, take less than 50 ms of the processor: the shortest of three."""
    begin, more, _ = ENDLESS[name]
    assert min(asyncio.run(_time_of((begin + more * 5)[:262_144])) for _ in range(3)) < 0.05


async def _time_of(data: bytes) -> float:
    config = uvicorn.Config(app, log_config=None, ws="none")
    loop, here = asyncio.get_running_loop(), socket.socketpair()
    config.load()
    protocol = BoundedProtocol(config, ServerState(), {})
    await loop.create_connection(lambda: protocol, sock=here[0])
    begun = time.thread_time()
    protocol.data_received(data)
    took = time.thread_time() - begun
    protocol.transport.abort()
    here[1].close()
    await asyncio.sleep(0.01)
    return took


def test_a_trailer_does_not_become_a_header(port: int) -> None:
    """Guards judge headers while the body is still on its way."""
    request = b"POST /names HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-Forwarded-For\r\n\r\n"
    with connected(port, request + b"1\r\nx\r\n") as connection:
        time.sleep(0.1)
        connection.sendall(b"0\r\nX-Forwarded-For: 203.0.113.1\r\n\r\n")
        assert rest(connection).endswith(b"\r\n\r\nconnection transfer-encoding trailer")


# seconds


SLOW = {
    "nothing at all": (b"", b"", None),
    "a header": (b"GET / HTTP/1.1\r\nX: ", b"a", 408),
    "a header after an answer": (b"GET /read HTTP/1.1\r\n" + HOST + b"\r\nGET / HTTP/1.1\r\nX: ", b"a", 408),
    "line breaks": (b"", b"\r\n", 408),
    "line breaks after an answer": (b"GET /read HTTP/1.1\r\n" + HOST + b"\r\n", b"\r\n", 408),
    "a body": (POST + b"Content-Length: 1000\r\n\r\n", b"a", 408),
    "a body in chunks": (CHUNKED, b"1\r\nx\r\n", 408),
    "a body that nobody reads": (b"POST /early HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\n", b"a", 200),
    "line breaks after a body that nobody read": (b"POST /early HTTP/1.1\r\nContent-Length: 2\r\n\r\n", b"\r\n", 200),
    "trailers": (CHUNKED + b"0\r\n", b"a:\r\n", 408),
    "anything after an upgrade": (
        b"GET /read HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n" + HOST + b"\r\n",
        b"\r\n",
        408,
    ),
}


@pytest.mark.parametrize("name", SLOW)
def test_nothing_is_waited_for_without_end(port: int, name: str) -> None:
    begin, more, status = SLOW[name]
    attack = Attack(connections=1, begin=begin, more=more, every=0.03)
    [end] = attackers.run(Target(port=port), {name: attack}, 5)[name]
    assert Hasty.LINGER_SECONDS <= end.after < 2
    assert end.status == status


def test_an_answer_that_is_not_taken_is_given_up(port: int) -> None:
    """Also where more is asked for meanwhile."""
    much = b"GET /much HTTP/1.1\r\n" + HOST + b"\r\n"
    with connected(port, much) as one, connected(port, much * 3) as more:
        time.sleep(0.2)
        more.sendall(much)
        time.sleep(Hasty.ANSWER_SECONDS + Hasty.LINGER_SECONDS + 0.5)
        assert len(rest(one)) < 20_000_000
        assert len(rest(more)) < 20_000_000


# places


def test_who_comes_when_all_places_are_taken_is_answered_all_the_same() -> None:
    """The address that waits most loses its oldest ones; who waits for an answer loses nothing."""
    with serving() as port, contextlib.ExitStack() as stack:
        late = stack.enter_context(connected(port, b"GET /late HTTP/1.1\r\nConnection: close\r\n\r\n", "127.0.0.2"))
        other = stack.enter_context(connected(port, POST + b"Connection: close\r\nContent-Length: 5\r\n\r\nhell", "127.0.0.3"))
        crowd = [stack.enter_context(connected(port, POST + b"Content-Length: 5\r\n\r\nhell", "127.0.0.2")) for _ in range(30)]
        assert answered(port, b"GET /read HTTP/1.1\r\nConnection: close\r\n\r\n") == [200]
        other.sendall(b"o")
        assert rest(other).endswith(b"hello")
        assert rest(crowd[0]) == b""
        crowd[-1].sendall(b"o")
        assert crowd[-1].recv(1000).endswith(b"hello")
        assert b" 200 OK" in rest(late)


def test_nothing_is_left_of_a_connection_that_is_gone() -> None:
    with serving() as port:
        for _ in range(3 * Hasty.MAX_CONNECTIONS):
            assert answered(port, b"GET /read HTTP/1.1\r\nConnection: close\r\n\r\n") == [200]
        gc.collect()
        assert sum(isinstance(one, Hasty) for one in gc.get_objects()) < 4


def test_nobody_else_comes_in_while_all_are_being_answered() -> None:
    two = b"GET /read HTTP/1.1\r\n\r\nGET /late HTTP/1.1\r\nConnection: close\r\n\r\n"
    with serving() as port, contextlib.ExitStack() as stack:
        late = [stack.enter_context(connected(port, two)) for _ in range(Hasty.MAX_CONNECTIONS)]
        time.sleep(0.2)
        assert answered(port, b"GET /read HTTP/1.1\r\n\r\n") == []
        assert [rest(each).count(b" 200 OK") for each in late] == [2] * len(late)


@pytest.mark.parametrize("first", [b"", b"GET /stand%20still HTTP/1.1\r\n" + HOST + b"\r\n"], ids=["in turn", "at once"])
def test_requests_that_are_large_together_are_not_all_held(first: bytes) -> None:
    begin = POST + b"Content-Length: 60001\r\n\r\n" + b"a" * 60_000
    with serving() as port, contextlib.ExitStack() as stack:
        stack.enter_context(connected(port, first))
        time.sleep(0.1)
        large = [stack.enter_context(connected(port, begin)) for _ in range(12)]
        time.sleep(0.2)
        assert rest(large[0]) == b""
        large[-1].sendall(b"a")
        assert len(large[-1].recv(100_000)) > 10


def test_a_large_request_that_was_answered_is_held_no_more() -> None:
    """Whether it had arrived whole or not: nobody has to go for the next ones."""
    head = b" HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"
    with serving() as port, contextlib.ExitStack() as stack:
        for path, missing in ((b"/read", 0), (b"/early", 1)):
            before = []
            for _ in range(Hasty.MAX_LARGE):
                one = stack.enter_context(connected(port, b"POST " + path + head + b"a" * (60_000 - missing)))
                assert one.recv(100).startswith(b"HTTP/1.1 200 OK")
                before.append(one)
            stack.enter_context(connected(port, b"POST /read" + head + b"a" * 50_000))
            time.sleep(0.1)
            for one in before:
                one.sendall(b"a" * missing + b"GET /early HTTP/1.1\r\nConnection: close\r\n\r\n")
                assert b"connection: close" in rest(one)


def test_a_stop_waits_for_no_request_that_does_not_come() -> None:
    with contextlib.ExitStack() as stack:
        with serving(timeout_graceful_shutdown=2) as port:
            half = stack.enter_context(connected(port, b"GET / HT"))
            body = stack.enter_context(connected(port, POST + b"Content-Length: 5\r\n\r\nhell"))
            time.sleep(0.1)
            begun = time.monotonic()
        assert time.monotonic() - begun < 2
        assert rest(half) == b""
        assert b" 408 " in rest(body)


def test_no_exception_is_logged_when_a_connection_goes(caplog: pytest.LogCaptureFixture) -> None:
    """Also where several requests are under way on it."""
    with serving() as port:
        for request in (b"GET /late HTTP/1.1\r\n" + HOST + b"\r\n", POST + b"Content-Length: 5\r\n\r\nhell"):
            for number in (1, 3):
                with connected(port, request * number):
                    time.sleep(0.1)
        time.sleep(1.2)
    assert [record for record in caplog.records if record.exc_info] == []


# `keystead serve`, as it is


@contextlib.contextmanager
def keystead(folder: Path, port: int, url: str) -> Iterator[int]:
    """A server on this port; its process id."""
    folder.mkdir()
    environ = {
        **os.environ,
        "KEYSTEAD_PUBLIC_URL": url,
        "KEYSTEAD_SECRET_KEYS": secrets.token_urlsafe(32),
        "KEYSTEAD_BACKEND": (folder / "keystead.db").as_uri(),
        "KEYSTEAD_MAIL": f"outbox://{folder}/outbox",
        "KEYSTEAD_MAIL_FROM": "keystead@example.com",
        "KEYSTEAD_TRUSTED_PROXIES": "127.0.0.1",
        "PORT": str(port),
    }
    keystead = [sys.executable, "-m", "webapp"]
    subprocess.run([*keystead, "backend", "migrate"], env=environ, check=True, capture_output=True)
    with (folder / "log").open("w") as log:
        command = [*keystead, "serve", "--host", "127.0.0.1"]
        server = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        assert live_site.wait_for(port, server), (folder / "log").read_text()
        yield server.pid
    finally:
        server.terminate()
        server.wait(15)
    assert "Traceback" not in (folder / "log").read_text()


def attacks(origin: str, *, headers: int, forms: int) -> dict[str, Attack]:
    """What a server has to bear at once. The crowds come from one address, and the rest from another."""
    form = ("Content-Type: application/x-www-form-urlencoded", f"Origin: {origin}")
    get, post = attackers.head("GET", "/logon") + b"X: ", attackers.head("POST", "/logon", *form)
    elsewhere = attackers.head("POST", "/nowhere", *form) + b"Content-Length: 60000\r\n\r\n"
    return {
        "a crowd of half headers": Attack(connections=headers, begin=get, more=b"a", source="127.0.0.2"),
        "a crowd of half forms": Attack(
            connections=forms, begin=post + b"Content-Length: 60000\r\n\r\n" + b"a" * 40_000, source="127.0.0.2"
        ),
        "silence": Attack(connections=5, begin=b""),
        "an endless header": Attack(connections=2, begin=get, more=b"a" * 65536, every=0),
        "a slow header": Attack(connections=5, begin=get, more=b"a"),
        "a slow form": Attack(connections=5, begin=post + b"Content-Length: 60000\r\n\r\n", more=b"a"),
        "a slow form for nobody": Attack(connections=5, begin=elsewhere, more=b"a"),
        "slow chunks": Attack(connections=5, begin=post + b"Transfer-Encoding: chunked\r\n\r\n", more=b"1\r\na\r\n"),
        "an endless form": Attack(connections=2, begin=post + b"Content-Length: 999999999\r\n\r\n", more=b"a" * 65536, every=0),
    }


class Outcome(NamedTuple):
    """What became of the attackers, what a visitor got meanwhile, and by how many megabytes the server grew."""

    ends: dict[str, list[End]]
    visits: list[Visit]
    patience: float
    grown: float

    @property
    def slowest(self) -> float:
        return max(visit.after for visit in self.visits)


def attack(
    target: Target, pid: int, attacks: dict[str, Attack], seconds: float, known: AbstractSet[str] = frozenset()
) -> Outcome:
    """All attacks at once; who still has a connection after so many seconds has won.

    A machine that is busy gets more. Where somebody had to wait, or others have won than are known to, all is done once more:
    what an attack does, it does each time.
    """
    outcome = _attack(target, pid, attacks, seconds)
    if outcome.slowest < outcome.patience and winners(outcome) == known:
        return outcome
    return _attack(target, pid, attacks, seconds)


def _attack(target: Target, pid: int, attacks: dict[str, Attack], seconds: float) -> Outcome:
    memory, patience = Memory(pid), attackers.patience()
    before = memory.forget_the_peak()
    with attackers.visiting(target, "/logon") as visits:
        ends = attackers.run(target, attacks, seconds + patience)
    return Outcome(ends, visits, patience, memory.peak() - before)


def winners(outcome: Outcome) -> set[str]:
    """The attacks of which a connection was still there at the end."""
    return {name for name, ends in outcome.ends.items() if max(end.after for end in ends) == float("inf")}


def assert_that_nobody_noticed(outcome: Outcome) -> None:
    assert {visit.got for visit in outcome.visits} == {200}
    assert outcome.slowest < outcome.patience
    assert outcome.grown < 30
    assert max(end.sent for end in outcome.ends["an endless header"]) < 16_000_000


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read as Linux tells it")
def test_nobody_notices_an_attack(tmp_path: Path) -> None:
    port = free_port()
    url, target = f"http://localhost:{port}", Target(port=port)
    endless = b"GET /static/nothing HTTP/1.1\r\nHost: x\r\n\r\n" * 1000
    requests = {"an endless run of requests": Attack(connections=2, begin=endless, more=endless, every=0)}
    with keystead(tmp_path / "site", port, url) as pid, attackers.many_files():
        outcome = attack(target, pid, attacks(url, headers=1000, forms=1150) | requests, 13.5)
    assert_that_nobody_noticed(outcome)
    assert winners(outcome) == set()
    slow = [end for name in ("a slow header", "a slow form", "slow chunks") for end in outcome.ends[name]]
    assert {end.status for end in slow} == {408}
    assert min(end.after for end in slow) > 9.5


# nginx and Caddy, as they are shipped


WINNERS: dict[ProxyName, set[str]] = {"nginx": {"a slow form", "a slow form for nobody", "slow chunks"}, "caddy": set()}
"""nginx gives a body ten seconds from piece to piece, and bounds how many an address may send at a time."""


@pytest.fixture(scope="module")
def behind(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[ProxyName], Outcome]]:
    """What came of an attack on both proxies at the same time."""
    with ThreadPoolExecutor() as pool, attackers.many_files():
        running = {
            name: pool.submit(_attacked_behind, name, certificate, tmp_path_factory.mktemp(name))
            for name in WINNERS
            if PROGRAMS[name]
        }
        yield lambda name: running[name].result() if name in running else pytest.skip(f"{name} IS NOT INSTALLED")


def _attacked_behind(name: ProxyName, certificate: Path, folder: Path) -> Outcome:
    http, https, own = free_port(), free_port(), free_port()
    where = Place(host="localhost", other_host="www.example.test", http=http, https=https, keystead=own, certificate=certificate)
    url, target = f"https://localhost:{https}", Target(port=https, certificate=certificate)
    with keystead(folder / "site", own, url) as pid, proxy(name, folder / name, where):
        return attack(target, pid, attacks(url, headers=100, forms=550), 11.5, WINNERS[name])


@pytest.mark.parametrize("name", WINNERS)
def test_nobody_notices_an_attack_on_a_proxy(behind: Callable[[ProxyName], Outcome], name: ProxyName) -> None:
    outcome = behind(name)
    assert_that_nobody_noticed(outcome)
    assert winners(outcome) == WINNERS[name]

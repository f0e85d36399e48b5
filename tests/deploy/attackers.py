"""Connections that take more than they should, many at a time, and somebody who only wants a page meanwhile.

An attacker never reads more than it must, and tells how its connection ended. Nothing here knows what is attacked.
"""

import asyncio
import contextlib
import json
import os
import re
import resource
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import NamedTuple

import uvloop

ROOT = Path(__file__).parents[2]
STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")
PIECE = 64 * 1024
AT_ONCE = 32
"""Connections that are made at a time: handshakes of TLS are another attack, and this side pays for them as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server on localhost, and the certificate by which it is known, if it speaks TLS."""

    port: int
    certificate: Path | None = None

    @property
    def tls(self) -> ssl.SSLContext | None:
        return ssl.create_default_context(cafile=str(self.certificate)) if self.certificate else None


def head(method: str, path: str, *lines: str) -> bytes:
    """A request line and headers, without the empty line that ends them."""
    return "".join(f"{line}\r\n" for line in (f"{method} {path} HTTP/1.1", "Host: localhost", *lines)).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """So many connections that send `begin`, and then `more` every so many seconds."""

    connections: int
    begin: bytes
    more: bytes = b""
    every: float = 1.0
    source: str = "127.0.0.3"


class End(NamedTuple):
    """What became of a connection: the last status that it was sent, how many seconds it lived, and how much it sent."""

    status: int | None
    after: float
    sent: int


def run(target: Target, attacks: Mapping[str, Attack], seconds: float) -> dict[str, list[End]]:
    """All of them at once. Who still has a connection after so many seconds has won: its `after` is infinite."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(target, attacks, seconds))


async def _run(target: Target, attacks: Mapping[str, Attack], seconds: float) -> dict[str, list[End]]:
    names = [name for name, attack in attacks.items() for _ in range(attack.connections)]
    connecting, tls = asyncio.Semaphore(AT_ONCE), target.tls
    ends = await asyncio.gather(*(_connection(target.port, tls, attacks[name], connecting, seconds) for name in names))
    return {wanted: [end for name, end in zip(names, ends, strict=True) if name == wanted] for wanted in attacks}


async def _connection(
    port: int, tls: ssl.SSLContext | None, attack: Attack, connecting: asyncio.Semaphore, seconds: float
) -> End:
    received, loop, plain = bytearray(), asyncio.get_running_loop(), socket.socket()
    plain.setblocking(False)
    plain.bind((attack.source, 0))
    try:
        async with connecting:
            await loop.sock_connect(plain, ("127.0.0.1", port))
            name = "localhost" if tls else None
            reader, writer = await asyncio.open_connection(sock=plain, ssl=tls, server_hostname=name, limit=PIECE)
    except OSError:
        plain.close()
        return End(None, 0, 0)
    begun = time.monotonic()
    sent = [0]
    sending = asyncio.create_task(_send(writer, attack, sent))
    after = float("inf")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            with contextlib.suppress(OSError):
                while piece := await reader.read(PIECE):
                    received += piece
            after = time.monotonic() - begun
    sending.cancel()
    writer.transport.abort()
    found = STATUS.findall(received)
    return End(int(found[-1]) if found else None, after, sent[0])


async def _send(writer: asyncio.StreamWriter, attack: Attack, sent: list[int]) -> None:
    piece = attack.begin or attack.more
    with contextlib.suppress(OSError):
        while piece:
            writer.write(piece)
            await writer.drain()
            sent[0] += len(piece)
            await asyncio.sleep(attack.every)
            piece = attack.more


class Visit(NamedTuple):
    """What somebody got who asked for a page, a status or what went wrong, and after how many seconds."""

    got: int | str
    after: float


@contextlib.contextmanager
def visiting(target: Target, path: str) -> Iterator[list[Visit]]:
    """Somebody asks for the page ten times a second, each time over a connection of its own. The list is full at the end.

    This is a process of its own, which does not wait for this one.
    """
    visits: list[Visit] = []
    command = [sys.executable, "-m", __name__, str(target.port), path, str(target.certificate or "")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as visitor:
        try:
            yield visits
        finally:
            told, _ = visitor.communicate(timeout=30)
            visits += (Visit(*visit) for visit in json.loads(told))


def _visit(target: Target, path: str, left: threading.Event) -> list[Visit]:
    visits, tls = [], target.tls
    while not left.wait(0.1):
        begun = time.monotonic()
        visits.append(Visit(_ask(target.port, path, tls), time.monotonic() - begun))
    return visits


def _ask(port: int, path: str, tls: ssl.SSLContext | None) -> int | str:
    connection = (
        HTTPSConnection("localhost", port, timeout=10, context=tls) if tls else HTTPConnection("localhost", port, timeout=10)
    )
    with contextlib.closing(connection):
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, HTTPException) as error:
            return repr(error)


@dataclass(frozen=True, slots=True)
class Memory:
    """Of a process, as Linux counts it."""

    pid: int

    def forget_the_peak(self) -> float:
        """Megabytes now; from now on the peak is a new one."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        return self._megabytes("VmRSS")

    def peak(self) -> float:
        return self._megabytes("VmHWM")

    def _megabytes(self, name: str) -> float:
        found = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        assert found
        return int(found[1]) / 1024


def patience() -> float:
    """How long a page may take here: a second, and as many times more as this machine has to do beside it."""
    return max(1, os.getloadavg()[0] / (os.cpu_count() or 1))


@contextlib.contextmanager
def many_files(wanted: int = 8192) -> Iterator[None]:
    """This process may open as many; what it starts meanwhile as well, so start nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(wanted, hard)), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def main(port: str, path: str, certificate: str) -> None:
    """Visit until nobody holds the other end of standard input, and tell of it."""
    left = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        left.set()

    threading.Thread(target=wait).start()
    json.dump(_visit(Target(port=int(port), certificate=Path(certificate) if certificate else None), path, left), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])

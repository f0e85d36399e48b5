"""64 kB of anything to every route, by somebody without a session: how long does the event loop stand still at the most?

    python -m tests.proofs.loop [--sample 20000] [--seed 1]      all that there are, without a sample

A task in the server's loop ticks each millisecond and measures how much of the processor its thread used between two ticks:
that is how long everybody else waited, on a machine that does nothing else. Texts go into addresses, headers and forms.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_network
from itertools import chain
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from webapp.routes import ROUTES
from webapp.testing import browser
from webapp.testing.browser import Slot
from webapp.testing.site import Site
from webapp.web.forms import MAX_BODY

MAX_HELD = 0.05
"""Seconds that nobody may make everybody else wait for."""
TICK = 0.001
ROOM = MAX_BODY - 200
"""So many bytes of a text leave room for the name of its field."""
ADDRESS, HEADER = 8_000, 30_000
"""So many bytes of a text are sent in an address and in a header: `keystead serve` takes no more."""
WARM_UP = 3

FIELDS = (
    "username", "password", "next", "ceremony", "credential", "failure", "code", "name", "then", "unbind", "token", "new", "old",
    "email", "offer", "to", "nonce",
)  # fmt: skip
QUERIES = ("next", "token", "notice", "then", "since", "before", "offer", "to", "nonce", "back", "ticket")
HEADERS = (
    "Origin", "Referer", "User-Agent", "X-Forwarded-For", "Forwarded", "Content-Type", "Accept-Encoding", "Accept-Language",
    "Keystead-Doctor", "Authorization", "HX-Request", "Sec-Fetch-Site", "If-None-Match", "If-Modified-Since", "Range", "Cookie",
    "X-Original-URL", "X-Forwarded-Host", "X-Forwarded-Uri",
)  # fmt: skip
COOKIES = ("keystead", "keystead-browser", "keystead-doctor", "keystead-app")
PIECES: dict[str, str] = {
    "marks in the wrong order": "\u0345\u0300",
    "marks of many classes": "\u0f71\u0345\u0323\u0300\u05b0\u093c",
    "a letter that becomes eighteen": "\ufdfa",
    "letters that change with their case": "\u0130\u1e9e\ufb03",
    "Hangul in pieces": "\u1100\u1161\u11a8",
    "emoji": "\U0001f511\u200d",
    "digits": "9",
    "Arabic digits": "\u0663",
    "letters": "A",
    "blanks": " ",
    "tabs": "\t",
    "nulls": "\0",
    "percent signs": "%",
    "percent and half a number": "%4",
    "percent and nothing that is UTF-8": "%ff",
    "brackets": "[",
    "objects in objects": '{"a":',
    "a list of numbers": "1,",
    "quotes": '"',
    "escaped quotes": '\\"',
    "equals signs": "=",
    "field after field": "a=1&",
    "cookie after cookie": "a=1; ",
    "dots": ".",
    "signed by nobody": "AAAA.",
    "colons": ":",
    "addresses": "203.0.113.9, ",
    "addresses, as the standard has it": 'for="[2001:db8::1%1]";by=_x, ',
    "at signs": "a@",
    "labels of a domain": "a.b@c.",
    "slashes": "/",
    "dots and slashes": "../",
    "a browser": "Mozilla/5.0 (X11) Chrome/",
    "parentheses": "(",
    "ranges": "0-1,",
    "qualities": "gzip;q=0.1,",
}
"""What is repeated until there is no more room."""


class Sent(NamedTuple):
    """A request, and what it is called."""

    name: str
    method: str
    path: str
    headers: dict[str, bytes]
    body: bytes = b""


def texts(room: int) -> dict[str, bytes]:
    """Each of them as long as there is room for. Half a character would be no UTF-8, and a form with it is not looked at."""
    return {name: (piece * room).encode()[:room].decode(errors="ignore").encode() for name, piece in PIECES.items()}


def quoted(text: bytes) -> str:
    """As it can stand in an address: as it is, if it can, or as a browser would write it."""
    plain = text.isascii() and not set(text) & set(b' #"\t\0\\')
    return text.decode() if plain else quote(text[: ADDRESS // 3], safe="")


def every() -> Iterator[Sent]:
    """All of them, route by route."""
    return chain(
        *(chain(_in_address(method, path), _in_headers(method, path), _in_body(method, path)) for method, path in _routes())
    )


def _routes() -> list[tuple[str, str]]:
    others = [("GET", "/metrics"), ("GET", "/static/app.css"), ("GET", "/nowhere"), ("BREW", "/logon")]
    return [(method, path) for method, path, _ in ROUTES] + others


def _in_address(method: str, path: str) -> Iterator[Sent]:
    for name, text in texts(ADDRESS).items():
        for query in QUERIES if method == "GET" else ():
            yield Sent(f"{name} in {query}", method, f"{_plain(path)}?{query}={quoted(text)}", {})
        if "{" in path:
            yield Sent(f"{name} in the path", method, path.replace("{key}", quoted(text)).replace("{id}", quoted(text)), {})
        yield Sent(f"{name} behind the path", method, f"{_plain(path)}/{quoted(text)}", {})


def _in_headers(method: str, path: str) -> Iterator[Sent]:
    for name, text in texts(HEADER).items():
        value = bytes(byte for byte in text if byte > 31 and byte != 127)
        for header in HEADERS:
            yield Sent(f"{name} in {header}", method, _plain(path), {header: value})
        yield Sent(f"{name} in quotes in a cookie", method, _plain(path), {"Cookie": b'keystead-zone="' + value + b'"'})
        for cookie in COOKIES:
            yield Sent(f"{name} in the cookie {cookie}", method, _plain(path), {"Cookie": f"{cookie}=".encode() + value})


def _in_body(method: str, path: str) -> Iterator[Sent]:
    if method != "POST":
        return
    for name, text in texts(ROOM).items():
        for each in FIELDS:
            yield Sent(f"{name} in {each}", method, _plain(path), {}, f"{each}=".encode() + text)
        yield Sent(f"{name} as the body", method, _plain(path), {}, text)


def _plain(path: str) -> str:
    return path.replace("{key}", "AAAA").replace("{id}", "x")


@dataclass
class Ticking:
    """How long the loop's thread was busy between two ticks, at the most, since somebody last asked."""

    longest: float = 0.0
    last: float = field(default_factory=time.thread_time)

    async def tick(self) -> None:
        self.note()
        while True:
            await asyncio.sleep(TICK)
            self.note()

    def note(self) -> None:
        now = time.thread_time()
        self.longest, self.last = max(self.longest, now - self.last), now

    async def take(self) -> float:
        self.note()
        longest, self.longest = self.longest, 0.0
        return longest


@dataclass
class Report:
    """How many were sent, what was answered, and the ten that held the loop longest."""

    sent: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    worst: list[tuple[float, str]] = field(default_factory=list)

    def add(self, sent: Sent, status: int, held: float) -> None:
        self.sent += 1
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.worst = sorted([*self.worst, (held, f"{sent.method} {sent.path[:40]}: {sent.name}")], reverse=True)[:10]

    @property
    def held(self) -> float:
        return self.worst[0][0]

    def __str__(self) -> str:
        lines = [f"{held * 1000:6.1f} ms  {what}" for held, what in self.worst]
        return "\n".join([f"{self.sent:,} requests; statuses {dict(sorted(self.statuses.items()))}; the longest:", *lines])


def run(folder: Path, requests: Sequence[Sent]) -> Report:
    """What became of these requests to a real server."""
    report = Report()
    with browser.served(folder, Slot(), trusted_proxies=(ip_network("127.0.0.1"),)) as site:
        ticking = Ticking()
        task = site.portal.start_task_soon(ticking.tick)
        for sent in [*requests[:WARM_UP], *requests]:  # what is read or compiled once is not what anybody can repeat
            status = _ask(site, sent, report.sent)
            report.add(sent, status, _confirmed(site, ticking, sent, report.sent))
        task.cancel()
    return report


def _confirmed(site: Site, ticking: Ticking, sent: Sent, number: int) -> float:
    """How long it held the loop: the shortest of three, where the first was long. A collection of garbage is nobody's request."""
    held = site.call(ticking.take)
    for _ in range(2 if held > MAX_HELD / 2 else 0):
        _ask(site, sent, number)
        held = min(held, site.call(ticking.take))
    return held


def _ask(site: Site, sent: Sent, number: int) -> int:
    """The status of the answer; 0 if the connection was closed without one."""
    connection = HTTPConnection("127.0.0.1", int(site.url.rpartition(":")[2]), timeout=30)
    headers: dict[str, str | bytes] = {
        "X-Forwarded-For": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
        "Origin": site.settings.origin,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    try:
        connection.request(sent.method, sent.path, sent.body or None, {**headers, **sent.headers})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, HTTPException):
        return 0
    finally:
        connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    requests = list(every())
    random.Random(asked.seed).shuffle(requests)  # noqa: S311 - nothing secret
    with tempfile.TemporaryDirectory() as folder:
        report = run(Path(folder), requests[: asked.sample])
    sys.stdout.write(f"{report}\n")
    sys.exit(report.held > MAX_HELD)


if __name__ == "__main__":
    main()

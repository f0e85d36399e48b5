"""What it costs to ask whether a request may go on to an app, which proxies do for every request of every app.

    python -m bench.checks [--rounds 5] [--sessions 100000] [--beside NAME PORT PATH COOKIE PID]

CPU is that of the server's process alone, by the kernel's own account, for requests on connections that a proxy keeps open; a
rate per core is its inverse. Rounds take turns, and the median counts. `--beside` asks another server that runs already, where
somebody is logged on with this cookie. The storm is 32 people who log on with passwords.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import httpx2

from backends import open_backend
from backends.contract.samples import account, session
from backends.records import Account
from bench.peers import process
from bench.peers.process import Server
from bench.peers.wire import CHROME, Browser, Connection
from bench.site import Person, Site, serving
from webapp.testing.visitor import Visitor

CONNECTIONS, CHECKS, STORM, BATCH = 8, 4000, 32, 500
APP = "wiki.localhost"


class Process(NamedTuple):
    """What is known of a process that somebody else has started."""

    pid: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A server, and the request that it is sent."""

    name: str
    server: Server
    request: bytes


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds: of CPU for each check, and how long each took."""

    cpu: float
    took: list[float]

    @property
    def p99(self) -> float:
        return sorted(self.took)[len(self.took) * 99 // 100]


def head(path: str, cookie: str) -> bytes:
    """The request of a proxy in forwarding mode, as a browser's page makes it."""
    lines = (
        f"GET {path} HTTP/1.1", "host: 127.0.0.1", f"user-agent: {CHROME}", "accept: text/html,application/xhtml+xml",
        "accept-language: en-US,en;q=0.9", "accept-encoding: gzip, deflate, br, zstd", "sec-fetch-mode: navigate",
        "sec-fetch-site: same-origin", "x-forwarded-for: 192.0.2.7", "x-forwarded-proto: http", f"x-forwarded-host: {APP}",
        "x-forwarded-method: GET", "x-forwarded-uri: /page/of/the/wiki?q=1", f"cookie: {cookie}",
    )  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


async def measure(asked: Asked, checks: int, connections: int = CONNECTIONS) -> Cost:
    """So many checks on kept connections."""
    took: list[float] = []

    async def ask(number: int) -> None:
        with closing(Connection(asked.server.port)) as wire:
            for _ in range(number):
                begun = time.perf_counter()
                answer = await wire.exchange(asked.request)
                took.append((time.perf_counter() - begun) * 1000)
                assert answer.status == 200, (asked.name, answer.status, answer.head, answer.body)

    before = asked.server.cpu()
    await asyncio.gather(*(ask(checks // connections) for _ in range(connections)))
    return Cost((asked.server.cpu() - before) * 1000 / len(took), took)


async def in_a_storm(asked: Asked, people: list[Person], url: str) -> Cost:
    """Checks, one after another, while people log on with passwords."""
    over = asyncio.Event()

    async def log_on(person: Person, address: str) -> None:
        with closing(Connection(asked.server.port)) as wire:
            while not over.is_set():
                browser = Browser(url, address, wire=wire)
                fields = {"username": person.username, "password": person.password, "next": ""}
                answers[(await browser.post("/logon", fields)).status] += 1

    answers = Counter[int]()
    storm = [asyncio.create_task(log_on(person, f"192.0.2.{number}")) for number, person in enumerate(people)]
    await asyncio.sleep(1)
    begun, before = time.monotonic(), answers.total()
    cost = await measure(asked, 4000, 2)
    rate = (answers.total() - before) / (time.monotonic() - begun)
    over.set()
    await asyncio.gather(*storm)
    print(f"the storm was answered with {dict(answers)}, {rate:.0f} passwords a second while checks were made")
    return cost


@contextmanager
def keystead(folder: Path, sessions: int, people: int) -> Iterator[tuple[Asked, Site, list[Person]]]:
    """A Keystead with somebody in the app, and other people's sessions."""
    with serving(folder, KEYSTEAD_TRUSTED_PROXIES="127.0.0.1") as site:
        if sessions:
            asyncio.run(_fill(site.environ["KEYSTEAD_BACKEND"], sessions))
        site.keystead("app", "add", "wiki", f"http://{APP}")
        known = [site.person() for _ in range(people + 1)]
        assert site.server
        yield Asked("Keystead", site.server, head("/check", _cookie(site, known[0]))), site, known[1:]


def beside(name: str, port: str, path: str, cookie: str, pid: str) -> Asked:
    """Another server that runs already, with somebody logged on."""
    return Asked(name, Server(int(port), cast(Any, Process(int(pid)))), head(path, cookie))


def _cookie(site: Site, person: Person) -> str:
    """The app's cookie of somebody who came in."""
    with httpx2.Client(base_url=site.url) as client:
        visitor = Visitor(client)
        visitor.log_on(person.username, person.password)
        at_app = {"host": APP}
        begun = client.get("/.keystead/begin?back=/", headers=at_app)
        nonce = begun.headers["set-cookie"].partition(";")[0]
        entered = client.get(begun.headers["location"], headers={"accept": "text/html"})
        way = "/.keystead/" + entered.headers["location"].partition("/.keystead/")[2]
        client.cookies.clear()
        ended = client.get(way, headers={**at_app, "cookie": nonce})
        return next(each.partition(";")[0] for each in ended.headers.get_list("set-cookie") if "=;" not in each)


async def _fill(address: str, sessions: int) -> None:
    backend = await open_backend(address)
    try:
        for begin in range(0, sessions, BATCH):
            await asyncio.gather(*(backend.add(_with_session(number)) for number in range(begin, min(begin + BATCH, sessions))))
    finally:
        await backend.close()


def _with_session(number: int) -> Account:
    return account(f"filler-{number}", sessions=(session(f"session-{number}"),))


def rounds(number: int, asked: list[Asked]) -> dict[str, list[Cost]]:
    """What each costs, in turns."""
    found: dict[str, list[Cost]] = {each.name: [] for each in asked}
    for each in asked:
        asyncio.run(measure(each, CHECKS // 4))
    for _ in range(number):
        for each in asked:
            found[each.name].append(asyncio.run(measure(each, CHECKS)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sessions", type=int, default=0)
    parser.add_argument("--beside", nargs=5, action="append", default=[], metavar=("NAME", "PORT", "PATH", "COOKIE", "PID"))
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keystead-bench-")))
        ours, site, people = stack.enter_context(keystead(folder, options.sessions, STORM))
        asked = [ours, *(beside(*words) for words in options.beside)]
        print(f"{options.sessions + 1} sessions; load {process.load_average():.1f}")
        for name, costs in rounds(options.rounds, asked).items():
            cpu = statistics.median(cost.cpu for cost in costs)
            print(f"{name:<10} {cpu:.3f} ms of CPU, {1000 / cpu:,.0f} a second and core")
        stormy = asyncio.run(in_a_storm(ours, people, site.url))
        print(f"in a storm of {STORM}: p50 {statistics.median(stormy.took):.1f} ms, p99 {stormy.p99:.1f} ms")


if __name__ == "__main__":
    main()

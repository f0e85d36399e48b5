"""One round with one peer: start it, log people on with their keys, alone and 16 at a time, and during a storm of passwords.

CPU is that of the server's processes alone, between the first request of a kind and the last; the keys sign elsewhere.
"""

import asyncio
import re
import shutil
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.peers import process
from bench.peers.peer import ROOT, Off, Peer
from bench.peers.person import ORIGIN, Person
from bench.peers.process import Server
from bench.peers.wire import Answer, Browser, Connection

CROWD = 16
STORM = 32
REST = 1
"""Seconds before memory is read: what a burst of passwords took is given back when it is over."""
WARM_UP = 2
"""Logons of each person before the clock runs."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How many logons a round takes."""

    alone: int = 48
    together: int = 12 * CROWD
    storm: int = 48

    def half(self) -> "Effort":
        return Effort(self.alone // 2, self.together // 2, self.storm // 2)


@dataclass(slots=True)
class Steps:
    """Steps of one kind that were taken: what they cost the server, and how long each took. Milliseconds."""

    cpu: float
    per_second: float
    took: list[float]

    @classmethod
    def of(cls, parts: Sequence["Steps"]) -> "Steps":
        """All of them together."""
        took = [each for part in parts for each in part.took]
        cpu = sum(part.cpu * len(part.took) for part in parts) / len(took)
        return cls(cpu, len(took) / sum(len(part.took) / part.per_second for part in parts), took)

    @property
    def p50(self) -> float:
        return statistics.median(self.took)

    @property
    def p99(self) -> float:
        return sorted(self.took)[min(len(self.took) - 1, len(self.took) * 99 // 100)]


@dataclass(slots=True)
class Round:
    """What one round found."""

    peer: str
    load: float
    started_in: float = 0
    fresh: float = 0
    resident: float = 0
    proportional: float = 0
    page: list[Answer] = field(default_factory=list)
    steps: dict[str, Steps] = field(default_factory=dict)


def run(peer: Peer, people: list[Person], seeded: Path, effort: Effort) -> Round:
    """A round on a fresh copy of the peer's records."""
    found = Round(peer.name, process.load_average())
    with TemporaryDirectory(prefix="keystead-bench-") as folder:
        shutil.copytree(seeded, folder, dirs_exist_ok=True)
        with _serving(peer, Path(folder)) as server:
            asyncio.run(_round(peer, people, server, effort.half() if peer.slow else effort, found))
    return found


@contextmanager
def _serving(peer: Peer, folder: Path) -> Iterator[Server]:
    port = process.free_port()
    command, environ = peer.command(folder, port)
    begun = time.perf_counter()
    with process.running(command, environ, port, folder / "log", ROOT) as server:
        try:
            asyncio.run(_first_page(peer, server))
            server.started_in = time.perf_counter() - begun
            yield server
        except Exception as error:
            error.add_note((folder / "log").read_text(errors="replace")[-3000:])
            raise


async def _first_page(peer: Peer, server: Server) -> None:
    end = time.monotonic() + process.PATIENCE
    while time.monotonic() < end and server.process.poll() is None:
        with suppress(OSError, EOFError), closing(Connection(server.port)) as wire:
            await peer.arrive(Browser(ORIGIN, wire=wire), None)
            return
        await asyncio.sleep(0.002)
    raise Off(f"{peer.name} does not answer")


async def _round(peer: Peer, people: list[Person], server: Server, effort: Effort, found: Round) -> None:
    found.started_in, found.fresh = server.started_in * 1000, server.resident()
    walk = Walk(peer, people, server)
    for _ in range(WARM_UP):
        await walk.log_on(len(people), CROWD)
    found.steps["password"], found.steps["alone"] = await walk.log_on(effort.alone, 1)
    _, found.steps["together"] = await walk.log_on(effort.together, CROWD)
    await asyncio.sleep(REST)
    found.resident, found.proportional = server.resident(), server.proportional()
    found.page = await logon_page(peer, server.port)
    found.steps["storm"] = await walk.log_on_in_a_storm(effort.storm)


Way = tuple[Person, Browser]


@dataclass(slots=True)
class Walk:
    """People on their way in, each in a browser of their own."""

    peer: Peer
    people: list[Person]
    server: Server
    _kept: dict[int, dict[str, str]] = field(default_factory=dict)

    async def log_on(self, number: int, at_once: int) -> tuple[Steps, Steps]:
        """So many logons, everybody once before anybody is there again: what the passwords cost, and what the keys did."""
        rounds = []
        for begun in range(0, number, CROWD):
            ways = [self._way(n) for n in range(min(CROWD, number - begun))]
            rounds.append((await self._give_passwords(ways), await self._use_keys(ways, at_once)))
        passwords, keys = zip(*rounds, strict=True)
        return Steps.of(passwords), Steps.of(keys)

    async def log_on_in_a_storm(self, number: int) -> Steps:
        """The same with keys one at a time, while other people give passwords as fast as they are answered."""
        over = asyncio.Event()

        async def give(number: int) -> None:
            while not over.is_set():
                person = self.people[CROWD + number % CROWD]
                browser = Browser(ORIGIN, f"203.0.113.{number}")
                with closing(Connection(self.server.port)) as browser.wire:
                    await self.peer.arrive(browser, person)
                    await self.peer.password(browser, person)

        storm = [asyncio.create_task(give(number)) for number in range(STORM)]
        await asyncio.sleep(1)
        _, keys = await self.log_on(number, 1)
        over.set()
        await asyncio.gather(*storm)
        return keys

    async def _give_passwords(self, ways: list[Way]) -> Steps:
        """They get as far as the key, four at a time."""
        await self._take(self.peer.arrive, ways, 1)
        if self.peer.passwordless:
            ways = [(person, Browser(ORIGIN, person.address)) for person, _ in ways]
            await self._take(self.peer.arrive, ways, 1)
        return await self._take(self.peer.password, ways, 4)

    async def _use_keys(self, ways: list[Way], at_once: int) -> Steps:
        """All who have got as far as the key log on with it."""
        signing: list[float] = []

        async def use_key(browser: Browser, person: Person) -> None:
            asked = await self.peer.begin(browser, person)
            begun = time.perf_counter()
            answer = person.answer(asked.options)
            signing.append((time.perf_counter() - begun) * 1000)
            await self.peer.finish(browser, person, asked, answer)
            self._kept[person.number] = self.peer.kept(browser.cookies)

        steps = await self._take(use_key, ways, at_once)
        steps.took = [took - statistics.median(signing) for took in steps.took]
        return steps

    async def _take(self, step: Callable[[Browser, Person], Awaitable[None]], ways: list[Way], at_once: int) -> Steps:
        """The step in so many lanes, each over a connection of its own. Whose number is the same are in the same lane."""
        took: list[float] = []

        async def lane(number: int) -> None:
            with closing(Connection(self.server.port)) as wire:
                for person, browser in ways:
                    if person.number % at_once == number:
                        browser.wire, begun = wire, time.perf_counter()
                        await step(browser, person)
                        took.append((time.perf_counter() - begun) * 1000)

        before, begun = self.server.cpu(), time.perf_counter()
        await asyncio.gather(*(lane(number) for number in range(at_once)))
        seconds = time.perf_counter() - begun
        return Steps((self.server.cpu() - before) * 1000 / len(took), len(took) / seconds, took)

    def _way(self, number: int) -> Way:
        person = self.people[number % CROWD]
        return person, Browser(ORIGIN, person.address, dict(self._kept.get(person.number, {})))


async def logon_page(peer: Peer, port: int) -> list[Answer]:
    """The logon page and everything of the same site that it loads."""
    with closing(Connection(port)) as wire:
        browser = Browser(ORIGIN, wire=wire)
        loaded = [await browser.get(peer.logon_page)]
        tags = re.findall(r"<(?:script|link|img)\b[^>]*>", loaded[0].text)
        wanted = [found[1] for tag in tags if "canonical" not in tag and (found := re.search(r'(?:src|href)="(/[^"]+)"', tag))]
        return loaded + [await browser.get(path.replace("&amp;", "&")) for path in dict.fromkeys(wanted)]

"""People come and go for a quarter of an hour, and at its end the server must be as it was at its beginning.

    python -m bench.soak [--minutes 15] [--accounts 5000] [--people 16] [--mongodb ADDRESS] [--workers 4]

Each walk: log on with the password, bind a key with the code from the mail, log off, log on with the key, unbind it, log off.
A few people walk at a time, each for the account that has rested longest, and pause before every request, so that the server is
busy and nobody queues. Their requests go over kept connections, any of them: a walk meets all workers. What is looked at:
every answer, every line of the log, memory and times of each minute, and in the end the whole backend. Ends with status 1
if anything is not as it must be. `python -m tests.mongo_server` serves an ADDRESS.
"""

import argparse
import asyncio
import html
import math
import os
import random
import re
import secrets
import sqlite3
import statistics
import sys
import tempfile
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from backends import migrate, open_backend, transfer
from backends.records import Record
from bench.peers import process
from bench.peers.peer import ROOT, Off
from bench.peers.process import Server
from bench.peers.wire import Answer, Browser, Connection
from bench.start import memory
from webapp import clock
from webapp.accounts import codes, events, identities, limits, passwords
from webapp.accounts.context import Act
from webapp.accounts.events import Happened, Verifier
from webapp.settings import Settings
from webapp.testing.mailbox import address, code_in
from webapp.testing.page import Page
from webapp.testing.stub_key import StubKey

ORIGIN = "https://accounts.example.com"
PASSWORD = "correct horse battery staple"
SECRET = secrets.token_urlsafe(32)
U2F = "/account/security/u2f"

WARM_UP = {"file": 30, "mongodb": 90}
"""Seconds of walks before the first minute: every worker has met every page. On MongoDB most have also walked once by then, so
that there are nearly as many buckets of attempts as there will be: each findAndModify of SecantusDB, the server of the tests,
reads its whole collection, by `_id` too (2 ms among 100 documents, 9 ms among 1,000, 22 ms among 3,000)."""
STORM = 10
"""Seconds of wrong passwords before that. A worker checks as many at once as there are cores, each in memory that it keeps:
among few people it may take long until two of them come to the same worker at the same time."""
REST = codes.RESEND_AFTER.total_seconds() + 1
"""Seconds between two walks of an account: sooner, no code is sent."""
RENEWED_AFTER = 100
"""Requests over one connection. A new one may be taken by another worker."""
REQUESTS, EVENTS, MAILS = 21, 6, 3
"""What a whole walk makes."""
GROWTH, COST, SLOWING = 1.05, 1.2, 1.5
"""What the last minute may be, measured by an early one: memory, the server's CPU for a request, the 99th percentile of times."""
STEADY_FROM = 3
"""The minute whose memory counts as the early one: by then the allocator of every worker has its arenas."""
PAUSE = {"file": 0.07, "mongodb": 0.2}
PEOPLE = {"file": 16, "mongodb": 4}
ACCOUNTS = {"file": 5000, "mongodb": 100}

_OPTIONS = re.compile(r'data-options="([^"]*)"')
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)">')
_SAID = re.compile(r"\n(?=\d{4}-\d\d-\d\dT)")
_USUAL = re.compile(r"\S+Z INFO +\[")


# where the records are


@dataclass(frozen=True, slots=True)
class Place:
    """A backend, asked past the server: its megabytes, and how many events it holds."""

    name: str
    url: str
    size: Callable[[], float]
    events: Callable[[], int]


def in_a_file(folder: Path) -> Place:
    file = folder / "keystead.db"
    return Place("file", file.as_uri(), lambda: _megabytes(folder.glob("keystead.db*")), partial(_rows, file))


def in_mongodb(address: str) -> Place:
    url = f"{address.rstrip('/')}/soak_{uuid.uuid4().hex[:12]}"
    return Place("mongodb", url, partial(_stored, url), partial(_documents, url))


def _rows(file: Path) -> int:
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as opened:
        return int(opened.execute("SELECT count(*) FROM events").fetchone()[0])


def _documents(url: str) -> int:
    with MongoClient[dict[str, object]](url) as client:
        return client.get_default_database()["events"].count_documents({})


def _stored(url: str) -> float:
    with MongoClient[dict[str, Any]](url) as client:
        return float(client.get_default_database().command("dbStats")["dataSize"]) / 1e6


def _megabytes(files: Iterator[Path]) -> float:
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


# who walks


@dataclass(slots=True)
class Owner:
    """An account, and the browser that its person always uses: a new one each time would be news that is mailed."""

    number: int
    browser: Browser
    walks: int = 0
    rested_at: float = 0

    @property
    def username(self) -> str:
        return f"person{self.number}"

    @property
    def email(self) -> str:
        return f"{self.username}@example.com"


def owner(number: int, proxy: "Proxy") -> Owner:
    """Each at an address of its own."""
    return Owner(number, Browser(ORIGIN, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", wire=proxy))


class Proxy(Connection):
    """What stands in front of the workers: it keeps connections, and a request goes over any that is free."""

    def __init__(self, port: int, size: int) -> None:
        super().__init__(port)
        self._free = [Connection(port) for _ in range(size)]

    async def exchange(self, request: bytes) -> Answer:
        wire = self._free.pop(random.randrange(len(self._free)))
        try:
            return await wire.exchange(request)
        finally:
            if random.randrange(RENEWED_AFTER) == 0:
                wire.close()
            self._free.append(wire)

    def close(self) -> None:
        for wire in self._free:
            wire.close()


class Postman:
    """Empties the outbox whenever somebody asks for a code, so that it never holds more than what has just come."""

    def __init__(self, outbox: Path) -> None:
        self.outbox = outbox
        self.mails = 0
        self._codes: dict[str, str] = {}

    def code(self, email: str) -> str:
        """The code that was mailed to this address last; each is handed out once."""
        self.empty()
        if email not in self._codes:
            raise Off(f"no code was mailed to {email}")
        return self._codes.pop(email)

    def empty(self) -> None:
        for file in sorted(self.outbox.glob("*.eml")):
            mail = message_from_bytes(file.read_bytes(), EmailMessage, policy=policy.default)
            file.unlink()
            self.mails += 1
            if code := code_in(mail):
                self._codes[address(mail)] = code


@dataclass(slots=True)
class Crowd:
    """People who walk until it is over, and what came of it."""

    proxy: Proxy
    postman: Postman
    waiting: deque[Owner]
    pause: float
    over: bool = False
    walks: int = 0
    took: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    async def person(self) -> None:
        """Walk for one account after the other. An account whose walk went wrong is not walked for again."""
        while not self.over:
            owner = self.waiting.popleft()
            await asyncio.sleep(max(0, owner.rested_at - time.monotonic()))
            owner.rested_at = time.monotonic() + REST
            try:
                await Walk(self, owner).whole()
            except (Off, OSError, EOFError) as error:
                self.fault(f"{owner.username}: {error!r}")
                continue
            self.walks += 1
            owner.walks += 1
            self.waiting.append(owner)

    def fault(self, what: str) -> None:
        self.faults.append(what)
        print(f"    WRONG: {what}", flush=True)


@dataclass(slots=True)
class Walk:
    """The way of one account: each step is a request that must lead where it leads."""

    crowd: Crowd
    owner: Owner
    key: StubKey = field(default_factory=StubKey)

    async def whole(self) -> None:
        await self._password("/account")
        await self._bind()
        await self._log_off()
        await self._password("/logon/key")
        await self._use()
        await self._unbind()
        await self._log_off()

    async def _password(self, leads: str) -> None:
        await self._get("/logon")
        await self._post("/logon", {"username": self.owner.username, "password": PASSWORD, "next": ""}, leads=leads)
        await self._get(leads)

    async def _bind(self) -> None:
        await self._get(U2F)
        await self._panel(f"{U2F}/code")
        await self._panel(f"{U2F}/verify", {"code": self.crowd.postman.code(self.owner.email)})
        begun = await self._panel(f"{U2F}/bind/begin", {"name": "Blue key"})
        await self._panel(f"{U2F}/bind/finish", answered(begun, self.key.create), leads=f"{U2F}/done")
        await self._get(f"{U2F}/done")

    async def _use(self) -> None:
        begun = await self._panel("/logon/key/begin", {"next": ""})
        await self._panel("/logon/key/finish", answered(begun, self.key.get), leads="/account")
        await self._get("/account")

    async def _unbind(self) -> None:
        await self._get("/account/security")
        await self._get(f"{U2F}/keys/{self.key.slug}/unbind")
        await self._panel(f"{U2F}/keys/{self.key.slug}/unbind", leads="/account/security?notice=unbound")
        await self._get("/account/security?notice=unbound")

    async def _log_off(self) -> None:
        await self._post("/logoff", leads="/logon?notice=off")

    async def _get(self, path: str) -> Answer:
        return await self._ask("GET", path, 200)

    async def _post(self, path: str, fields: dict[str, str] | None = None, *, leads: str) -> Answer:
        """A form, as it is sent without htmx."""
        return await self._ask("POST", path, 303, leads, fields)

    async def _panel(self, path: str, fields: dict[str, str] | None = None, *, leads: str = "") -> Answer:
        """A form, as htmx sends it."""
        return await self._ask("POST", path, 200, leads, fields, hx_request="true")

    async def _ask(
        self, method: str, path: str, status: int, leads: str = "", fields: dict[str, str] | None = None, **headers: str
    ) -> Answer:
        await asyncio.sleep(self.crowd.pause * random.uniform(0.5, 1.5))
        browser, begun = self.owner.browser, time.perf_counter()
        asked = browser.get(path) if method == "GET" else browser.post(path, fields, **headers)
        answer = await asked
        self.crowd.took.append((time.perf_counter() - begun) * 1000)
        led = answer.header("location") or answer.header("hx-redirect")
        if answer.status != status or led != leads or "hx-refresh" in dict(answer.head):
            raise Off(f"{method} {path}: {answer.status} to {led or 'nowhere'}: {Page.read(answer.text).text[:300]}")
        return answer


def answered(begun: Answer, ask: Callable[[str, str], str]) -> dict[str, str]:
    """The fields of the ceremony form, filled with what the key answers."""
    options = _OPTIONS.search(begun.text)
    if options is None:
        raise Off(f"no ceremony: {Page.read(begun.text).text[:300]}")
    hidden = {name: html.unescape(value) for name, value in _HIDDEN.findall(begun.text)}
    return hidden | {"credential": ask(html.unescape(options[1]), ORIGIN), "failure": ""}


# what is watched


@dataclass(slots=True)
class Minute:
    """What one minute came to. Times in milliseconds, sizes in megabytes.

    CPU in cores: that of the server, the people's own process, and all else on this machine. Where that takes
    much, times tell of it and not of the server. `work`: milliseconds of CPU for what is always the same, and so the machine's
    speed: one that others use too has been seen to be 1.8 times as slow in one minute as in another.
    """

    walks: int
    took: list[float]
    seconds: float
    resident: list[float]
    size: float
    events: int
    cores: tuple[float, ...]
    work: float

    @property
    def p99(self) -> float:
        return sorted(self.took)[min(len(self.took) - 1, len(self.took) * 99 // 100)] if self.took else math.inf

    @property
    def cost(self) -> float:
        """Milliseconds of the server's CPU for a request."""
        return self.cores[0] * self.seconds * 1000 / max(1, len(self.took))

    def row(self, number: int) -> str:
        """A line of the table."""
        asked = len(self.took)
        times = (statistics.median(self.took), self.p99, max(self.took)) if asked else (math.inf,) * 3
        return (
            f"{number or 'warm':>6}{self.walks:>7}{asked:>9}{asked / self.seconds:>7.0f}"
            f"{times[0]:>8.1f}{times[1]:>8.1f}{times[2]:>8.1f}"
            f"{min(self.resident):>9.1f}{max(self.resident):>7.1f}{sum(self.resident):>8.1f}"
            f"{self.size:>9.1f}{self.events:>8}" + "".join(f"{cores:>7.2f}" for cores in self.cores) + f"{self.work:>8.2f}"
        )


HEAD = (
    f"{'minute':>6}{'walks':>7}{'requests':>9}{'/s':>7}{'p50 ms':>8}{'p99':>8}{'worst':>8}"
    f"{'least MB':>9}{'most':>7}{'all':>8}{'backend':>9}{'events':>8}"
    f"{'server':>7}{'people':>7}{'others':>7}{'work ms':>8}"
)


class Watch:
    """Takes stock every minute."""

    def __init__(self, server: Server, log: Path, place: Place, crowd: Crowd) -> None:
        self.server, self.log, self.place, self.crowd = server, log, place, crowd
        self.workers = workers_of(server)
        self.minutes: list[Minute] = []
        self._worked: list[float] = []
        self._read = 0
        self._last = self._clocks()

    async def take_stock(self) -> Minute:
        """What came since stock was taken last."""
        took, self.crowd.took = self.crowd.took, []
        worked, self._worked = self._worked, []
        last, self._last = self._last, self._clocks()
        walks, over, *cpu, whole = (now - then for now, then in zip(self._last, last, strict=True))
        happened = await asyncio.to_thread(self.place.events)
        self.look_at_log()
        resident = [memory(pid) for pid in workers_of(self.server)]
        return Minute(
            int(walks),
            took,
            over,
            resident,
            self.place.size(),
            happened,
            tuple(seconds / over for seconds in (*cpu, whole - sum(cpu))),
            statistics.mean(worked),
        )

    async def work(self) -> None:
        """Do the same again and again, a thousandth of the time."""
        while True:
            self._worked.append(same_work())
            await asyncio.sleep(2)

    def look_at_log(self) -> None:
        """Whatever is unusual is wrong."""
        with self.log.open("rb") as lines:
            lines.seek(self._read)
            whole, _, _ = lines.read().rpartition(b"\n")
        self._read += len(whole) + bool(whole)
        for said in unusual(whole.decode(errors="replace")):
            self.crowd.fault(f"the log says: {said}")

    def _clocks(self) -> tuple[float, ...]:
        cpu = (self.server.cpu(), time.process_time(), busy())
        return self.crowd.walks, time.perf_counter(), *cpu


def unusual(log: str) -> Iterator[str]:
    """What is more than information: a warning, an error with its traceback, a print."""
    for said in _SAID.split(log):
        first, *more = said.splitlines() or [""]
        if said and (more or not _USUAL.match(said)):
            yield " … ".join([first, *more[-1:]])[:300]


def workers_of(server: Server) -> list[int]:
    """The processes that answer: with several, the one that was started only starts them."""
    others = [pid for pid in server.pids() if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return others or [server.process.pid]


def busy() -> float:
    """Seconds of CPU that this machine has used, whoever did: all of the first line of /proc/stat but idle and iowait."""
    user, nice, system, _, _, *rest = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9])
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")


def same_work() -> float:
    """Milliseconds of CPU that what is always the same takes now."""
    begun, table = time.thread_time(), {}
    for number in range(20_000):
        table[number % 977] = str(number)
    return (time.thread_time() - begun) * 1000


# the run


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for."""

    minutes: int
    accounts: int
    people: int
    pause: float
    warm_up: float
    workers: int

    @property
    def needed(self) -> int:
        """Accounts that it takes for nobody to ask for a code too soon or too often, however fast the server answers."""
        rate = self.people / (REQUESTS * self.pause)
        seconds = self.minutes * 60 + self.warm_up
        return math.ceil(rate * max(REST, seconds / limits.CODES.most)) + self.people


async def soak(place: Place, folder: Path, options: Options) -> list[str]:
    """All that was wrong."""
    await seed(place.url, options.accounts)
    log, port = folder / "log", process.free_port()
    with process.running(*command(place.url, folder, port, options.workers), port, log, ROOT) as server:
        await answering(server, log)
        await storm(port, STORM)
        crowd = gathered(port, folder, options)
        watch = Watch(server, log, place, crowd)
        await watched(watch, options)
        crowd.proxy.close()
        if workers_of(server) != watch.workers:
            crowd.fault("a worker ended, and another one was started in its place")
    watch.look_at_log()
    crowd.postman.empty()
    await judge_records(place, crowd, options)
    judge_minutes(watch.minutes, crowd)
    return crowd.faults


async def seed(url: str, number_of_them: int) -> None:
    settings = Settings(public_url=ORIGIN, secret_keys=(SECRET,), backend=url, mail="", mail_from="")
    hashed, act = await passwords.hash(PASSWORD), Act(clock.now(), settings)

    async def accounts() -> AsyncIterator[Record]:
        for number in range(number_of_them):
            one = Owner(number, Browser(ORIGIN))
            account = identities.new(one.username, one.email, hashed, act.now)
            account, happened = events.seal(None, account, [Happened("account added")], act)
            yield account
            for event in happened:
                yield event

    await migrate(url)
    backend = await open_backend(url)
    await backend.load(accounts())
    await backend.close()


def command(backend: str, folder: Path, port: int, workers: int) -> tuple[list[str], dict[str, str]]:
    """What starts the server, and its environment."""
    return [sys.executable, "-m", "webapp", "serve", "--host", "127.0.0.1"], {
        "KEYSTEAD_PUBLIC_URL": ORIGIN,
        "KEYSTEAD_SECRET_KEYS": SECRET,
        "KEYSTEAD_BACKEND": backend,
        "KEYSTEAD_MAIL": f"outbox://{folder}/outbox",
        "KEYSTEAD_MAIL_FROM": "keystead@example.com",
        "KEYSTEAD_TRUSTED_PROXIES": "127.0.0.1",
        "WEB_CONCURRENCY": str(workers),
        "PORT": str(port),
    }


async def answering(server: Server, log: Path) -> None:
    """Return once every worker has started."""
    end = time.monotonic() + process.PATIENCE
    while time.monotonic() < end and server.process.poll() is None:
        started = _read(log).count("Application startup complete")
        if started >= len(workers_of(server)):
            return
        await asyncio.sleep(0.05)
    raise RuntimeError(f"the server did not start: {_read(log)[-3000:]}")


def _read(log: Path) -> str:
    return log.read_text()


def gathered(port: int, folder: Path, options: Options) -> Crowd:
    proxy = Proxy(port, options.people)
    return Crowd(proxy, Postman(folder / "outbox"), deque(owner(n, proxy) for n in range(options.accounts)), options.pause)


async def storm(port: int, seconds: float) -> None:
    """Wrong passwords, from ever new addresses over ever new connections."""
    end, numbers = time.monotonic() + seconds, count()

    async def attempts() -> None:
        while time.monotonic() < end:
            with closing(Connection(port)) as wire:
                number = next(numbers)
                browser = Browser(ORIGIN, f"172.16.{number >> 8}.{number & 255}", wire=wire)
                answer = await browser.post("/logon", {"username": f"nobody{number}", "password": "not the password"})
                if answer.status != 401:
                    raise Off(f"a wrong password gave {answer.status}")

    await asyncio.gather(*(attempts() for _ in range(16)))


async def watched(watch: Watch, options: Options) -> None:
    """People walk, and each minute is told; whoever is on the way at the end goes home."""
    print(HEAD, flush=True)
    async with asyncio.TaskGroup() as people:
        for _ in range(options.people):
            people.create_task(watch.crowd.person())
        worker = people.create_task(watch.work())
        begun = time.monotonic() + options.warm_up
        for number in range(options.minutes + 1):
            await asyncio.sleep(begun + number * 60 - time.monotonic())
            minute = await watch.take_stock()
            print(minute.row(number), flush=True)
            watch.minutes += [minute] if number else []
        watch.crowd.over = True
        worker.cancel()


# what must be


def judge_minutes(minutes: list[Minute], crowd: Crowd) -> None:
    """The last minute, by early ones."""
    first, early, last = minutes[0], minutes[min(STEADY_FROM, max(1, len(minutes) - 1)) - 1], minutes[-1]
    grown = sum(last.resident) / sum(early.resident)
    _judge(crowd, f"memory of the workers, by minute {minutes.index(early) + 1}", grown, GROWTH)
    _judge(crowd, f"CPU for a request ({first.cost:.1f} ms), by minute 1", last.cost / first.cost, COST)
    _judge(crowd, f"p99 ({first.p99:.0f} ms), by minute 1", last.p99 / first.p99, SLOWING)
    print(f"the machine needed {last.work / first.work:.3f} times as long as in minute 1 for what is always the same")


def _judge(crowd: Crowd, what: str, times: float, most: float) -> None:
    print(f"{what}: {times:.3f} times (at most {most})")
    if not times <= most:
        crowd.fault(f"{what}: {times:.3f} times")


async def judge_records(place: Place, crowd: Crowd, options: Options) -> None:
    """The backend holds what the walks leave, whole; and each mail has come once."""
    walked = sorted(each.walks for each in crowd.waiting)
    took_part = sum(walks > 0 for walks in walked)
    times = f"{walked[0]} to {walked[-1]} times"
    print(f"{crowd.walks:,} walks, {took_part:,} of {options.accounts:,} accounts took part, each {times}")
    if len(walked) < options.accounts:
        return  # a walk that broke off left what it left
    left, faults = await _left(place)
    left["mails"] = crowd.postman.mails
    due = {"accounts": options.accounts, "keys": 0, "sessions": 0, "codes": 0, "letters owed": 0}
    due |= {"events": options.accounts + EVENTS * crowd.walks, "mails": MAILS * crowd.walks}
    print("left: " + ", ".join(f"{number:,} {kind}" for kind, number in left.items()))
    for fault in [*faults, *(f"{left[kind]:,} {kind}, where {due[kind]:,} are due" for kind in due if left[kind] != due[kind])]:
        crowd.fault(fault)


async def _left(place: Place) -> tuple[dict[str, int], list[str]]:
    """What is there, of each kind; and what is not whole."""
    left = dict.fromkeys(("accounts", "keys", "sessions", "codes", "letters owed"), 0)
    backend = await open_backend(place.url)
    async for account in backend.accounts():
        parts = ((account,), account.keys, account.sessions, account.codes, account.notifications)
        left = {kind: left[kind] + len(part) for kind, part in zip(left, parts, strict=True)}
    faults = [fault async for fault in transfer.check(backend, Verifier((SECRET,)))]
    await backend.close()
    return left | {"events": place.events()}, faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=15)
    parser.add_argument("--accounts", type=int, help="5000, or 100 with MongoDB")
    parser.add_argument("--people", type=int, help="how many walk at a time; 16, or 4 with MongoDB")
    parser.add_argument("--pause", type=float, help="seconds between an answer and the next request; 0.07, or 0.2 with MongoDB")
    parser.add_argument("--mongodb", metavar="ADDRESS", help="of a MongoDB server to be used in the place of a file")
    parser.add_argument("--workers", type=int, default=4)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="keystead-soak-") as name:
        folder = Path(name)
        place = in_mongodb(asked.mongodb) if asked.mongodb else in_a_file(folder)
        options = Options(
            asked.minutes, asked.accounts or ACCOUNTS[place.name], asked.people or PEOPLE[place.name],
            asked.pause or PAUSE[place.name], WARM_UP[place.name], asked.workers,
        )  # fmt: skip
        if options.accounts < options.needed:
            parser.error(f"so many people need {options.needed} accounts, or limits would be hit")
        print(f"{place.name}, {options.workers} workers, {options.accounts:,} accounts, {options.people} people at a time")
        faults = asyncio.run(soak(place, folder, options))
    print(f"{len(faults)} things were wrong" if faults else "nothing was wrong")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

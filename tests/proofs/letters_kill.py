"""`kill -9` of the server while people do what they are told of by mail: nothing acknowledged is lost, and no letter.

    python -m tests.proofs.letters_kill [--rounds 100] [--people 4] [--backend file|mongodb]

Each round starts the real server on the same records, lets new people log on, bind a key, make recovery codes, change their
password and unbind the key, and kills it somewhere in between. The mail server answers slowly, so that kills fall between a
letter and its being struck off: such a letter is sent twice, and never more often. Then what is still owed is sent, as the next
server does once the leases of the killed one are over, and all is compared.
"""

import argparse
import asyncio
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import httpx2

from backends import migrate, open_backend, transfer
from backends.records import Event
from tests import mongo_server
from tests.browser.live_site import wait_for
from webapp import clock
from webapp.accounts import commits, identities, passwords
from webapp.accounts.context import Context
from webapp.accounts.events import Verifier
from webapp.metrics import Metrics
from webapp.notifications.mail import open_mailer
from webapp.notifications.sender import Sender
from webapp.settings import Settings
from webapp.testing.clock import Clock
from webapp.testing.mailbox import SmtpMailbox, address, free_port
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Unexpected, Visitor

T = TypeVar("T")

PASSWORD, ANOTHER = "correct horse battery staple", "seven brass keys in a row"
STEPS = 5
MAIL_TAKES = 0.1
"""Seconds before a letter is accepted, and before that is said, at the most; and between a step and the kill."""
LATER = timedelta(hours=2)
"""By then every lease is over and every pause too."""
TOLD = {
    "key bound": "A security key was bound to your account",
    "recovery codes made": "New recovery codes",
    "password changed": "Your password was changed",
    "key unbound": "A security key was unbound from your account",
}
"""The events that somebody is told of, and the subjects of the letters."""


class SlowMailbox(SmtpMailbox):
    """Takes its time before a letter is accepted, and before it says so."""

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        await asyncio.sleep(random.uniform(0, MAIL_TAKES))  # noqa: S311 - nothing secret
        said = await super().handle_DATA(server, session, envelope)
        await asyncio.sleep(random.uniform(0, MAIL_TAKES))  # noqa: S311 - nothing secret
        return said


@dataclass
class Person:
    """Somebody who walks until the server is gone; `acknowledged` are the events that they were told have happened."""

    username: str
    acknowledged: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def email(self) -> str:
        return f"{self.username}@example.com"

    def walk(self, url: str, mailbox: SmtpMailbox, over: threading.Event) -> None:
        try:
            with httpx2.Client(base_url=url, timeout=20, headers={"x-forwarded-for": _somewhere()}) as client:
                for kind in self._steps(Visitor(client, mailbox=mailbox, email=self.email)):
                    self.acknowledged.append(kind)
        except httpx2.TransportError:
            if not over.is_set():
                self.wrong.append("the server hung up before it was killed")
        except AssertionError as error:
            self.wrong.append(str(error))

    def _steps(self, visitor: Visitor) -> Iterator[str]:
        """Each event, once it is acknowledged."""
        key = StubKey()
        visitor.log_on(self.username, PASSWORD)
        yield "logged on"
        visitor.bind(key, self.username)
        yield "key bound"
        visitor.get("/account/recovery")
        _expect(visitor.submit("/account/recovery"), 200)
        yield "recovery codes made"
        visitor.get("/account/password")
        _expect(visitor.submit("/account/password", old=PASSWORD, new=ANOTHER), 303)
        yield "password changed"
        visitor.unbind(key)
        yield "key unbound"


def _expect(answer: httpx2.Response, status: int) -> None:
    if answer.status_code != status:
        raise Unexpected("not done", answer)


def _somewhere() -> str:
    return f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.{secrets.randbelow(256)}"


class Report(NamedTuple):
    """How many acknowledgements and letters there were, and how many letters were sent twice."""

    acknowledged: int
    letters: int
    twice: int


# the server that is killed


@dataclass
class Deployment:
    """Records, a mail server, and what `keystead serve` is started with."""

    folder: Path
    backend: str
    mailbox: SmtpMailbox
    environ: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        port = free_port()
        self.environ = os.environ | {
            "KEYSTEAD_PUBLIC_URL": f"http://localhost:{port}",
            "KEYSTEAD_SECRET_KEYS": secrets.token_urlsafe(32),
            "KEYSTEAD_BACKEND": self.backend,
            "KEYSTEAD_MAIL": self.mailbox.url,
            "KEYSTEAD_MAIL_FROM": "keystead@example.com",
            "KEYSTEAD_TRUSTED_PROXIES": "127.0.0.1",
            "PORT": str(port),
        }

    @property
    def settings(self) -> Settings:
        return Settings.from_environ(self.environ)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Killed in the end, however that comes."""
        command = [sys.executable, "-m", "webapp", "serve", "--host", "127.0.0.1"]
        with (self.folder / "log").open("a") as log:
            server = subprocess.Popen(command, env=self.environ, stdout=log, stderr=log, start_new_session=True)
        try:
            if not wait_for(self.settings.port, server):
                raise RuntimeError(f"the server did not start:\n{(self.folder / 'log').read_text()[-3000:]}")
            yield
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()

    def kill_one(self, people: list[Person]) -> None:
        """Let them walk, and kill the server in between."""
        over = threading.Event()
        walks = [threading.Thread(target=each.walk, args=(self.settings.public_url, self.mailbox, over)) for each in people]
        with self.serving():
            for walk in walks:
                walk.start()
            _wait_for_steps(people, walks)
            over.set()
        for walk in walks:
            walk.join()

    def round(self, people: list[Person], hashed: str) -> tuple[Report, list[str]]:
        """One kill, and the sending of what is owed then; what it came to, and what is wrong."""
        self.ask(partial(_add, people=people, hashed=hashed))
        self.kill_one(people)
        faults = self.ask(partial(_faults, people=people))
        self.ask(_send_what_is_owed)
        sent = self.ask(partial(_compared, people=people, mailbox=self.mailbox))
        faults += sent.faults + self.ask(partial(_faults, people=people))
        return Report(sum(len(each.acknowledged) for each in people), sent.times.total(), sent.times[2]), faults

    def ask(self, work: Callable[[Context], Awaitable[T]]) -> T:
        """What comes of it on these records, while no server runs."""

        async def asked() -> T:
            opened = await open_backend(self.backend)
            try:
                return await work(Context(self.settings, opened, Metrics()))
            finally:
                await opened.close()

        return asyncio.run(asked())


def _wait_for_steps(people: list[Person], walks: list[threading.Thread]) -> None:
    """For some of the steps that they could take, and a moment more. On a slow machine that is later than on a fast one."""
    enough = random.randrange(len(people) * STEPS)  # noqa: S311 - nothing secret
    while sum(len(each.acknowledged) for each in people) < enough and any(walk.is_alive() for walk in walks):
        time.sleep(0.002)
    time.sleep(random.uniform(0, MAIL_TAKES))  # noqa: S311 - nothing secret


# what must be


async def _add(ctx: Context, people: list[Person], hashed: str) -> None:
    for each in people:
        await commits.add(ctx, identities.new(each.username, each.email, hashed, clock.now()))


async def _faults(ctx: Context, people: list[Person]) -> list[str]:
    """What was acknowledged and is not there; and what is not whole."""
    found = [fault async for fault in transfer.check(ctx.backend, Verifier(ctx.settings.secret_keys))]
    for each in people:
        kinds = Counter(event.kind for event in await _events(ctx, each))
        found += [f"lost: {kind} of {each.username}" for kind in each.acknowledged if not kinds[kind]]
        found += [f"twice: {kind} of {each.username}" for kind in TOLD if kinds[kind] > 1]
        found += each.wrong
    return found


async def _events(ctx: Context, person: Person) -> list[Event]:
    account = await ctx.backend.account_named(person.username)
    return await ctx.backend.events_of(account.id, 100) if account else []


async def _send_what_is_owed(ctx: Context) -> None:
    """As the next server does, once the leases of those that were killed are over."""
    sender = Sender(ctx.settings, ctx.backend, open_mailer(ctx.settings), ctx.metrics)
    with Clock() as time_moved:
        time_moved.move(LATER)
        while await ctx.backend.owing(clock.now(), 1):
            await sender.look()
            await sender.settle()


@dataclass
class Sent:
    """How often each letter was sent that was owed: once or twice. `faults` are the others."""

    times: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    async def compare(self, ctx: Context, person: Person, subjects: Counter[str]) -> None:
        happened = {event.kind for event in await _events(ctx, person)}
        for kind, subject in TOLD.items():
            times = subjects[f"{ctx.settings.name}: {subject}"]
            self.times[times] += kind in happened
            if not (1 <= times <= 2 if kind in happened else times == 0):
                self.faults.append(
                    f"{times} letters to {person.username} of {kind}, which did{'' if kind in happened else ' not'} happen"
                )


async def _compared(ctx: Context, people: list[Person], mailbox: SmtpMailbox) -> Sent:
    subjects: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for mail in mailbox.mails():
        subjects[address(mail)][str(mail["subject"])] += 1
    sent = Sent()
    for each in people:
        await sent.compare(ctx, each, subjects[each.email])
    return sent


def run(rounds: int, people: int, folder: Path, backend: str) -> Report:
    """What so many kills came to. AssertionError if anything was lost, is not whole, or was sent too often."""
    hashed, total = asyncio.run(passwords.hash(PASSWORD)), Report(0, 0, 0)
    asyncio.run(migrate(backend))
    with SlowMailbox() as mailbox:
        deployment = Deployment(folder, backend, mailbox)
        for number in range(rounds):
            report, faults = deployment.round([Person(f"person-{number}-{each}") for each in range(people)], hashed)
            assert not faults, f"round {number}: {faults[:10]}"
            total = Report(*map(sum, zip(total, report, strict=True)))
    return total


@contextmanager
def records(kind: str, folder: Path) -> Iterator[str]:
    """The address of an empty backend of this kind."""
    if kind == "file":
        yield (folder / "keystead.db").as_uri()
    else:
        with mongo_server.running() as server:
            yield mongo_server.database(server)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--backend", choices=["file", "mongodb"], default="file")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, records(asked.backend, Path(name)) as backend:
        report = run(asked.rounds, asked.people, Path(name), backend)
    sys.stdout.write(
        f"{asked.rounds} kills, {report.acknowledged:,} acknowledged steps: none lost. "
        f"{report.letters:,} letters: none lost, {report.twice} sent twice, none more often. The check is clean.\n"
    )


if __name__ == "__main__":
    main()

"""A store, a post office, senders on both, and a clock that moves when it is told to."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.file import FileBackend
from backends.protocol import Backend
from backends.records import Account
from tests import untranslated
from tests.accounts.samples import NOW, account, settings
from tests.notifications import post
from tests.notifications.post import Post
from webapp import clock
from webapp.accounts import commits
from webapp.accounts.context import Context
from webapp.accounts.decision import Operation
from webapp.metrics import Metrics
from webapp.notifications import sender
from webapp.notifications.mail import Mailer, open_mailer
from webapp.notifications.sender import Sender


@pytest.fixture(scope="session", autouse=True)
def everything_is_translated() -> Iterator[None]:
    """Whatever these tests have written."""
    with untranslated.found():
        yield


class Time:
    """What the clock says; it stands still by itself."""

    def __init__(self) -> None:
        self.now: datetime = NOW

    def move(self, by: timedelta) -> None:
        self.now += by


class Counting(Metrics):
    """Metrics, as far as letters go."""

    def __init__(self) -> None:
        self.letters: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()

    def letter(self, kind: str, outcome: str) -> None:
        self.letters[outcome] += 1

    def code_sent(self, purpose: str, outcome: str) -> None:
        self.codes[outcome] += 1


@dataclass
class Process:
    """One process of the server: its backend, its sender, and what an operation is carried out with in it."""

    ctx: Context
    sender: Sender
    metrics: Counting

    async def change(self, operation: Operation[...], *args: Any, **kwargs: Any) -> Account:
        return await commits.change(self.ctx, await self.account(), operation, *args, **kwargs)

    async def account(self) -> Account:
        found = await self.ctx.backend.account("alices-id")
        assert found
        return found

    async def look(self) -> None:
        """Look for what is due, and see to it."""
        await self.sender.look()
        await self.sender.settle()

    async def events(self) -> list[str]:
        return [f"{each.kind}: {each.detail}" for each in await self.ctx.backend.events_of("alices-id", 100)]


Start = Callable[..., Any]


@pytest.fixture(autouse=True)
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(clock, "source", lambda: made.now)
    monkeypatch.setattr(sender, "AGAIN_IN", (0.01, 0.01, 0.01, 0.01))
    return made


@pytest.fixture
async def mail_server() -> AsyncIterator[Post]:
    async with post.opened() as server:
        yield server


@pytest.fixture
async def start(tmp_path: Path, mail_server: Post) -> AsyncIterator[Start]:
    """Starts one more process on the same store and the same post office."""
    async with AsyncExitStack() as stack:

        async def started(mailer: Mailer | None = None, wrap: Callable[[Backend], Any] = lambda backend: backend) -> Process:
            given, metrics = settings(mail=mail_server.url), Counting()
            await FileBackend.migrate(f"file://{tmp_path}/keystead.db")
            backend = await FileBackend.open(f"file://{tmp_path}/keystead.db")
            stack.push_async_callback(backend.close)
            sending = Sender(given, wrap(backend), mailer or open_mailer(given), metrics)
            stack.push_async_callback(sending.close)
            ctx = Context(given, backend, metrics, address="192.0.2.1", browser="Firefox 156 on Linux", owes=sending.owes)
            return Process(ctx, sending, metrics)

        yield started


@pytest.fixture
async def process(start: Start) -> Process:
    """A process, and Alice's account in its store."""
    started: Process = await start()
    await commits.add(started.ctx, account())
    return started


def quiet(process: Process) -> Context:
    """As the process, but that nobody sends at once what becomes due."""
    return replace(process.ctx, owes=lambda account, notifications: None)

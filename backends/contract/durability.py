"""A proof that acknowledged means durable: `kill -9` falls on two writing processes, and whatever they were told must be there.

    python -m backends.contract.durability URL [--rounds 20] [--people 16]

Each person commits one version of an account after another, each with an event, a key bound and a key unbound; what is asked
and what is acknowledged is noted outside. After each kill an account must be at a version from the last acknowledged to the last
asked, whole: its record, events and name, its key taken, and the keys that it does not hold free. What a round stored is removed.

It does not prove that an acknowledged commit survives a loss of power: the system still writes what a killed process gave it.
That needs fsync, and a disk that keeps its word. Nor does it kill a server: whoever has one kills it while `write` runs, and asks
the `Ledger` afterwards.
"""

import argparse
import asyncio
import contextlib
import os
import random
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from backends import open_backend
from backends.contract.samples import account, after, key
from backends.protocol import Backend, KeyTaken, Unavailable, UsernameTaken
from backends.records import Account, Event, SecurityKey

EVERY = 1_000_000
KILL_AFTER = (0.05, 0.5)
"""Seconds, from the first line of a writing process."""

Note = Callable[[str, str, int], None]
"""Given `asked` or `acknowledged`, whose account, and its version."""


class Lost(Exception):
    """The backend did not keep what it acknowledged, or kept a part of something; the text says what."""


def _key(owner: str, version: int) -> SecurityKey:
    id = f"{owner}.{version}".encode()
    return key(id, name=f"Key {version}", public_key=id * 20)


def first(owner: str) -> Account:
    return account(owner, keys=(_key(owner, 1),))


def following(was: Account) -> tuple[Account, list[Event]]:
    """The next version: one key more, the last but one less, and an event."""
    version = was.version + 1
    return after(was, f"version {version}", keys=(*was.keys[-1:], _key(was.id, version)))


def expected(owner: str, version: int) -> tuple[Account, list[Event]]:
    """The account at this version, and all its events."""
    now, every = first(owner), list[Event]()
    while now.version < version:
        now, events = following(now)
        every += events
    return now, every


async def write(backend: Backend, owner: str, note: Note, over: asyncio.Event) -> None:
    """Commit one version after another until it is over; again from what is there, when the backend did not answer."""
    while not over.is_set():
        try:
            was = await backend.account(owner)
            if was is None:
                return
            now, events = following(was)
            note("asked", owner, now.version)
            if await backend.commit(was, now, events):
                note("acknowledged", owner, now.version)
        except Unavailable:
            await asyncio.sleep(0.01)


@dataclass
class Ledger:
    """What was asked and what was acknowledged, and whether a backend agrees."""

    asked: dict[str, int] = field(default_factory=dict)
    acknowledged: dict[str, int] = field(default_factory=dict)
    commits: int = 0

    @classmethod
    async def begun(cls, backend: Backend, people: int) -> "Ledger":
        """A ledger of so many new accounts."""
        ledger, run = cls(), secrets.token_hex(4)
        for number in range(people):
            owner = f"{run}-{number}"
            await backend.add(first(owner))
            ledger.asked[owner] = ledger.acknowledged[owner] = 1
        return ledger

    def note(self, what: str, owner: str, version: int) -> None:
        (self.acknowledged if what == "acknowledged" else self.asked)[owner] = version
        self.commits += what == "acknowledged"

    async def faults(self, backend: Backend) -> list[str]:
        """In plain words, what was lost, came back, or is there in part."""
        return [f"{owner}: {fault}" for owner in self.asked for fault in await self._faults(backend, owner)]

    async def _faults(self, backend: Backend, owner: str) -> list[str]:
        found = await backend.account(owner)
        if found is None:
            return ["the account is lost"]
        least, most = self.acknowledged[owner], self.asked[owner]
        if not least <= found.version <= most:
            return [f"version {found.version} is there, but {least} was acknowledged and {most} asked"]
        now, events = expected(owner, found.version)
        faults = {
            "the record is not the one that was committed": found != now,
            "the events are not those that were committed": await backend.events_of(owner, EVERY) != events,
            "the account is not found by its name": await backend.account_named(owner) != found,
            "its key can be bound a second time": await _free(backend, owner, [found.version]),
            "a key that it does not hold is taken": not await _free(backend, owner, [found.version - 2, found.version + 1]),
        }
        return [fault for fault, is_so in faults.items() if is_so]

    async def clear(self, backend: Backend) -> None:
        """Remove the accounts."""
        for owner in self.asked:
            found = await backend.account(owner)
            if found is None or not await backend.remove(found):
                raise Lost(f"{owner}: the account cannot be removed")


async def _free(backend: Backend, owner: str, versions: Sequence[int]) -> bool:
    """Whether another account could bind the keys of these versions."""
    other = account(f"{owner} another", keys=tuple(_key(owner, version) for version in versions))
    try:
        await backend.add(other)
    except KeyTaken:
        return False
    except UsernameTaken as taken:
        raise Lost(f"{owner}: an account that was removed is still there") from taken
    await backend.remove(other)
    return True


# the processes that are killed


async def _work(url: str, owners: Sequence[str]) -> None:
    backend, over = await open_backend(url), asyncio.Event()

    def note(what: str, owner: str, version: int) -> None:
        os.write(1, f"{what} {owner} {version}\n".encode())

    await asyncio.gather(*(write(backend, owner, note, over) for owner in owners))


async def _killed(url: str, owners: Sequence[str], note: Note) -> None:
    """Let a process write for these accounts, kill it, and note what it said until then."""
    command = [sys.executable, "-m", "backends.contract.durability", "--work", url, *owners]
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    if child.stdout is None or not (said := await child.stdout.readline()):
        raise RuntimeError("the writing process did not begin")
    timer = asyncio.get_running_loop().call_later(random.uniform(*KILL_AFTER), child.kill)  # noqa: S311 - nothing secret
    said += (await child.communicate())[0]
    timer.cancel()
    if child.returncode != -signal.SIGKILL:
        raise RuntimeError("the writing process ended by itself")
    for line in said.decode().split("\n")[:-1]:  # behind the last end of a line is half a line
        what, owner, version = line.split()
        note(what, owner, int(version))


async def round_of_kills(url: str, people: int) -> int:
    """Two processes write and are killed; how many commits had been acknowledged. Lost, if what is opened then does not agree."""
    async with _opened(url) as backend:
        ledger = await Ledger.begun(backend, people)
    owners = list(ledger.asked)
    await asyncio.gather(*(_killed(url, some, ledger.note) for some in (owners[::2], owners[1::2])))
    async with _opened(url) as backend:
        if faults := await ledger.faults(backend):
            raise Lost("\n".join(faults))
        await ledger.clear(backend)
    return ledger.commits


@contextlib.asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Backend]:
    backend = await open_backend(url)
    try:
        yield backend
    finally:
        await backend.close()


async def prove(url: str, rounds: int = 20, people: int = 16) -> int:
    """How many acknowledged commits survived so many rounds of kills. Lost, if one did not."""
    return sum([await round_of_kills(url, people) for _ in range(rounds)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--people", type=int, default=16)
    asked = parser.parse_args()
    commits = asyncio.run(prove(asked.url, asked.rounds, asked.people))
    sys.stdout.write(f"{2 * asked.rounds} kills, {commits:,} acknowledged commits: none lost, none in part.\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        asyncio.run(_work(sys.argv[2], sys.argv[3:]))
    else:
        main()

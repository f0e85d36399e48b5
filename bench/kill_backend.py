"""People bind and unbind while `kill -9` falls: what was acknowledged must be there, and nothing may be half there.

    python bench/kill_backend.py file  [--rounds 200] [--people 16]     two processes on one file are killed
    python bench/kill_backend.py mongo [--rounds 200] [--people 16]     the database is killed and started again

Each person writes down what is about to be asked and what was answered. After each kill, what the backend holds is compared
with that: an answered bind is there whole, an answered unbind is not, an unanswered one may be either. Events must be a
chain without gaps in which each acknowledged one is found once. In the end the whole backend is checked.
"""

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from backends import moving, open_backend
from backends.protocol import Backend, Unavailable
from backends.records import Event, SecurityKey
from backends.specimens import account, key, sealed
from tests.mongo_server import MongoServer

Note = Callable[[str, str], None]


def bound_key(id: str, owner: str) -> SecurityKey:
    return key(id.encode(), owner, name=f"The key {id}", public_key=id.encode() * 20)


def genuine(last: Event | None, event: Event) -> bool:
    return event.mac == str(last.seq if last else 0).encode()


async def person(backend: Backend, owner: str, note: Note, over: asyncio.Event) -> None:
    """Bind, put it down as an event, and unbind two of three, until it is over."""
    turn = 0
    while not over.is_set():
        turn += 1
        id = f"{owner}.{turn}"
        try:
            note("binding", id)
            await backend.add_key(bound_key(id, owner))
            note("bound", id)
            await backend.add_event(owner, sealed(id, owner))
            note("noted", id)
            if turn % 3:
                note("unbinding", id)
                # False, if the server was killed between the removal and its answer: it is not there, either way.
                await backend.remove_key(owner, id.encode())
                note("unbound", id)
        except Unavailable:
            await asyncio.sleep(0.01)


class Notes:
    """What was asked and what was answered, of one round."""

    def __init__(self) -> None:
        self.last: dict[str, str] = {}
        self.noted: set[str] = set()
        self.answers = 0

    def note(self, what: str, id: str) -> None:
        if what == "noted":
            self.noted.add(id)
        else:
            self.last[id] = what
        self.answers += what in ("bound", "noted", "unbound")

    async def faults(self, backend: Backend, owners: list[str]) -> list[str]:
        found: list[str] = []
        for owner in owners:
            there = {each.id.decode(): each for each in await backend.keys_of(owner)}
            mine = {id: what for id, what in self.last.items() if id.rpartition(".")[0] == owner}
            found += [f"lost: {id}" for id, what in mine.items() if what == "bound" and id not in there]
            found += [f"came back: {id}" for id, what in mine.items() if what == "unbound" and id in there]
            found += [f"nobody's or half: {id}" for id, each in there.items() if each != bound_key(id, owner) or id not in mine]
            events = await backend.events_of(owner, 100_000)
            details = [event.detail for event in events]
            found += [f"gap: {owner}"] * ([event.seq for event in events] != list(range(1, len(events) + 1)))
            found += [f"event lost: {id}" for id in self.noted if id.rpartition(".")[0] == owner and id not in details]
            found += [f"event twice: {owner}"] * (len(set(details)) != len(details))
        return found


# the file: two processes that are killed


async def work(url: str, owners: list[str]) -> None:
    backend = await open_backend(url)

    def note(what: str, id: str) -> None:
        os.write(1, f"{what} {id}\n".encode())

    await asyncio.gather(*(person(backend, owner, note, asyncio.Event()) for owner in owners))


def killed_workers(url: str, owners: list[str]) -> Notes:
    half = len(owners) // 2
    workers = [
        subprocess.Popen([sys.executable, __file__, "--work", url, *some], stdout=subprocess.PIPE)
        for some in (owners[:half], owners[half:])
    ]
    notes = Notes()
    for worker in workers:
        assert worker.stdout is not None
        notes.note(*worker.stdout.readline().decode().split())  # it has begun
        threading.Timer(random.uniform(0.05, 0.5), worker.kill).start()
    for worker in workers:
        assert worker.stdout is not None
        for line in worker.stdout.read().splitlines(keepends=True):
            if line.endswith(b"\n"):
                notes.note(*line.decode().split())
        worker.stdout.close()
        worker.wait()
    return notes


async def file_rounds(rounds: int, people: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        url = f"file://{directory}/keystead.db"
        answers = 0
        for round in range(rounds):
            owners = await begin(url, round, people)
            notes = await asyncio.to_thread(killed_workers, url, owners)
            backend = await open_backend(url)
            await judge(notes, backend, owners, round)
            answers += notes.answers
            await backend.close()
        backend = await open_backend(url)
        await finish(backend, rounds, answers)
        await backend.close()


async def begin(url: str, round: int, people: int) -> list[str]:
    backend = await open_backend(url)
    owners = await people_of(backend, round, people)
    await backend.close()
    return owners


# the database: it is killed, and started again


async def mongo_rounds(rounds: int, people: int) -> None:
    server = MongoServer().start()
    backend = await open_backend(server.url("timeoutMS=4000"))
    answers = 0
    try:
        for round in range(rounds):
            owners = await people_of(backend, round, people)
            notes, over = Notes(), asyncio.Event()
            tasks = [asyncio.create_task(person(backend, owner, notes.note, over)) for owner in owners]
            await asyncio.sleep(random.uniform(0.05, 0.5))
            server.kill()
            await asyncio.to_thread(server.start)
            await until_ready(backend)
            over.set()
            await asyncio.gather(*tasks)
            await judge(notes, backend, owners, round)
            answers += notes.answers
        await finish(backend, rounds, answers)
        await backend.close()
    finally:
        server.stop()


async def until_ready(backend: Backend) -> None:
    while True:
        try:
            return await backend.ready()
        except Unavailable:
            await asyncio.sleep(0.05)


# both


async def people_of(backend: Backend, round: int, people: int) -> list[str]:
    owners = [f"r{round}p{number}" for number in range(people)]
    for owner in owners:
        await backend.add_account(account(owner))
    return owners


async def judge(notes: Notes, backend: Backend, owners: list[str], round: int) -> None:
    found = await notes.faults(backend, owners)
    assert not found, found[:10]
    if round % 20 == 19:
        print(f"round {round + 1}: nothing lost, nothing half", flush=True)


async def finish(backend: Backend, rounds: int, answers: int) -> None:
    faults = [fault async for fault in moving.check(backend, genuine)]
    assert not faults, faults[:10]
    print(f"{rounds} kills, {answers:,} acknowledged writes: none lost, no half record, the check is clean")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backend", choices=["file", "mongo"])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--people", type=int, default=16)
    asked = parser.parse_args()
    began = time.monotonic()
    rounds = {"file": file_rounds, "mongo": mongo_rounds}[asked.backend]
    asyncio.run(rounds(asked.rounds, asked.people))
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        asyncio.run(work(sys.argv[2], sys.argv[3:]))
    else:
        main()

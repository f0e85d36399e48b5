"""What each request costs, and what that comes to for ten thousand, a million and a hundred million accounts.

    python -m bench.scaling measure --mongodb ADDRESS [--rounds 30]   keeps the figures in bench/scaling.json, writes the tables
    python -m bench.scaling tables                                    writes the tables of docs/scaling.md from what was kept
    python -m bench.scaling count --mongodb ADDRESS                   tells what requests ask of the backend, as JSON

CPU is that of a real server process (all its threads, by the kernel's own account), medians over the rounds. The queries of the
backend are counted by our own metrics, its commits by the backend, MongoDB's operations by its driver. What follows an answer
(letters that are sent and struck off) belongs to it. `python -m tests.mongo_server` serves an ADDRESS.
"""

import argparse
import asyncio
import json
import math
import platform
import re
import statistics
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import httpx2
import pymongo.monitoring

from backends import migrate, open_backend
from backends.contract.samples import account, event, key, session
from backends.file import FileBackend
from backends.records import Account, ChainLink, Event, Record
from bench.start import memory, serving
from webapp import clock
from webapp.accounts import apps, identities, passwords
from webapp.metrics import Counted
from webapp.testing.mailbox import Outbox
from webapp.testing.site import Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import U2F, Visitor

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "bench" / "scaling.json"
PAGE = ROOT / "docs" / "scaling.md"
N = TypeVar("N", int, float)

PASSWORD = "correct horse battery staple"
METRICS = "r7vQm2Lx9TdKpWn4ZsBc6HgYj8FaUe3o"
RECORDS = 5_000
REST = 0.02
"""Seconds in which a process does nothing more of what it was asked."""
WHERE: dict[str, Any] = {"address": "192.0.2.123", "browser": "Firefox on Windows"}

VISIT = {
    "GET /logon": 1,
    "POST /logon, key owed": 1,
    "GET /logon/key": 1,
    "POST /logon/key/begin": 1,
    "POST /logon/key/finish": 1,
    "GET /account": 2,
    "GET /account/security": 1,
}
"""What somebody does who logs on with a key and looks around."""
ACCOUNTS = (10_000, 1_000_000, 100_000_000)
LOGONS_A_DAY = 1.0
PEAK = 0.2
"""The share of a day's logons that falls into its busiest hour."""
USED = 0.5
"""The share of the processors' time that is used in that hour."""
EVENTS_A_LOGON = 2
KEYS, SESSIONS, SEEN_EVENTS = 1.5, 1.5, 50
"""What an account holds: keys, sessions, and events before the year that is counted."""


class Cost(NamedTuple):
    """What one request asks of the backend."""

    reads: int
    writes: int
    operations: int


def walk(visitor: Visitor, username: str, code: Callable[[], str]) -> Iterator[str]:
    """Somebody's first and second visit, one request at a time; what it was is told after it was answered."""
    security_key = StubKey()
    yield from _get(visitor, "/logon")
    visitor.submit("/logon", username=username, password="wrong horse battery staple")
    yield "POST /logon, wrong"
    visitor.submit("/logon", username=username, password=PASSWORD)
    yield "POST /logon, no key owed"
    for path in ("/account", "/account/security", U2F):
        yield from _get(visitor, path)
    visitor.send_code()
    yield f"POST {U2F}/code"
    visitor.get(U2F)
    yield "again"
    visitor.verify(code())
    yield f"POST {U2F}/verify"
    visitor.get(U2F)
    yield "again"
    visitor.begin_bind("Blue key")
    yield f"POST {U2F}/bind/begin"
    visitor.finish_bind(security_key)
    yield f"POST {U2F}/bind/finish"
    yield from _get(visitor, f"{U2F}/dialog?since={time.time_ns() // 1_000_000 + 60_000}", f"GET {U2F}/dialog")
    yield from _get(visitor, "/account/sessions")
    yield from _get(visitor, "/account/activity")
    visitor.get("/account")
    yield "again"
    visitor.log_off()
    yield "POST /logoff"
    visitor.get("/logon")
    yield "again"
    visitor.submit("/logon", username=username, password=PASSWORD)
    yield "POST /logon, key owed"
    yield from _get(visitor, "/logon/key")
    visitor.begin_key()
    yield "POST /logon/key/begin"
    answer = visitor.finish_key(security_key)
    assert answer.status_code == 303, answer.text
    yield "POST /logon/key/finish"
    visitor.confirm_unbind(security_key.slug)
    yield f"GET {U2F}/keys/{{key}}/unbind"
    answer = visitor.finish_unbind(security_key.slug)
    assert answer.status_code == 303, answer.text
    yield f"POST {U2F}/keys/{{key}}/unbind"


def _get(visitor: Visitor, path: str, name: str = "") -> Iterator[str]:
    assert visitor.get(path).status_code in (200, 204), path
    yield name or f"GET {path}"


# what a request asks of the backend


def costs(mongodb: str) -> dict[str, Cost]:
    """For each request of a walk: queries that only read, commits, and operations of the MongoDB server at this address."""
    operations = _Operations()
    pymongo.monitoring.register(operations)
    with tempfile.TemporaryDirectory() as name:
        folder, database = Path(name), f"{mongodb.rstrip('/')}/scaling_{uuid.uuid4().hex[:12]}"
        asked = _counted(folder / "queries", _queries)
        wrote = _counted(folder / "commits", _commits)
        done = _counted(folder / "operations", lambda site: operations.count, backend=database)
    return {step: Cost(reads=asked[step] - wrote[step], writes=wrote[step], operations=done[step]) for step in asked}


def _counted(folder: Path, count: Callable[[Site], int], **changes: Any) -> dict[str, int]:
    apps.LOOK_EVERY = 3600.0  # what a process reads by itself now and then is no cost of a request
    with running(folder, metrics=METRICS, **changes) as site:
        person = site.add_account("scaling")
        steps = walk(site.visitor(person), person.username, lambda: site.mailbox.code(person.email))
        return _each(steps, lambda: _settled(site, count))


def _settled(site: Site, count: Callable[[Site], int]) -> int:
    site.call(site.state["sender"].settle)
    return count(site)


def _each(steps: Iterator[str], count: Callable[[], N]) -> dict[str, N]:
    """How much each step adds to what is counted."""
    found, before = {}, count()
    for name in steps:
        after = count()
        if name != "again":
            found[name] = after - before
        before = count()
    return found


def _queries(site: Site) -> int:
    counted: Counted = site.state["metrics"]
    return sum(map(int, re.findall(rb"^keystead_backend_seconds_count\{.*\} (\d+)\.0$", counted.text(), re.MULTILINE)))


def _commits(site: Site) -> int:
    timed: Any = site.backend
    assert isinstance(timed._backend, FileBackend)
    return timed._backend.commits


class _Operations(pymongo.monitoring.CommandListener):
    """Counts what the driver sends, but for its own greetings."""

    def __init__(self) -> None:
        self.count = 0

    def started(self, event: pymongo.monitoring.CommandStartedEvent) -> None:
        self.count += event.command_name not in ("hello", "ismaster", "ping", "endSessions", "saslStart", "saslContinue")

    def succeeded(self, event: pymongo.monitoring.CommandSucceededEvent) -> None:
        """Counted already."""

    def failed(self, event: pymongo.monitoring.CommandFailedEvent) -> None:
        """Counted already."""


# what a request costs the processor


def cpu(rounds: int) -> tuple[dict[str, float], float]:
    """Milliseconds of CPU of the server for each request of a walk, and the memory of a worker in MB."""
    taken: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name, serving(Path(name)) as (port, worker, _):
        folder, mailbox = Path(name), Outbox(Path(name) / "outbox")
        for number in range(rounds):
            person = f"person-{number}"
            asyncio.run(_add((folder / "keystead.db").as_uri(), person))
            with httpx2.Client(base_url=f"http://localhost:{port}") as client:
                visitor = Visitor(client)
                steps = walk(visitor, person, partial(mailbox.code, f"{person}@example.com"))
                for step, milliseconds in _each(steps, lambda: _used(worker)).items():
                    taken[step].append(milliseconds)
        return {step: statistics.median(each) for step, each in taken.items()}, memory(worker)


async def _add(url: str, username: str) -> None:
    backend = await open_backend(url)
    hashed = await passwords.hash(PASSWORD)
    await backend.add(identities.new(username, f"{username}@example.com", hashed, clock.now()))
    await backend.close()


def _used(process: int) -> float:
    """Milliseconds of CPU that the threads of a process have had, once they rest."""
    before, now = -1.0, _now(process)
    while now != before:
        time.sleep(REST)
        before, now = now, _now(process)
    return now


def _now(process: int) -> float:
    """To the nanosecond, where /proc/PID/stat counts in ticks."""
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{process}/task").glob("*/schedstat")) / 1e6


# what is kept


def sizes() -> dict[str, float]:
    """Bytes of the file for an account, and for each thing more that belongs to it."""
    bare = _size(lambda id: [_account(id)])
    return {
        "account": bare,
        "key": _size(lambda id: [_account(id, keys=(key(id.encode() * 3, public_key=bytes(77)),))]) - bare,
        "session": _size(lambda id: [_account(id, sessions=(session(id, token_hash=id.encode() * 2, **WHERE),))]) - bare,
        "event": _size(lambda id: [_account(id), _event(id)]) - bare,
    }


def _account(id: str, **changes: Any) -> Account:
    hashed = "$argon2id$v=19$m=19456,t=2,p=1$" + "x" * 66
    return account(id, password_hash=hashed, head=ChainLink(seq=1, mac=bytes(36)), seal=bytes(36), **changes)


def _event(id: str) -> Event:
    return event(id, detail="Blue key", kind="logged on", mac=bytes(36), state=bytes(32), **WHERE)


def _size(make: Callable[[str], list[Record]]) -> float:
    """What the records of one account take, of many."""
    return asyncio.run(_measured(record for number in range(RECORDS) for record in make(f"{number:022}")))


async def _measured(records: Iterable[Record]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "keystead.db"
        await migrate(file.as_uri())
        backend = await open_backend(file.as_uri())
        empty = await _checkpointed(backend, file)
        await backend.load(_streamed(records))
        size = await _checkpointed(backend, file)
        await backend.close()
        return (size - empty) / RECORDS


async def _streamed(records: Iterable[Record]) -> AsyncIterator[Record]:
    for record in records:
        yield record


async def _checkpointed(backend: Any, file: Path) -> int:
    backend._reader.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return _bytes_of(file)


def _bytes_of(file: Path) -> int:
    return file.stat().st_size


# what that comes to


_HEADS = (
    "accounts", "visits a second", "processes", "their memory", "writes a second", "MongoDB operations a second",
    "records", "events a year",
)  # fmt: skip


def tables(figures: dict[str, Any]) -> tuple[str, str]:
    """Both tables, as they stand in docs/scaling.md."""
    return _of_requests(figures), _of_deployments(figures)


def _visit(figures: dict[str, Any]) -> dict[str, float]:
    """What a whole visit costs."""
    requests = figures["requests"]
    return {what: sum(requests[name][what] * times for name, times in VISIT.items()) for what in ("cpu", *Cost._fields)}


def _of_requests(figures: dict[str, Any]) -> str:
    lines = ["| request | CPU | reads | writes | MongoDB operations |", "|---|---:|---:|---:|---:|"]
    for name, cost in figures["requests"].items():
        lines.append(f"| `{name}` | {cost['cpu']:.1f} ms | {cost['reads']} | {cost['writes']} | {cost['operations']} |")
    visit = _visit(figures)
    lines.append(f"| **a visit** | {visit['cpu']:.0f} ms | {visit['reads']} | {visit['writes']} | {visit['operations']} |")
    return "\n".join(lines) + "\n"


def _of_deployments(figures: dict[str, Any]) -> str:
    visit, kept = _visit(figures), figures["bytes"]
    lines = [f"| {' | '.join(_HEADS)} |", f"|{'---:|' * len(_HEADS)}"]
    for accounts in ACCOUNTS:
        rate = accounts * LOGONS_A_DAY * PEAK / 3600
        processes = max(2, math.ceil(rate * visit["cpu"] / 1000 / USED))
        records = accounts * (kept["account"] + KEYS * kept["key"] + SESSIONS * kept["session"] + SEEN_EVENTS * kept["event"])
        events = accounts * LOGONS_A_DAY * 365 * EVENTS_A_LOGON * kept["event"]
        cells = (
            f"{accounts:,}", _rounded(rate), _rounded(processes), _size_of(processes * figures["worker_mb"] * 1e6),
            _rounded(rate * visit["writes"]), _rounded(rate * visit["operations"]), _size_of(records), _size_of(events),
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _rounded(number: float) -> str:
    """To two digits: more would be a claim that the assumptions do not bear."""
    digits = 1 - math.floor(math.log10(number))
    rounded = round(number, digits)
    return f"{rounded:,.0f}" if rounded == int(rounded) else f"{rounded:,.{max(0, digits)}f}"


def _size_of(size: float) -> str:
    for unit, factor in (("TB", 1e12), ("GB", 1e9)):
        if size >= factor:
            return f"{_rounded(size / factor)} {unit}"
    return f"{_rounded(size / 1e6)} MB"


def measure(rounds: int, mongodb: str) -> dict[str, Any]:
    asked = costs(mongodb)
    milliseconds, worker = cpu(rounds)
    requests = {name: {"cpu": round(milliseconds[name], 2), **cost._asdict()} for name, cost in asked.items()}
    return {
        "rounds": rounds,
        "python": platform.python_version(),
        "worker_mb": round(worker),
        "bytes": {kind: round(size) for kind, size in sizes().items()},
        "requests": requests,
    }


def write(figures: dict[str, Any]) -> None:
    """Put the tables into their places in the page."""
    text = PAGE.read_text()
    for heads, table in zip(("request | CPU", "accounts | visits"), tables(figures), strict=True):
        text = re.sub(rf"^\| {re.escape(heads)}.*\n(?:\|.*\n)+", table.replace("\\", "\\\\"), text, flags=re.MULTILINE)
    PAGE.write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["measure", "tables", "count"])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--mongodb", metavar="ADDRESS", default="mongodb://127.0.0.1/")
    asked = parser.parse_args()
    if asked.what == "count":
        print(json.dumps({name: cost._asdict() for name, cost in costs(asked.mongodb).items()}))
        return
    if asked.what == "measure":
        FIGURES.write_text(json.dumps(measure(asked.rounds, asked.mongodb), indent=1) + "\n")
    figures = json.loads(FIGURES.read_text())
    write(figures)
    print("\n".join(tables(figures)))


if __name__ == "__main__":
    main()

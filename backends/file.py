"""Records in one SQLite file, for one machine and any number of processes on it.

Reads and writes run on the event loop's own thread: an indexed read takes 9 µs, a hop to a thread and back 87. What waits for
the disk does not: a thread commits what was asked at the same time in one transaction, so that concurrent requests share one
fsync. A result never leaves before the commit that makes it durable, and no caller ever sees `database is locked`.
"""

import asyncio
import contextlib
import heapq
import sqlite3
from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Self, TypeVar

import msgspec

from backends import group_commit, sqlite_file
from backends.group_commit import Query
from backends.protocol import (
    MAX_NAME,
    Damaged,
    KeyTaken,
    NotEmpty,
    OnDamaged,
    Unavailable,
    UsernameTaken,
    credentials,
    due_at,
    fold,
    readable,
    refuse,
)  # fmt: skip
from backends.records import Account, Attempts, Event, Record
from backends.sqlite_file import File
from backends.sqlite_schema import from_milliseconds, milliseconds

T = TypeVar("T")

PAGE = 100
"""How many records are read or loaded before others have their turn on the event loop."""
_LAST = 2**63 - 1

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Account).decode

# As bytes: of text that is none any more, SQLite's words would repeat all of it.
_ONE = "SELECT id, CAST(document AS BLOB) FROM accounts WHERE id = ?"
# One statement for every name. Two accounts of an address are enough to know that it is not one's own.
_NAMED = """SELECT 1, id, CAST(document AS BLOB) FROM accounts WHERE folded_username = :name
    UNION ALL SELECT 0, id, CAST(document AS BLOB) FROM
    (SELECT id, document FROM accounts WHERE folded_email = :name LIMIT 2)"""
_PAGE = """SELECT id, CAST(document AS BLOB), folded_username FROM accounts
    WHERE folded_username > ? ORDER BY folded_username LIMIT ?"""
_OWING = "SELECT id, CAST(document AS BLOB) FROM accounts WHERE due_at <= ? ORDER BY due_at"
_ALL = "SELECT id, CAST(document AS BLOB) FROM accounts ORDER BY id"
_EVENTS_OF = """SELECT account_id, seq, kind, at, address, browser, detail, mac, state FROM events
    WHERE account_id = ? AND seq < ? ORDER BY seq DESC LIMIT ?"""
_ALL_EVENTS = "SELECT account_id, seq, kind, at, address, browser, detail, mac, state FROM events ORDER BY account_id, seq"

_ADD = "INSERT INTO accounts (version, due_at, document, folded_username, folded_email, id) VALUES (?, ?, ?, ?, ?, ?)"
_UPDATE = "UPDATE accounts SET version = ?, due_at = ?, document = ? WHERE id = ? AND version = ?"
_RENAME = """UPDATE accounts SET version = ?, due_at = ?, document = ?, folded_username = ?, folded_email = ?
    WHERE id = ? AND version = ?"""
_REMOVE = "DELETE FROM accounts WHERE id = ? AND version = ?"
_BIND = "INSERT INTO credentials (id, account_id, rp_id) VALUES (?, ?, ?)"
_UNBIND = "DELETE FROM credentials WHERE id = ? AND account_id = ?"
_APPEND = """INSERT INTO events (account_id, seq, kind, at, address, browser, detail, mac, state)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_APPEND_IF = """INSERT INTO events (account_id, seq, kind, at, address, browser, detail, mac, state)
    SELECT ?, ?, ?, ?, ?, ?, ?, ?, ? FROM accounts WHERE id = ? AND version = ?"""
_FORGET = "DELETE FROM events WHERE account_id = ? AND seq <= ?"

_ATTEMPTS = "SELECT count, resets_at FROM attempts WHERE bucket = :bucket AND resets_at > :now"
_COUNT = """INSERT INTO attempts (bucket, count, resets_at) VALUES (:bucket, :cost, :end)
    ON CONFLICT (bucket) DO UPDATE SET
        count = CASE WHEN resets_at > :now THEN count + :cost ELSE :cost END,
        resets_at = CASE WHEN resets_at > :now THEN resets_at ELSE :end END
    RETURNING count, resets_at"""
_TAKE_BACK = """UPDATE attempts SET count = max(0, count + :cost) WHERE bucket = :bucket AND resets_at > :now
    RETURNING count, resets_at"""


class FileBackend:
    """Records in one SQLite file. Make it with `open`."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._reader = file.connect()
        self._writer = group_commit.Writer(file)

    @classmethod
    async def open(cls, url: str) -> Self:
        """The backend in the file at `file:///absolute.db` or `file:relative.db`, which `migrate` has made.

        IncompatibleStore if there is none, if it is another program's file, or of another schema than this version's; Unavailable
        if it cannot be opened now.
        """
        path = sqlite_file.path(url)
        with sqlite_file.or_unavailable(path):
            sqlite_file.prepare(path)
            return cls(File.opened(path))

    @classmethod
    async def migrate(cls, url: str) -> list[str]:
        """Bring the file to this version's schema, making it if there is none; the names of the steps that were missing."""
        path = sqlite_file.path(url)
        with sqlite_file.or_unavailable(path):
            return sqlite_file.prepare(path, migrate=True)

    @property
    def commits(self) -> int:
        """How many transactions this process has committed so far: fewer than its writes, when they share them."""
        return self._writer.commits

    async def close(self) -> None:
        await self._writer.close()
        self._reader.close()

    # accounts

    async def add(self, account: Account, events: Sequence[Event] = ()) -> None:
        await self._run(_add(account, events))

    async def account(self, account_id: str) -> Account | None:
        return next(map(self._decoded, self._read(_ONE, (account_id,))), None)

    async def account_named(self, name: str) -> Account | None:
        if len(name) > MAX_NAME:
            return None
        found = self._read(_NAMED, {"name": fold(name)})
        rows = [row for named, *row in found if named] or [row for _, *row in found]
        return self._decoded(rows[0]) if len(rows) == 1 else None

    async def accounts(self, after: str = "", *, damaged: OnDamaged = refuse) -> AsyncIterator[Account]:
        last = fold(after)
        while page := self._read(_PAGE, (last, PAGE)):
            for account in readable(page, self._decoded, damaged):
                yield account
            last = page[-1][-1]
            await asyncio.sleep(0)

    async def commit(self, was: Account, now: Account, events: Sequence[Event] = ()) -> bool:
        return await self._run(_commit(was, now, events))

    async def remove(self, account: Account) -> bool:
        return await self._run(_remove(account))

    async def owing(self, now: datetime, limit: int, *, damaged: OnDamaged = refuse) -> list[Account]:
        self._must_be_open()
        # No wait may be in this block: an open statement would keep what was read from going.
        with self._file.or_unavailable(), contextlib.closing(self._reader.execute(_OWING, (milliseconds(now),))) as due:
            return list(islice(readable(due, self._decoded, damaged), limit))

    async def size(self) -> int:
        return int(self._read("SELECT coalesce(max(rowid), 0) FROM accounts")[0][0])  # to count them would be to read them all

    async def rp_ids(self) -> list[str]:
        return [row[0] for row in self._read("SELECT rp_id FROM rp_ids ORDER BY rp_id")]

    async def events_of(self, account_id: str, limit: int, before: int | None = None) -> list[Event]:
        newest_first = self._read(_EVENTS_OF, (account_id, _LAST if before is None else before, limit))
        return [_event(row) for row in reversed(newest_first)]

    # attempts

    async def count_attempt(self, bucket: str, now: datetime, window: timedelta, cost: int = 1) -> Attempts:
        values = {"bucket": bucket, "now": milliseconds(now), "end": milliseconds(now + window), "cost": cost}
        if cost == 0:
            rows = self._read(_ATTEMPTS, values)
        else:
            rows = await self._rows(_COUNT if cost > 0 else _TAKE_BACK, values)
        return Attempts(count=rows[0][0], resets_at=from_milliseconds(rows[0][1])) if rows else Attempts(count=0, resets_at=now)

    async def forget_attempts(self, bucket: str) -> None:
        await self._rows("DELETE FROM attempts WHERE bucket = ?", (bucket,))

    async def purge(self, now: datetime) -> int:
        statement, values = "DELETE FROM attempts WHERE resets_at <= ?", (milliseconds(now),)
        return await self._writer.run(lambda db: db.execute(statement, values).rowcount, long=True)

    # the whole

    async def ready(self) -> None:
        self._read("PRAGMA schema_version")
        self._file.check()

    async def engine_time(self) -> None:
        return None

    async def dump(self, *, damaged: OnDamaged = refuse) -> AsyncIterator[Record]:
        # One read transaction of its own: a dump of a file in use is of one moment.
        with self._connection() as db:
            db.execute("BEGIN")
            records = self._in_order(db, damaged)
            while page := list(islice(records, PAGE)):
                for record in page:
                    yield record
                await asyncio.sleep(0)

    async def load(self, records: AsyncIterable[Record]) -> int:
        # One transaction: an interrupted load leaves an empty file. SQLite spills it to disk, so memory stays flat.
        with self._connection() as db:
            db.execute("PRAGMA cache_size = -16384")
            sqlite_file.begin(db)
            if _any(db):
                raise NotEmpty(f"{self._file.path} holds records already.")
            loaded = 0
            async for page in _pages(records):
                _load(db, page)
                loaded += len(page)
            db.execute("COMMIT")
            self._file.check()
            return loaded

    # queries

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """One of its own, for what takes long."""
        with self._file.or_unavailable(), contextlib.closing(self._file.connect()) as db:
            self._file.check()
            yield db

    def _read(self, statement: str, values: Any = ()) -> list[Any]:
        self._must_be_open()
        with self._file.or_unavailable():
            return self._reader.execute(statement, values).fetchall()

    def _must_be_open(self) -> None:
        if self._writer.closed:
            raise Unavailable(f"{self._file.path} is closed.")

    def _decoded(self, row: Sequence[Any]) -> Account:
        """By the row's id and document; Damaged."""
        try:
            return _decode(row[1])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            text = f"The row {row[0]} of {self._file.path} is no record as it stands: {error}."
            raise Damaged(text, row[0]) from None

    def _in_order(self, db: sqlite3.Connection, damaged: OnDamaged) -> Iterator[Record]:
        """Accounts by id, each with its events behind it. SQLite orders text as Python does, which is as its UTF-8 bytes."""
        left_out = set[str]()

        def leave_out(found: Damaged) -> None:
            damaged(found)
            left_out.add(found.account_id)

        accounts: Iterator[Record] = readable(db.execute(_ALL), self._decoded, leave_out)
        events: Iterator[Record] = (_event(row) for row in db.execute(_ALL_EVENTS))
        return (each for each in heapq.merge(accounts, events, key=_place) if _place(each)[0] not in left_out)

    def _run(self, query: Query[T]) -> Coroutine[Any, Any, T]:
        return self._writer.run(query)

    def _rows(self, statement: str, values: Any) -> Coroutine[Any, Any, list[Any]]:
        return self._run(lambda db: db.execute(statement, values).fetchall())


# how records lie in their tables


def _values(account: Account) -> tuple[int, int | None, str]:
    due = due_at(account)
    return account.version, None if due is None else milliseconds(due), _encode(account).decode()


def _names(account: Account) -> tuple[str, str]:
    return fold(account.username), fold(account.email)


def _row(account: Account) -> tuple[Any, ...]:
    return *_values(account), *_names(account), account.id


def _bound(account: Account) -> list[tuple[bytes, str, str]]:
    """Its rows among the credentials; KeyTaken if it has two of one id."""
    domains = credentials(account)
    if len(domains) != len(account.keys):
        raise KeyTaken
    return [(id, account.id, rp_id) for id, rp_id in domains.items()]


def _line(event: Event) -> tuple[Any, ...]:
    return (
        event.account_id, event.seq, event.kind, milliseconds(event.at),
        event.address, event.browser, event.detail, event.mac, event.state,
    )  # fmt: skip


def _event(row: Sequence[Any]) -> Event:
    account_id, seq, kind, at, address, browser, detail, mac, state = row
    return Event(
        account_id=account_id, seq=seq, kind=kind, at=from_milliseconds(at),
        address=address, browser=browser, detail=detail, mac=mac, state=state,
    )  # fmt: skip


# what is written in one transaction, all of it or nothing


def _add(account: Account, events: Sequence[Event]) -> Query[None]:
    row, bound, lines = _row(account), _bound(account), [_line(event) for event in events]

    def add(db: sqlite3.Connection) -> None:
        with sqlite_file.or_taken(UsernameTaken(account.username)):
            db.execute(_ADD, row)
        with sqlite_file.or_taken(KeyTaken()):
            db.executemany(_BIND, bound)
        db.executemany(_APPEND, lines)

    return group_commit.all_or_nothing(add)


def _commit(was: Account, now: Account, events: Sequence[Event]) -> Query[bool]:
    """Of a usual commit nothing can fail but its first statement: then it needs no savepoint."""
    lines = [_line(event) for event in events]
    update, new = _update(was, now)
    unbound, bound = _rebound(was, now)
    forget = now.checkpoint.seq > was.checkpoint.seq

    def commit(db: sqlite3.Connection) -> bool:
        if lines and db.execute(_APPEND_IF, (*lines[0], was.id, was.version)).rowcount != 1:
            return False
        with sqlite_file.or_taken(UsernameTaken(now.username)):
            if db.execute(update, (*new, was.id, was.version)).rowcount != 1:
                return False
        if unbound or bound:
            _rebind(db, unbound, bound)
        if lines[1:]:
            db.executemany(_APPEND, lines[1:])
        if forget:
            db.execute(_FORGET, (now.id, now.checkpoint.seq))
        return True

    return group_commit.all_or_nothing(commit) if lines[1:] or bound or update is _RENAME else commit


def _update(was: Account, now: Account) -> tuple[str, tuple[Any, ...]]:
    """The statement and its values. Names that stay as they are leave their indexes alone."""
    if (was.username, was.email) == (now.username, now.email):
        return _UPDATE, _values(now)
    return _RENAME, (*_values(now), *_names(now))


def _rebound(was: Account, now: Account) -> tuple[list[tuple[bytes, str]], list[tuple[bytes, str, str]]]:
    """The rows of credentials that a commit takes away, and those that it brings."""
    if [(key.id, key.rp_id) for key in was.keys] == [(key.id, key.rp_id) for key in now.keys]:
        return [], []
    before, after = _bound(was), _bound(now)
    return [row[:2] for row in before if row not in after], [row for row in after if row not in before]


def _rebind(db: sqlite3.Connection, unbound: list[tuple[bytes, str]], bound: list[tuple[bytes, str, str]]) -> None:
    db.executemany(_UNBIND, unbound)
    with sqlite_file.or_taken(KeyTaken()):
        db.executemany(_BIND, bound)


def _remove(account: Account) -> Query[bool]:
    def remove(db: sqlite3.Connection) -> bool:
        if db.execute(_REMOVE, (account.id, account.version)).rowcount != 1:
            return False
        db.executemany(_UNBIND, [(key.id, account.id) for key in account.keys])
        db.execute(_FORGET, (account.id, _LAST))
        return True

    return remove


# dumps and loads


def _place(record: Record) -> tuple[str, int]:
    return (record.id, 0) if isinstance(record, Account) else (record.account_id, record.seq)


def _any(db: sqlite3.Connection) -> bool:
    return bool(db.execute("SELECT EXISTS (SELECT 1 FROM accounts) OR EXISTS (SELECT 1 FROM events)").fetchone()[0])


def _load(db: sqlite3.Connection, records: list[Record]) -> None:
    accounts = [record for record in records if isinstance(record, Account)]
    with sqlite_file.or_taken(UsernameTaken()):
        db.executemany(_ADD, map(_row, accounts))
    with sqlite_file.or_taken(KeyTaken()):
        db.executemany(_BIND, [row for account in accounts for row in _bound(account)])
    db.executemany(_APPEND, (_line(record) for record in records if isinstance(record, Event)))


async def _pages(records: AsyncIterable[Record]) -> AsyncIterator[list[Record]]:
    page: list[Record] = []
    async for record in records:
        page.append(record)
        if len(page) >= PAGE:
            yield page
            page = []
    yield page

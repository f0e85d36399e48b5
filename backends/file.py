"""Records in one SQLite file, for one machine and any number of processes on it.

Reads and writes run on the event loop's own thread: an indexed read takes 9 µs, a hop to a thread and back 87. What waits for
the disk does not: a thread commits what was asked at the same time in one transaction, so that concurrent requests share one
fsync. An answer never leaves before the commit that makes it durable, and no caller ever sees `database is locked`.
"""

# ruff: noqa: S608  (what is put into these statements are our own names of tables and columns, never a value)

import contextlib
import json
import sqlite3
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from backends import group_commit, sqlite_file
from backends.group_commit import Question
from backends.kinds import (
    ACCOUNTS,
    CODES,
    EVENTS,
    KEYS,
    KINDS,
    RECOVERY_CODES,
    SESSIONS,
    SPENT,
    Codec,
    Form,
    Kind,
    R,
    from_milliseconds,
    kind_of,
    milliseconds,
)
from backends.protocol import AlreadySpent, CounterBehind, KeyTaken, NotEmpty, Seal, Unavailable, UsernameTaken, fold
from backends.records import Account, Attempts, Bearer, Event, Record, RecoveryCode, SecurityKey, Session, Use, VerificationCode

T = TypeVar("T")

PAGE = 500

CODEC = Codec(
    to={Form.TIME: milliseconds, Form.FLAG: int, Form.TEXTS: json.dumps},
    back={Form.TIME: from_milliseconds, Form.FLAG: bool, Form.TEXTS: lambda text: tuple(json.loads(text))},
)


@dataclass(frozen=True, slots=True)
class _Table(Generic[R]):
    """How a kind lies in its table: the order of a dump, and the columns that are there only to be searched."""

    kind: Kind[R]
    order: str
    derived: dict[str, Callable[[R], str]] = field(default_factory=dict)

    def select(self, rest: str) -> str:
        return f"SELECT {', '.join(self.kind.fields)} FROM {self.kind.name} {rest}"

    def insert(self, conflict: str = "") -> str:
        columns = (*self.kind.fields, *self.derived)
        return f"INSERT {conflict} INTO {self.kind.name} ({', '.join(columns)}) VALUES ({', '.join(f':{c}' for c in columns)})"

    def values(self, record: R) -> dict[str, Any]:
        return CODEC.values(record) | {column: derive(record) for column, derive in self.derived.items()}

    def record(self, row: Sequence[Any] | None) -> R | None:
        return None if row is None else CODEC.record(self.kind, row)

    def records(self, rows: Sequence[Sequence[Any]]) -> list[R]:
        return [CODEC.record(self.kind, row) for row in rows]


def _all_of(alias: str, kind: Kind[Any]) -> str:
    return ", ".join(f"{alias}.{name}" for name in kind.fields)


def _split(row: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
    """The fields of the session, the account and the key."""
    account = len(SESSIONS.fields)
    key = account + len(ACCOUNTS.fields)
    return row[:account], row[account:key], row[key:]


_ACCOUNTS = _Table(ACCOUNTS, "created_at, id", {"folded": lambda account: fold(account.username)})
_KEYS = _Table(KEYS, "account_id, bound_at, id")
_RECOVERY_CODES = _Table(RECOVERY_CODES, "place")
_EVENTS = _Table(EVENTS, "account_id, seq")
_SESSIONS = _Table(SESSIONS, "account_id, begun_at, id")
_CODES = _Table(CODES, "account_id, purpose")
_SPENT = _Table(SPENT, "id")
_TABLES: dict[str, _Table[Any]] = {
    table.kind.name: table for table in (_ACCOUNTS, _KEYS, _RECOVERY_CODES, _EVENTS, _SESSIONS, _CODES, _SPENT)
}

_ACCOUNT_NOW = ", ".join(f"{name} = :{name}" for name in ACCOUNTS.fields)
_ACCOUNT_WAS = " AND ".join(f"{name} IS :was_{name}" for name in ACCOUNTS.fields)
_STEP_UP = f"""UPDATE sessions SET {", ".join(f"{name} = :{name}" for name in SESSIONS.fields)}
    WHERE id = :id AND token_hash = :was_token_hash"""
_USE = """UPDATE keys SET sign_count = :count, used_at = :at
    WHERE id = :id AND (sign_count < :count OR (sign_count = 0 AND :count = 0))"""
_SPEND = "INSERT OR IGNORE INTO spent (id, expires_at) VALUES (?, ?)"
_BEARER = f"""SELECT {_all_of("s", SESSIONS)}, {_all_of("a", ACCOUNTS)}, {_all_of("k", KEYS)}
    FROM sessions s JOIN accounts a ON a.id = s.account_id LEFT JOIN keys k ON k.account_id = a.id
    WHERE s.token_hash = ? AND s.expires_at > ? ORDER BY k.bound_at, k.id"""
_NEWEST = _EVENTS.select("WHERE account_id = ? ORDER BY seq DESC LIMIT 1")


class FileBackend:
    """Records in one SQLite file. Make it with `open`."""

    def __init__(self, path: Path, reader: sqlite3.Connection) -> None:
        self._path = path
        self._reader = reader
        self._file = sqlite_file.inode(path)
        self._writer = group_commit.Writer(path)

    @classmethod
    async def open(cls, url: str) -> Self:
        """The backend in the file at `file:///absolute.db` or `file:relative.db`, which is made if there is none.

        NotOurs if it is another program's file, or of another schema than this version's; Unavailable if it cannot be
        opened now.
        """
        path = sqlite_file.path(url)
        with sqlite_file.telling(path):
            sqlite_file.prepare(path)
            return cls(path, sqlite_file.connect(path))

    @classmethod
    async def migrate(cls, url: str) -> list[str]:
        """Bring the file to this version's schema, making it if there is none; the names of the steps that were missing."""
        path = sqlite_file.path(url)
        with sqlite_file.telling(path):
            return sqlite_file.prepare(path, migrate=True)

    @property
    def commits(self) -> int:
        """How many transactions this process has committed so far: fewer than its writes, when they share them."""
        return self._writer.commits

    async def close(self) -> None:
        await self._writer.close()
        self._reader.close()

    # accounts

    async def add_account(self, account: Account) -> None:
        with sqlite_file.or_taken(UsernameTaken(account.username)):
            await self._ask(_add(_ACCOUNTS, account))

    async def account(self, account_id: str) -> Account | None:
        return self._one(_ACCOUNTS, "WHERE id = ?", account_id)

    async def account_named(self, username: str) -> Account | None:
        return self._one(_ACCOUNTS, "WHERE folded = ?", fold(username))

    async def accounts(self) -> AsyncIterator[Account]:
        after: tuple[int, str] = (-(2**63), "")
        while page := self._all(_ACCOUNTS, f"WHERE (created_at, id) > (?, ?) ORDER BY created_at, id LIMIT {PAGE}", *after):
            for account in page:
                yield account
            after = (milliseconds(page[-1].created_at), page[-1].id)

    async def record_account(self, was: Account, now: Account) -> bool:
        before = {f"was_{name}": value for name, value in CODEC.values(was).items()}
        return await self._did(f"UPDATE accounts SET {_ACCOUNT_NOW} WHERE {_ACCOUNT_WAS}", CODEC.values(now) | before)

    # verification codes

    async def put_code(self, code: VerificationCode) -> None:
        await self._ask(_add(_CODES, code, "OR REPLACE"))

    async def code(self, account_id: str, purpose: str, now: datetime) -> VerificationCode | None:
        return self._one(
            _CODES, "WHERE account_id = ? AND purpose = ? AND expires_at > ?", account_id, purpose, milliseconds(now)
        )

    async def spend_try(self, account_id: str, purpose: str, now: datetime) -> VerificationCode | None:
        statement = f"""UPDATE codes SET tries_left = tries_left - 1
            WHERE account_id = ? AND purpose = ? AND expires_at > ? AND tries_left > 0 RETURNING {", ".join(CODES.fields)}"""
        rows = await self._rows(statement, (account_id, purpose, milliseconds(now)))
        return next(iter(_CODES.records(rows)), None)

    async def take_code(self, account_id: str, purpose: str, digest: bytes) -> bool:
        statement = "DELETE FROM codes WHERE account_id = ? AND purpose = ? AND digest = ?"
        return await self._did(statement, (account_id, purpose, digest))

    async def record_sent(self, account_id: str, purpose: str, digest: bytes, at: datetime) -> bool:
        sent = milliseconds(at)
        statement = "UPDATE codes SET sent_at = ? WHERE account_id = ? AND purpose = ? AND digest = ? AND expires_at > ?"
        return await self._did(statement, (sent, account_id, purpose, digest, sent))

    # security keys

    async def add_key(self, key: SecurityKey) -> None:
        with sqlite_file.or_taken(KeyTaken()):
            await self._ask(_add(_KEYS, key))

    async def keys_of(self, account_id: str) -> list[SecurityKey]:
        return self._all(_KEYS, "WHERE account_id = ? ORDER BY bound_at, id", account_id)

    async def record_use(self, use: Use) -> None:
        await self._ask(_use(use))

    async def rp_ids(self) -> list[str]:
        return [row[0] for row in self._read("SELECT rp_id FROM rp_ids ORDER BY rp_id")]

    async def rename_key(self, account_id: str, key_id: bytes, name: str) -> bool:
        return await self._did("UPDATE keys SET name = ? WHERE id = ? AND account_id = ?", (name, key_id, account_id))

    async def remove_key(self, account_id: str, key_id: bytes) -> bool:
        return await self._did("DELETE FROM keys WHERE id = ? AND account_id = ?", (key_id, account_id))

    # sessions

    async def put_session(self, session: Session) -> None:
        await self._ask(_add(_SESSIONS, session, "OR REPLACE"))

    async def session(self, token_hash: bytes, now: datetime) -> Session | None:
        return self._one(_SESSIONS, "WHERE token_hash = ? AND expires_at > ?", token_hash, milliseconds(now))

    async def bearer(self, token_hash: bytes, now: datetime) -> Bearer | None:
        rows = self._read(_BEARER, (token_hash, milliseconds(now)))
        if not rows:
            return None
        session, account, _ = _split(rows[0])
        keys = [key for *_, key in map(_split, rows) if key[0] is not None]
        return Bearer(session=CODEC.record(SESSIONS, session), account=CODEC.record(ACCOUNTS, account), keys=_KEYS.records(keys))

    async def sessions_of(self, account_id: str, now: datetime) -> list[Session]:
        rest = "WHERE account_id = ? AND expires_at > ? ORDER BY begun_at, id"
        return self._all(_SESSIONS, rest, account_id, milliseconds(now))

    async def record_session(self, token_hash: bytes, session: Session) -> bool:
        return await self._did(_STEP_UP, CODEC.values(session) | {"was_token_hash": token_hash})

    async def record_logon(self, token_hash: bytes, session: Session, seal: Seal, use: Use | None = None) -> Event | None:
        values = CODEC.values(session) | {"was_token_hash": token_hash}
        use_key = _use(use) if use else None

        def log_on(db: sqlite3.Connection) -> Event | None:
            event = _next(db, session.account_id, seal)  # first, because it may fail while nothing is changed yet
            if use_key:
                use_key(db)
            if db.execute(_STEP_UP, values).rowcount != 1:
                return None
            db.execute(_EVENTS.insert(), _EVENTS.values(event))
            return event

        return await self._ask(log_on)

    async def record_seen(self, token_hash: bytes, at: datetime, expires_at: datetime) -> bool:
        seen = milliseconds(at)
        statement = "UPDATE sessions SET seen_at = ?, expires_at = ? WHERE token_hash = ? AND expires_at > ?"
        return await self._did(statement, (seen, milliseconds(expires_at), token_hash, seen))

    async def remove_session(self, account_id: str, session_id: str) -> bool:
        return await self._did("DELETE FROM sessions WHERE id = ? AND account_id = ?", (session_id, account_id))

    async def remove_sessions_of(self, account_id: str, keep: str | None = None) -> int:
        return await self._count("DELETE FROM sessions WHERE account_id = ? AND id IS NOT ?", (account_id, keep))

    # what works once

    async def spend_once(self, id: str, expires_at: datetime) -> bool:
        return await self._did(_SPEND, (id, milliseconds(expires_at)))

    # recovery codes

    async def put_recovery_codes(self, account_id: str, digests: list[bytes], at: datetime) -> None:
        codes = [_RECOVERY_CODES.values(RecoveryCode(account_id=account_id, digest=digest, made_at=at)) for digest in digests]

        def replace(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM recovery_codes WHERE account_id = ?", (account_id,))
            db.executemany(_RECOVERY_CODES.insert(), codes)

        await self._ask(group_commit.all_or_nothing(replace))

    async def recovery_codes_of(self, account_id: str) -> list[RecoveryCode]:
        return self._all(_RECOVERY_CODES, "WHERE account_id = ? ORDER BY place", account_id)

    async def spend_recovery_code(self, account_id: str, digest: bytes, at: datetime) -> bool:
        statement = "UPDATE recovery_codes SET spent_at = ? WHERE account_id = ? AND digest = ? AND spent_at IS NULL"
        return await self._did(statement, (milliseconds(at), account_id, digest))

    # attempts

    async def count_attempt(self, bucket: str, now: datetime, window: timedelta, cost: int = 1) -> Attempts:
        values = {"bucket": bucket, "now": milliseconds(now), "end": milliseconds(now + window), "cost": cost}
        if cost > 0:
            rows = await self._rows(_COUNT, values)
        elif cost < 0:
            rows = await self._rows(_TAKE_BACK, values)
        else:
            rows = self._read("SELECT count, resets_at FROM attempts WHERE bucket = :bucket AND resets_at > :now", values)
        return Attempts(count=rows[0][0], resets_at=from_milliseconds(rows[0][1])) if rows else Attempts(count=0, resets_at=now)

    async def forget_attempts(self, bucket: str) -> None:
        await self._count("DELETE FROM attempts WHERE bucket = ?", (bucket,))

    # events

    async def add_event(self, account_id: str, seal: Seal) -> Event:
        def append(db: sqlite3.Connection) -> Event:
            event = _next(db, account_id, seal)
            db.execute(_EVENTS.insert(), _EVENTS.values(event))
            return event

        return await self._ask(append)

    async def events_of(self, account_id: str, limit: int, before: int | None = None) -> list[Event]:
        rest = "WHERE account_id = ? AND seq < ? ORDER BY seq DESC LIMIT ?"
        newest_first = self._all(_EVENTS, rest, account_id, 2**63 - 1 if before is None else before, limit)
        return newest_first[::-1]

    # the whole

    async def ready(self) -> None:
        self._read("PRAGMA schema_version")
        if sqlite_file.inode(self._path) != self._file:
            raise Unavailable(f"{self._path} was moved or removed while it was in use.")

    async def engine_time(self) -> None:
        return None

    async def sweep(self, now: datetime) -> int:
        ends = {"codes": "expires_at", "sessions": "expires_at", "spent": "expires_at", "attempts": "resets_at"}
        swept = 0
        for table, end in ends.items():
            swept += await self._writer.ask(_sweep(table, end, milliseconds(now)), long=True)
        return swept

    async def dump(self) -> AsyncIterator[Record]:
        # One read transaction of its own: a dump of a file in use is of one moment.
        with sqlite_file.telling(self._path), contextlib.closing(sqlite_file.connect(self._path)) as db:
            db.execute("BEGIN")
            for kind in KINDS:
                table = _TABLES[kind.name]
                rows = db.execute(table.select(f"ORDER BY {table.order}"))
                while page := rows.fetchmany(PAGE):
                    for record in table.records(page):
                        yield record

    async def load(self, records: AsyncIterable[Record]) -> int:
        # One transaction: an interrupted load leaves an empty file. SQLite spills it to disk, so memory stays flat.
        with sqlite_file.telling(self._path), contextlib.closing(sqlite_file.connect(self._path)) as db:
            db.execute("PRAGMA cache_size = -16384")
            sqlite_file.begin(db)
            if any(db.execute(f"SELECT EXISTS (SELECT 1 FROM {kind.name})").fetchone()[0] for kind in KINDS):
                raise NotEmpty(f"{self._path} holds records already.")
            loaded = 0
            async for page in _pages(records):
                for kind in KINDS:
                    _insert(db, kind, [record for record in page if kind_of(record) is kind])
                loaded += len(page)
            db.execute("COMMIT")
            return loaded

    # asking

    def _read(self, statement: str, values: Any = ()) -> list[Any]:
        if self._writer.closed:
            raise Unavailable(f"{self._path} is closed.")
        with sqlite_file.telling(self._path):
            return self._reader.execute(statement, values).fetchall()

    def _one(self, table: _Table[R], rest: str, *values: Any) -> R | None:
        return next(iter(self._all(table, rest, *values)), None)

    def _all(self, table: _Table[R], rest: str, *values: Any) -> list[R]:
        return table.records(self._read(table.select(rest), values))

    def _ask(self, question: Question[T]) -> Coroutine[Any, Any, T]:
        return self._writer.ask(question)

    def _rows(self, statement: str, values: Any) -> Coroutine[Any, Any, list[Any]]:
        return self._ask(lambda db: db.execute(statement, values).fetchall())

    def _count(self, statement: str, values: Any) -> Coroutine[Any, Any, int]:
        return self._ask(lambda db: db.execute(statement, values).rowcount)

    async def _did(self, statement: str, values: Any) -> bool:
        return await self._count(statement, values) == 1


_COUNT = """INSERT INTO attempts (bucket, count, resets_at) VALUES (:bucket, :cost, :end)
    ON CONFLICT (bucket) DO UPDATE SET
        count = CASE WHEN resets_at > :now THEN count + :cost ELSE :cost END,
        resets_at = CASE WHEN resets_at > :now THEN resets_at ELSE :end END
    RETURNING count, resets_at"""
_TAKE_BACK = """UPDATE attempts SET count = max(0, count + :cost) WHERE bucket = :bucket AND resets_at > :now
    RETURNING count, resets_at"""


def _sweep(table: str, end: str, now: int) -> Question[int]:
    return lambda db: db.execute(f"DELETE FROM {table} WHERE {end} <= ?", (now,)).rowcount


def _use(use: Use) -> Question[None]:
    """What it changes before it fails is meant to stay: a ceremony is spent whatever comes of it."""
    spend = (use.ceremony.id, milliseconds(use.ceremony.expires_at))
    values = {"id": use.key_id, "count": use.sign_count, "at": milliseconds(use.at)}

    def ask(db: sqlite3.Connection) -> None:
        if db.execute(_SPEND, spend).rowcount != 1:
            raise AlreadySpent
        if db.execute(_USE, values).rowcount != 1:
            raise CounterBehind

    return ask


def _next(db: sqlite3.Connection, account_id: str, seal: Seal) -> Event:
    return seal(_EVENTS.record(db.execute(_NEWEST, (account_id,)).fetchone()))


def _add(table: _Table[R], record: R, conflict: str = "") -> Question[None]:
    statement, values = table.insert(conflict), table.values(record)

    def add(db: sqlite3.Connection) -> None:
        db.execute(statement, values)

    return add


def _insert(db: sqlite3.Connection, kind: Kind[Any], records: list[Record]) -> None:
    table = _TABLES[kind.name]
    db.executemany(table.insert(), map(table.values, records))


async def _pages(records: AsyncIterable[Record]) -> AsyncIterator[list[Record]]:
    page: list[Record] = []
    async for record in records:
        page.append(record)
        if len(page) >= PAGE:
            yield page
            page = []
    yield page

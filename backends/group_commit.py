"""Group commit: every query that is made at the same time goes into one transaction, and shares its fsync.

With one fsync for a whole batch, durability costs each of 64 concurrent writes 24 µs where a commit of its own costs 138.
The statements run where they were asked, as reads do: each takes some 10 µs, and two threads that pass Python's lock to and
fro for each of them cost several times that. Only what waits for the disk or for another process, the commit and the lock,
is left to a thread. A result never leaves before its commit, and the failure of one query never undoes another's.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from backends import sqlite_file
from backends.protocol import Unavailable
from backends.sqlite_file import File

T = TypeVar("T")
Query = Callable[[sqlite3.Connection], T]

BATCH = 256
"""The most queries in one commit: a bound on how long the first of them waits, and other processes with it."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A query, the caller who waits for its result, and whether it may take long."""

    query: Query[Any]
    result: "asyncio.Future[Any]"
    long: bool


@dataclass(frozen=True, slots=True)
class _Refused:
    """The result of a query is an error of its own."""

    error: Exception


_Begun = tuple[sqlite3.Connection, list[_Waiting], list[Any] | None]
"""A transaction that is left to the thread, and its results, unless they would have had to wait."""


class Writer:
    """What writes for this process, one transaction at a time. Its thread starts with the first query, ends with `close`."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._waiting: deque[_Waiting] = deque()
        self._writing = threading.Lock()
        """Held from the beginning of a transaction to its end, by the event loop first and then by the thread."""
        self._ending: queue.SimpleQueue[_Begun | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._db: sqlite3.Connection | None = None
        self.closed = False
        self.commits = 0

    async def run(self, query: Query[T], *, long: bool = False) -> T:
        """Its result, once the commit that holds it is on the disk. A query that takes `long` is left to the thread."""
        if self.closed:
            raise Unavailable(f"{self._file.path} is closed.")
        return await self._run(query, long)

    async def close(self) -> None:
        """Finish what still waits, then stop."""
        self.closed = True
        if self._thread is None:
            return
        if self._waiting or self._writing.locked():
            with contextlib.suppress(Unavailable):
                await self._run(lambda db: None, False)  # what ends last was asked last
        self._ending.put(None)
        await asyncio.to_thread(self._thread.join)
        self._thread = None

    async def _run(self, query: Query[T], long: bool) -> T:
        if self._thread is None:
            self._thread = threading.Thread(target=self._end, name=f"writer of {self._file.path.name}", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()
        self._waiting.append(_Waiting(query, result, long))
        loop.call_soon(self._begin)  # after everybody whose turn it is now
        return await result

    def _begin(self) -> None:
        """Begin the next transaction with what waits by now, unless one is under way: then its end will."""
        if not self._waiting or not self._writing.acquire(blocking=False):
            return
        batch: list[_Waiting] = []
        self._join(batch)
        try:
            with self._file.or_unavailable():
                db = self._connected()
                self._ending.put((db, batch, _results_at_once(db, batch)))
        except Exception as error:  # noqa: BLE001  (whatever it was: its callers are told)
            self._give_up(batch, error)

    def _connected(self) -> sqlite3.Connection:
        """Never to a file that took the place of ours: what is written there would be another store's."""
        self._db = db = self._db or self._file.connect(timeout=0)
        self._file.check()
        return db

    def _end(self) -> None:
        """The thread: commits what was begun, or does all of it, where that has to wait."""
        while (begun := self._ending.get()) is not None:
            db, batch, results = begun
            try:
                with self._file.or_unavailable():
                    results = self._commit(db, batch, results)
            except Exception as error:  # noqa: BLE001  (whatever it was: its callers are told, and the thread lives on)
                self._give_up(batch, error)
            else:
                self._deliver(batch, results)
        self._disconnect()

    def _commit(self, db: sqlite3.Connection, batch: list[_Waiting], results: list[Any] | None) -> list[Any]:
        if results is None:
            try:
                sqlite_file.begin(db)
            finally:
                self._join(batch)
            results = [_result(db, waiting.query) for waiting in batch]
        db.execute("COMMIT")
        self.commits += 1
        self._file.check()  # a commit into a file that was removed meanwhile is none
        return results

    def _join(self, batch: list[_Waiting]) -> None:
        """Add what waits, as far as there is room."""
        with contextlib.suppress(IndexError):
            while len(batch) < BATCH:
                batch.append(self._waiting.popleft())

    def _give_up(self, batch: list[_Waiting], error: Exception) -> None:
        self._disconnect()  # after an I/O error only a new connection is sure to recover
        self._deliver(batch, [_Refused(Unavailable(str(self._file.unavailable(error)))) for _ in batch])

    def _disconnect(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(sqlite3.Error):  # a connection that cannot even be closed must not keep callers waiting
                db.close()

    def _deliver(self, batch: list[_Waiting], results: list[Any]) -> None:
        """The transaction is over. Wake the callers, one call into each event loop, and see that the next one is begun."""
        self._writing.release()
        loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
        for waiting, result in zip(batch, results, strict=True):
            loops.setdefault(waiting.result.get_loop(), []).append((waiting.result, result))
        with contextlib.suppress(IndexError):  # nobody else waits
            loops.setdefault(self._waiting[0].result.get_loop(), [])
        for loop, delivered in loops.items():
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._resolve, loop, delivered)

    def _resolve(self, loop: asyncio.AbstractEventLoop, delivered: list[tuple["asyncio.Future[Any]", Any]]) -> None:
        for future, result in delivered:
            if future.done():  # the caller was cancelled
                continue
            if isinstance(result, _Refused):
                future.set_exception(result.error)
            else:
                future.set_result(result)
        loop.call_soon(self._begin)  # after the callers, who may ask for more


def _results_at_once(db: sqlite3.Connection, batch: list[_Waiting]) -> list[Any] | None:
    """The results, in a transaction that is still to be committed; None if that would have to wait."""
    if any(waiting.long for waiting in batch) or not sqlite_file.has_begun(db):
        return None
    return [_result(db, waiting.query) for waiting in batch]


def _result(db: sqlite3.Connection, query: Query[Any]) -> Any:
    """The result, or the query's own error. A statement that fails has changed nothing: that undoes the query alone."""
    try:
        return query(db)
    except MemoryError:
        raise
    except Exception as error:
        if sqlite_file.is_the_engines(error):  # its trouble, not the query's: nothing of the batch holds
            raise
        return _Refused(error)


def all_or_nothing(query: Query[T]) -> Query[T]:
    """The same query, for one that may fail after it has changed something.

    The others do without: a savepoint costs some 15 µs, for SQLite copies each page that is changed after it.
    """

    def run(db: sqlite3.Connection) -> T:
        db.execute("SAVEPOINT query")
        try:
            result = query(db)
        except BaseException:
            if db.in_transaction:  # else the engine was in trouble, and has rolled back all of it
                db.execute("ROLLBACK TO query")
                db.execute("RELEASE query")
            raise
        db.execute("RELEASE query")
        return result

    return run

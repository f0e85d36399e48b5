"""Group commit: everything that is asked at the same time goes into one transaction, and shares its fsync.

With one fsync for a whole batch, durability costs each of 64 concurrent writes 24 µs where a commit of its own costs 138.
The statements run where they were asked, as reads do: each takes some 10 µs, and two threads that pass Python's lock to and
fro for each of them cost several times that. Only what waits for the disk or for another process, the commit and the lock,
is left to a thread. An answer never leaves before its commit, and the failure of one question never undoes another's.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from backends import sqlite_file
from backends.protocol import Unavailable

T = TypeVar("T")
Question = Callable[[sqlite3.Connection], T]

BATCH = 256
"""The most questions in one commit: a bound on how long the first of them waits, and other processes with it."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A question, the caller who waits for its answer, and whether it may take long."""

    question: Question[Any]
    answer: "asyncio.Future[Any]"
    long: bool


@dataclass(frozen=True, slots=True)
class _Refused:
    """The answer to a question is an error of its own."""

    error: Exception


class Writer:
    """What writes for this process, one transaction at a time. Its thread starts with the first question, ends with `close`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._asked: deque[_Waiting] = deque()
        self._writing = threading.Lock()
        """Held from the beginning of a transaction to its end, by the event loop first and then by the thread."""
        self._ending: queue.SimpleQueue[tuple[list[_Waiting], list[Any] | None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._db: sqlite3.Connection | None = None
        self.closed = False
        self.commits = 0

    async def ask(self, question: Question[T], *, long: bool = False) -> T:
        """Its answer, once the commit that holds it is on the disk. A question that takes `long` is left to the thread."""
        if self.closed:
            raise Unavailable(f"{self._path} is closed.")
        return await self._ask(question, long)

    async def close(self) -> None:
        """Answer what still waits, then stop."""
        self.closed = True
        if self._thread is None:
            return
        if self._asked or self._writing.locked():
            with contextlib.suppress(Unavailable):
                await self._ask(lambda db: None, False)  # what is answered last was asked last
        self._ending.put(None)
        await asyncio.to_thread(self._thread.join)
        self._thread = None

    async def _ask(self, question: Question[T], long: bool) -> T:
        if self._thread is None:
            self._thread = threading.Thread(target=self._end, name=f"writer of {self._path.name}", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._asked.append(_Waiting(question, answer, long))
        loop.call_soon(self._begin)  # after everybody whose turn it is now
        return await answer

    def _begin(self) -> None:
        """Begin the next transaction with what has been asked by now, unless one is under way: then its end will."""
        if not self._asked or not self._writing.acquire(blocking=False):
            return
        batch: list[_Waiting] = []
        self._join(batch)
        try:
            with sqlite_file.telling(self._path):
                self._ending.put((batch, self._answers_at_once(batch)))
        except Exception as error:  # noqa: BLE001  (whatever it was: its callers are told)
            self._give_up(batch, error)

    def _answers_at_once(self, batch: list[_Waiting]) -> list[Any] | None:
        """The answers, in a transaction that is still to be committed; None if that would have to wait."""
        self._db = db = self._db or sqlite_file.connect(self._path, timeout=0)
        if any(waiting.long for waiting in batch) or not sqlite_file.has_begun(db):
            return None
        return [_answer(db, waiting.question) for waiting in batch]

    def _end(self) -> None:
        """The thread: commits what was begun, or does all of it, where that has to wait."""
        while (begun := self._ending.get()) is not None:
            batch, answers = begun
            try:
                with sqlite_file.telling(self._path):
                    answers = self._commit(batch, answers)
            except Exception as error:  # noqa: BLE001  (whatever it was: its callers are told, and the thread lives on)
                self._give_up(batch, error)
            else:
                self._tell(batch, answers)
        self._disconnect()

    def _commit(self, batch: list[_Waiting], answers: list[Any] | None) -> list[Any]:
        self._db = db = self._db or sqlite_file.connect(self._path, timeout=0)
        if answers is None:
            try:
                sqlite_file.begin(db)
            finally:
                self._join(batch)
            answers = [_answer(db, waiting.question) for waiting in batch]
        db.execute("COMMIT")
        self.commits += 1
        return answers

    def _join(self, batch: list[_Waiting]) -> None:
        """Add what waits, as far as there is room."""
        with contextlib.suppress(IndexError):
            while len(batch) < BATCH:
                batch.append(self._asked.popleft())

    def _give_up(self, batch: list[_Waiting], error: Exception) -> None:
        self._disconnect()  # after an I/O error only a new connection is sure to recover
        self._tell(batch, [_Refused(Unavailable(str(sqlite_file.unavailable(self._path, error)))) for _ in batch])

    def _disconnect(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(sqlite3.Error):  # a connection that cannot even be closed must not keep callers waiting
                db.close()

    def _tell(self, batch: list[_Waiting], answers: list[Any]) -> None:
        """The transaction is over. Wake the callers, one call into each event loop, and see that the next one is begun."""
        self._writing.release()
        loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
        for waiting, answer in zip(batch, answers, strict=True):
            loops.setdefault(waiting.answer.get_loop(), []).append((waiting.answer, answer))
        with contextlib.suppress(IndexError):  # nobody else waits
            loops.setdefault(self._asked[0].answer.get_loop(), [])
        for loop, told in loops.items():
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._resolve, loop, told)

    def _resolve(self, loop: asyncio.AbstractEventLoop, told: list[tuple["asyncio.Future[Any]", Any]]) -> None:
        for future, answer in told:
            if future.done():  # the caller was cancelled
                continue
            if isinstance(answer, _Refused):
                future.set_exception(answer.error)
            else:
                future.set_result(answer)
        loop.call_soon(self._begin)  # after the callers, who may ask for more


def _answer(db: sqlite3.Connection, question: Question[Any]) -> Any:
    """The answer, or the question's own error. A statement that fails has changed nothing: that undoes the question alone."""
    try:
        return question(db)
    except (sqlite3.OperationalError, MemoryError):  # the engine's trouble, not the question's: nothing of the batch holds
        raise
    except Exception as error:  # noqa: BLE001  (it is raised again where the question was asked)
        return _Refused(error)


def all_or_nothing(question: Question[T]) -> Question[T]:
    """The same question, for one that changes something by more than one statement.

    The others do without: each statement gives up Python's lock and may wait for it again while all processes wait for us.
    """

    def ask(db: sqlite3.Connection) -> T:
        db.execute("SAVEPOINT question")
        try:
            return question(db)
        except BaseException:
            db.execute("ROLLBACK TO question")
            raise
        finally:
            db.execute("RELEASE question")

    return ask

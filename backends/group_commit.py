"""Group commit: the one thread of a process that writes to the file, and commits everything that waits together.

With one fsync for a whole batch, durability costs each of 64 concurrent writes 24 µs where a commit of its own costs 138.
What is asked in one turn of the event loop is handed over together, because two threads that wake each other for every question
fight for Python's lock. An answer never leaves before its commit, and the failure of one question never undoes another's.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from backends import sqlite_file
from backends.protocol import Unavailable

T = TypeVar("T")
Question = Callable[[sqlite3.Connection], T]

BATCH = 256
"""No more questions join a commit that has as many: a bound on how long the first of them waits, and other processes with it."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A question, and the caller who waits for its answer."""

    question: Question[Any]
    answer: "asyncio.Future[Any]"


@dataclass(frozen=True, slots=True)
class _Refused:
    """The answer to a question is an error of its own."""

    error: Exception


class Writer:
    """The one thread of this process that writes. It starts with the first question and ends with `close`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._asked: list[_Waiting] = []
        self._waiting: queue.SimpleQueue[list[_Waiting] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._db: sqlite3.Connection | None = None
        self.closed = False
        self.commits = 0

    async def ask(self, question: Question[T]) -> T:
        """Its answer, once the commit that holds it is on the disk."""
        if self.closed:
            raise Unavailable(f"{self._path} is closed.")
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"writer of {self._path.name}", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        if not self._asked:
            loop.call_soon(self._hand_over)
        self._asked.append(_Waiting(question, answer))
        return await answer

    async def close(self) -> None:
        """Answer what still waits, then stop."""
        self.closed = True
        if self._thread is not None:
            self._hand_over()
            self._waiting.put(None)
            await asyncio.to_thread(self._thread.join)
            self._thread = None

    def _hand_over(self) -> None:
        asked, self._asked = self._asked, []
        for start in range(0, len(asked), BATCH):
            self._waiting.put(asked[start : start + BATCH])

    def _run(self) -> None:
        while (batch := self._waiting.get()) is not None:
            try:
                with sqlite_file.telling(self._path):
                    answers = self._commit(batch)
            except Exception as error:  # noqa: BLE001  (whatever it was: its callers are told, and the thread lives on)
                self._disconnect()  # after an I/O error only a new connection is sure to recover
                answers = [_Refused(Unavailable(str(sqlite_file.unavailable(self._path, error)))) for _ in batch]
            _tell(batch, answers)
        self._disconnect()

    def _commit(self, batch: list[_Waiting]) -> list[Any]:
        """Answer the batch, and what joins it while the lock is waited for, in one transaction."""
        self._db = db = self._db or sqlite_file.connect(self._path, timeout=0)
        try:
            sqlite_file.begin(db)
        finally:
            self._join(batch)
        answers = [_answer(db, waiting.question) for waiting in batch]
        db.execute("COMMIT")
        self.commits += 1
        return answers

    def _disconnect(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _join(self, batch: list[_Waiting]) -> None:
        while len(batch) < BATCH:
            try:
                more = self._waiting.get_nowait()
            except queue.Empty:
                return
            if more is None:  # the end is behind everything that was asked: leave it there
                self._waiting.put(None)
                return
            batch += more


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


def _tell(batch: list[_Waiting], answers: list[Any]) -> None:
    """Wake the callers: one call into each event loop, however many of them wait there."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for waiting, answer in zip(batch, answers, strict=True):
        loops.setdefault(waiting.answer.get_loop(), []).append((waiting.answer, answer))
    for loop, told in loops.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, told)


def _resolve(told: list[tuple["asyncio.Future[Any]", Any]]) -> None:
    for future, answer in told:
        if future.done():  # the caller was cancelled
            continue
        if isinstance(answer, _Refused):
            future.set_exception(answer.error)
        else:
            future.set_result(answer)

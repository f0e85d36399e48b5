"""Whose turn it is to hash a password: as many at once as there are cores, and known browsers first.

A flood of logons must not starve the people who are at their key, nor make anybody wait for long: the queue is bounded, and who
finds it full is told so at once. Never knows what it runs, and never holds the event loop.
"""

import asyncio
import ctypes
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from typing import TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

MAX_WAITING = 64
"""With 25 ms for each of them, the last waits 0.8 s on two cores."""
RETRY_AFTER = 2
"""Seconds: even one core has served a full queue by then."""
BEHIND = 5
"""How many steps of nice(2) below the event loop hashes are computed."""
PAUSE = 0.5
"""Seconds without a turn, after which memory goes back to the system."""


class Busy(Exception):
    """More wait than can be served soon; it is worth coming back after `retry_after` seconds."""

    retry_after = RETRY_AFTER


async def take(work: Callable[..., T], *args: object, known: bool) -> T:
    """What `work` returns, once it had its turn in a thread. Busy if too many wait, then or while it waits itself.

    A known one is served before all others. When the queue is full it takes the place of the newest other one.
    """
    loop = asyncio.get_running_loop()
    queue = _queues.setdefault(loop, _Queue())
    await queue.enter(known)
    try:
        return await loop.run_in_executor(_threads(), work, *args)
    finally:
        queue.leave()


class _Queue:
    """The turns of one event loop. Its methods run on that loop, so that nothing here needs a lock."""

    def __init__(self) -> None:
        self._free = _cores()
        self._known: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()
        self._turns = 0

    async def enter(self, known: bool) -> None:
        self._turns += 1
        if self._free:
            self._free -= 1
            return
        self._make_room(known)
        waiting = self._known if known else self._others
        turn = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            self._give_up(turn, waiting)
            raise

    def leave(self) -> None:
        """The turn goes to whoever is next."""
        while waiting := self._known or self._others:
            turn = waiting.popleft()
            if not turn.cancelled():
                turn.set_result(None)
                return
        self._free += 1
        if self._free == _cores():
            asyncio.get_running_loop().call_later(PAUSE, self._rest, self._turns)

    def _make_room(self, known: bool) -> None:
        if len(self._known) + len(self._others) < MAX_WAITING:
            return
        if not (known and self._others):
            raise Busy
        newest = self._others.pop()
        if not newest.cancelled():
            newest.set_exception(Busy())

    def _give_up(self, turn: "asyncio.Future[None]", waiting: "deque[asyncio.Future[None]]") -> None:
        """A future is cancelled one step of the loop before its waiter knows, so that others may have met it in between."""
        if turn.cancelled():
            with suppress(ValueError):
                waiting.remove(turn)
        elif turn.exception() is None:
            self.leave()

    def _rest(self, turns: int) -> None:
        if turns == self._turns and _trim:
            _threads().submit(_trim, 0)  # 5 ms


_queues: WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue] = WeakKeyDictionary()


@cache
def _threads() -> ThreadPoolExecutor:
    """One for each core, for as long as the process lives."""
    return ThreadPoolExecutor(_cores(), thread_name_prefix="password", initializer=_stand_back)


def _stand_back() -> None:
    """The event loop goes first where both want the processor: a hash takes 25 ms, and an answer one. Linux has it by thread."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + BEHIND)


@cache
def _cores() -> int:
    return os.cpu_count() or 1


def _malloc_trim() -> Callable[[int], int] | None:
    """glibc's malloc_trim, made to work. None where the C library is another one.

    Memory that a hash finds already mapped spares a third of its time, so malloc is to keep its 19 MB from one hash to the next,
    and to give them back when it is told to. malloc_trim does that for the first arena only (of others mtrim() leaves the top
    alone), so there may be no other; threads have one of their own unless this is set before the first of them starts. Without
    the thresholds malloc gives back 38 MB and more at once whenever two hashes end together.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt") or not hasattr(libc, "malloc_trim"):
        return None
    for parameter, value in _MALLOC.items():
        libc.mallopt(parameter, value)
    trim: Callable[[int], int] = libc.malloc_trim
    return trim


_MALLOC = {-8: 1, -3: 32 * 1024 * 1024, -1: 2**31 - 1}
"""M_ARENA_MAX, M_MMAP_THRESHOLD (its maximum), M_TRIM_THRESHOLD, by their numbers in malloc.h of glibc."""
_trim = _malloc_trim()

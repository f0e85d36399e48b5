"""Who is served when more passwords come than there are cores."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from platform import libc_ver
from typing import Any

import pytest

from webapp.accounts import turns
from webapp.accounts.turns import MAX_WAITING, Busy

pytestmark = pytest.mark.anyio
CORES = turns._cores()


async def in_time(*tasks: "asyncio.Task[Any]", return_exceptions: bool = False) -> list[Any]:
    """What the tasks return; who would wait for ever has failed."""
    async with asyncio.timeout(5):
        return await asyncio.gather(*tasks, return_exceptions=return_exceptions)


@asynccontextmanager
async def all_cores_taken() -> AsyncGenerator[threading.Event]:
    """Until the event is set nobody has a turn; then one core is free."""
    first, rest = threading.Event(), threading.Event()
    blockers = [asyncio.create_task(turns.take(event.wait, known=True)) for event in [first] + [rest] * (CORES - 1)]
    await asyncio.sleep(0)
    try:
        yield first
    finally:
        first.set()
        rest.set()
        await in_time(*blockers)


async def queued(order: list[str], *names: str) -> list["asyncio.Task[None]"]:
    """Tasks that wait for their turns, and write down their names then. A name with a capital is a known one's."""
    tasks = [asyncio.create_task(turns.take(order.append, name, known=name[0].isupper())) for name in names]
    await asyncio.sleep(0)
    return tasks


async def test_what_was_done_comes_back() -> None:
    assert await turns.take(divmod, 7, 4, known=False) == (1, 3)
    with pytest.raises(ZeroDivisionError):
        await turns.take(divmod, 7, 0, known=True)


async def test_known_ones_are_served_first_and_each_kind_in_its_order() -> None:
    order: list[str] = []
    async with all_cores_taken() as free:
        tasks = await queued(order, "a", "b", "K", "c", "L")
        assert order == []
        free.set()
        await in_time(*tasks)
    assert order == ["K", "L", "a", "b", "c"]


async def test_who_finds_the_queue_full_is_told_when_to_come_again() -> None:
    async with all_cores_taken():
        tasks = await queued([], *["a"] * MAX_WAITING)
        with pytest.raises(Busy) as busy:
            await asyncio.wait_for(turns.take(len, "b", known=False), 5)
        assert busy.value.retry_after == turns.RETRY_AFTER
        assert not any(task.done() for task in tasks)
    await in_time(*tasks)


async def test_a_known_one_takes_the_place_of_the_newest_other_one() -> None:
    order: list[str] = []
    async with all_cores_taken() as free:
        *tasks, newest = await queued(order, *["a"] * MAX_WAITING)
        tasks += await queued(order, "K")
        await asyncio.sleep(0)
        assert newest.done()
        assert isinstance(newest.exception(), Busy)
        free.set()
        await in_time(*tasks)
    assert order == ["K"] + ["a"] * (MAX_WAITING - 1)


async def test_a_queue_that_is_full_of_known_ones_is_full() -> None:
    async with all_cores_taken():
        tasks = await queued([], *["K"] * MAX_WAITING)
        with pytest.raises(Busy):
            await asyncio.wait_for(turns.take(len, "L", known=True), 5)
    await in_time(*tasks)


@pytest.mark.parametrize("name", ["a", "K"])
async def test_who_gives_up_leaves_the_queue(name: str) -> None:
    order: list[str] = []
    async with all_cores_taken() as free:
        gone, *tasks = await queued(order, name, *["a"] * (MAX_WAITING - 1))
        gone.cancel()
        with suppress(asyncio.CancelledError):
            await gone
        tasks += await queued(order, "b")
        free.set()
        await in_time(*tasks)
    assert order == ["a"] * (MAX_WAITING - 1) + ["b"]


@pytest.mark.parametrize("cancelled_first", [True, False])
async def test_a_turn_that_comes_as_its_waiter_gives_up_goes_to_the_next(cancelled_first: bool) -> None:
    queue = turns._Queue()
    for _ in range(CORES):
        await queue.enter(known=False)
    gone, following = (asyncio.create_task(queue.enter(known=False)) for _ in range(2))
    await asyncio.sleep(0)
    if cancelled_first:
        gone.cancel()
    queue.leave()
    gone.cancel()
    async with asyncio.timeout(5):
        await following
    assert gone.cancelled()
    for _ in range(CORES):
        queue.leave()
    assert queue._free == CORES


async def test_who_is_turned_away_while_giving_up_takes_nothing_along() -> None:
    order: list[str] = []
    async with all_cores_taken() as free:
        *tasks, newest = await queued(order, *["a"] * MAX_WAITING)
        newest.cancel()
        tasks += await queued(order, "K", "L")
        free.set()
        answers = await in_time(*tasks, return_exceptions=True)
    assert sum(isinstance(answer, Busy) for answer in answers) == 1
    assert order == ["K", "L"] + ["a"] * (MAX_WAITING - 2)


async def test_who_stops_waiting_for_what_runs_frees_its_turn() -> None:
    running = threading.Event()
    tasks = [asyncio.create_task(turns.take(running.wait, known=False)) for _ in range(CORES)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await in_time(*tasks, return_exceptions=True)
    running.set()
    async with asyncio.timeout(5):
        assert await turns.take(len, "abc", known=False) == 3


def test_a_loop_that_ended_in_the_middle_takes_no_turns_with_it() -> None:
    async def leave_early(running: threading.Event) -> None:
        for _ in range(CORES + 1):
            asyncio.create_task(turns.take(running.wait, known=False))  # noqa: RUF006  # it ends with its loop
        await asyncio.sleep(0.01)

    async def whole() -> int:
        return await turns.take(len, "abc", known=False)

    for _ in range(3):
        running = threading.Event()
        asyncio.run(leave_early(running))
        running.set()
        assert asyncio.run(whole()) == 3


@pytest.mark.parametrize("cancelled_first", [True, False])
async def test_who_is_turned_away_in_the_moment_of_giving_up_frees_nothing(cancelled_first: bool) -> None:
    queue = turns._Queue()
    for _ in range(CORES):
        await queue.enter(known=False)
    waiting = [asyncio.create_task(queue.enter(known=False)) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)
    known = queue.enter(known=True)
    if cancelled_first:
        waiting[-1].cancel()
    known.send(None)  # one step: it takes the place of the newest, which does not know yet
    waiting[-1].cancel()
    await asyncio.wait(waiting[-1:], timeout=5)
    assert waiting[-1].cancelled()
    assert (len(queue._known), len(queue._others)) == (1, MAX_WAITING - 1), "somebody had a turn that nobody gave up"
    known.close()
    for task in waiting:
        task.cancel()


async def test_each_loop_has_a_queue_of_its_own() -> None:
    def elsewhere() -> int:
        return asyncio.run(asyncio.wait_for(turns.take(len, "abc", known=False), 5))

    async with all_cores_taken() as free:
        tasks = await queued([], *["a"] * MAX_WAITING)
        other = asyncio.create_task(asyncio.to_thread(elsewhere))
        await asyncio.sleep(0.1)
        assert not other.done(), "it found the queue full"
        free.set()
        assert (await in_time(other)) == [3]
        await in_time(*tasks)


async def test_memory_is_not_given_back_when_somebody_came_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    given_back: list[int] = []
    monkeypatch.setattr(turns, "_trim", given_back.append)
    monkeypatch.setattr(turns, "_threads", Inline)
    queue, paused = turns._Queue(), []
    for _ in range(2):
        await queue.enter(known=False)
        queue.leave()
        paused.append(queue._turns)
    queue._rest(paused[0])
    assert given_back == []
    queue._rest(paused[1])
    assert given_back == [0]


class Inline:
    """A pool that does at once what it is given."""

    def submit(self, work: Callable[[int], object], argument: int) -> None:
        work(argument)


MEMORY = """
import asyncio, resource
from webapp.accounts import passwords, turns

def pages():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 2**20

async def main():
    await asyncio.to_thread(len, "")  # a thread that was there before
    before = pages()
    await asyncio.gather(*(passwords.verify(None, "correct horse battery") for _ in range(16)))
    await asyncio.sleep(turns.PAUSE / 5)
    held = pages()
    await asyncio.sleep(turns.PAUSE + 0.5)
    print(held - before, pages() - before)

asyncio.run(main())
"""


def test_the_memory_of_hashes_is_kept_while_there_are_some_and_given_back_then() -> None:
    """Where the C library can be told: glibc."""
    assert (turns._trim is not None) == (libc_ver()[0] == "glibc")
    root = Path(__file__).parents[2]
    told = subprocess.run([sys.executable, "-c", MEMORY], check=True, capture_output=True, text=True, cwd=root).stdout
    held, left = (float(number) for number in told.split())
    if turns._trim:
        assert held > 15, "malloc gave it back at once, and each hash pays for it again"
        assert left < 5

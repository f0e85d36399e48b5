"""What passwords cost in memory and time: a process that holds what a worker holds, before, while and after it verifies some.

    python bench/password_memory.py            # as served
    python bench/password_memory.py --plain    # as with a C library that cannot be told anything

MB are of resident memory (RSS), ms of processor time. A burst is 96 passwords, 64 of them at a time.
"""

import asyncio
import ctypes
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

if "--plain" in sys.argv:
    ctypes.CDLL = lambda _: object()  # type: ignore[misc, assignment]  # a library without these functions

from webapp.accounts import passwords, turns

PASSWORD = "correct horse battery"
BURST = 96


def resident() -> float:
    """MB of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


async def burst(hashed: str) -> None:
    places = asyncio.Semaphore(turns.MAX_WAITING)

    async def one() -> None:
        async with places:
            assert await passwords.verify(hashed, PASSWORD)

    await asyncio.gather(*(one() for _ in range(BURST)))


async def timed(name: str, work: Callable[[], Awaitable[object]], times: int = 1) -> None:
    began, cpu = time.perf_counter(), time.process_time()
    await work()
    took, spent = time.perf_counter() - began, time.process_time() - cpu
    print(f"{name:28} {spent / times * 1000:6.1f} ms each, {took * 1000:7.0f} ms in all, {resident():6.1f} MB")


async def main() -> None:
    print(f"{'before':28} {'':39} {resident():6.1f} MB")
    hashed = await passwords.hash(PASSWORD)
    for n in (1, 2, 3):
        await timed(f"burst {n}", lambda: burst(hashed), BURST)
    await asyncio.sleep(turns.PAUSE * 2)
    print(f"{'after a pause':28} {'':39} {resident():6.1f} MB")
    for n in (1, 2, 3):
        await timed(f"alone {n}, after a pause", lambda: passwords.verify(hashed, PASSWORD))
        await timed(f"alone {n}, at once", lambda: passwords.verify(hashed, PASSWORD))
        await asyncio.sleep(turns.PAUSE * 2)
    print(f"{'at the end':28} {'':39} {resident():6.1f} MB")


asyncio.run(main())

"""For tests of what goes on by itself: waiting until it has come about."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress


async def until(condition: Callable[[], bool]) -> None:
    """Return once that is so."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("that did not come about")


@asynccontextmanager
async def going_on(work: AsyncGenerator[float, None]) -> AsyncIterator[None]:
    """What goes on beside the requests, until the block is left."""

    async def go_on() -> None:
        async for pause in work:
            await asyncio.sleep(pause)

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await work.aclose()

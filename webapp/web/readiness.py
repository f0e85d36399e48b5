"""Whether the backend answers and takes writes, remembered for a second: however many probes come, it is asked once. Never
guesses: what is told was answered.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from backends.protocol import Backend, Unavailable
from webapp import clock

SECONDS = 1.0


def of(backend: Backend) -> "Readiness":
    """Of this process: it writes a counter of its own, because what has a full or a read-only disk still answers."""
    name = f"ready {secrets.token_hex(8)}"

    async def write() -> None:
        await backend.ready()
        await backend.count_attempt(name, clock.now(), timedelta(hours=1))

    return Readiness(write)


class Readiness:
    """The last answer to `ready`."""

    def __init__(self, ready: Callable[[], Awaitable[None]]) -> None:
        self._ready = ready
        self._asking = asyncio.Lock()
        self._until = 0.0
        self._trouble = ""

    async def ask(self) -> None:
        """Return if it is, or was within the last second; Unavailable otherwise."""
        async with self._asking:
            if time.monotonic() >= self._until:
                self._trouble = await self._asked()
                self._until = time.monotonic() + SECONDS
        if self._trouble:
            raise Unavailable(self._trouble)

    async def _asked(self) -> str:
        """What is wrong; empty if nothing is."""
        try:
            await self._ready()
        except Unavailable as unavailable:
            return str(unavailable) or "no answer"
        return ""

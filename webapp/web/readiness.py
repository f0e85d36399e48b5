"""Whether the backend answers, remembered for a second: however many probes come, it is asked once. Never guesses: what is told
was answered.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from backends.protocol import Unavailable

SECONDS = 1.0


class Readiness:
    """The backend's last answer to `ready`."""

    def __init__(self, ready: Callable[[], Awaitable[None]]) -> None:
        self._ready = ready
        self._asking = asyncio.Lock()
        self._until = 0.0
        self._trouble = ""

    async def ask(self) -> None:
        """Return if the backend answers, or did within the last second; Unavailable otherwise."""
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

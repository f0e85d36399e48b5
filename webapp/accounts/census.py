"""Which kinds of password hashes there are, and how many of each: so that a name that nobody has costs what somebody's would.

A check of an imported hash takes as long as its makers wanted, ten times as long as one of ours. If names that nobody has always
cost the same, whatever costs something else would be somebody's. So each such name is like some account: of which kind follows
from the name and a secret, for ever the same, and so often as there are accounts of that kind. A time then tells of a name what
is true of all names together. As people log on and their hashes become ours, so do those of nobody. Never holds a name.
"""

import asyncio
import logging
import secrets
import string
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from itertools import accumulate

from backends.protocol import Backend, Unavailable
from backends.records import Account
from webapp import signing
from webapp.accounts import damage, limits, passwords
from webapp.accounts.foreign_hashes import ForeignHash

EVERY, WHERE_NONE_WAS = 3600.0, 86400.0
"""Seconds between two counts, and where all hashes were ours. One of a kind that was not counted makes it due."""
LOOK_EVERY = 5.0
"""Seconds between two looks at whether it is."""
AGAIN_IN = 60.0
"""Seconds to the next attempt, where the backend could not."""
PAGE = 500
PAUSE = 0.02
"""Seconds after each page, in which the processor is somebody else's: a hundred thousand accounts take some ten seconds."""
MAX_READ, SAMPLES = 100_000, 50
"""Accounts that are read for a count; of more, that many are read in all, behind as many names as there are samples."""
LETTERS = string.ascii_lowercase + string.digits
MAX_KINDS = 1000

log = logging.getLogger("keystead")


class Census:
    """What was counted last. Made once in each process."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._key = keys[-1]  # the oldest: a new one in front changes nothing
        self._kinds: list[ForeignHash] = []
        self._counted: frozenset[str] = frozenset()
        self._ends: list[float] = []
        """Where the share of each kind ends, between 0 and 1; behind the last one are hashes of ours."""
        self._met: dict[str, ForeignHash] = {}
        self._is_due = False

    def like(self, name: str) -> ForeignHash | None:
        """What a name that nobody has is checked against; None for what costs as much as ours."""
        drawn = int.from_bytes(signing.mac(self._key, "nobody", limits.folded(name))[:8]) / 2**64
        place = bisect_right(self._ends, drawn)
        return self._kinds[place] if place < len(self._kinds) else None

    def meet(self, password_hash: str | None) -> None:
        """Somebody's: one of a kind that was not counted is from an import since then."""
        met = passwords.foreign(password_hash) if password_hash else None
        if met and met.kind not in self._counted and len(self._counted) < MAX_KINDS:
            self._met[met.kind] = met
            self._is_due = True

    async def run(self, backend: Backend) -> AsyncGenerator[float, None]:
        """Count, again and again. Gives the seconds until it goes on, each time."""
        while True:
            try:
                await self.take(backend)
                wait = EVERY if self._kinds else WHERE_NONE_WAS
            except Unavailable as unavailable:
                log.warning("accounts not counted: %s", unavailable)
                wait = AGAIN_IN
            again_at = time.monotonic() + wait
            yield LOOK_EVERY
            while not self._is_due and time.monotonic() < again_at:
                yield LOOK_EVERY

    async def take(self, backend: Backend) -> None:
        """Count the accounts, or as many of them as are enough."""
        self._is_due = False
        found, counts, total = dict[str, ForeignHash](), Counter[str](), 0
        async for account in _sample(backend):
            total += 1
            hash = passwords.foreign(account.password_hash)
            if hash and (hash.kind in found or len(found) < MAX_KINDS):
                found.setdefault(hash.kind, hash)
                counts[hash.kind] += 1
            if total % PAGE == 0:
                await asyncio.sleep(PAUSE)
        if total >= MAX_READ:  # a kind that is so rare may be in none of the samples
            rare = [kind for kind in self._met if kind not in found]
            counts.update(rare)
            found, total = self._met | found, total + len(rare)
        self._kinds = [found[kind] for kind in sorted(found)]
        self._counted = frozenset(found)
        self._ends = [sum_ / total for sum_ in accumulate(counts[kind] for kind in sorted(found))]


async def _sample(backend: Backend) -> AsyncIterator[Account]:
    """Every account; of very many, those that follow some names that are drawn at random."""
    if await backend.size() <= MAX_READ:
        async for account in backend.accounts(damaged=damage.name):
            yield account
        return
    for _ in range(SAMPLES):
        read = 0
        async for account in backend.accounts("".join(secrets.choice(LETTERS) for _ in range(3)), damaged=damage.name):
            yield account
            read += 1
            if read == MAX_READ // SAMPLES:
                break

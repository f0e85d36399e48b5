"""How much slower a logon's two lookups (account by name, keys of account) get as accounts grow, on the file backend.

    python bench/lookups.py [--sizes 1000 100000 1000000] [--lookups 20000]

Names are asked for in random order. The sizes are measured in turns of a few hundred lookups, so that whatever else the
machine does falls on all of them alike.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from itertools import chain
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from backends.file import FileBackend
from backends.records import Record
from backends.specimens import MILLISECOND, NOW, account, key

TURN = 250


def accounts(size: int) -> Iterator[Record]:
    for number in range(size):
        id = f"{number * 2654435761 % 2**32:08x}-{number}"  # spread, as random ids are
        yield account(
            id, username=f"person.{number}", email=f"person.{number}@example.com", created_at=NOW + number * MILLISECOND
        )


def keys(size: int) -> Iterator[Record]:
    """One for each account, and a second one for every other."""
    for number in range(size):
        owner = f"{number * 2654435761 % 2**32:08x}-{number}"
        for which in range(1 + number % 2):
            id = random.Random(f"{number} {which}").randbytes(64)
            yield key(id, owner, public_key=bytes(77), bound_at=NOW + which * MILLISECOND)


async def records(size: int) -> AsyncIterator[Record]:
    for record in chain(accounts(size), keys(size)):
        yield record


async def fill(directory: str, size: int) -> FileBackend:
    backend = await FileBackend.open(f"file://{directory}/{size}.db")
    began = time.monotonic()
    loaded = await backend.load(records(size))
    print(f"{size:>9,} accounts: {loaded:,} records loaded in {time.monotonic() - began:.1f} s", flush=True)
    return backend


async def turn(backend: FileBackend, size: int) -> list[float]:
    waits = []
    for _ in range(TURN):
        number = random.randrange(size)
        began = time.perf_counter()
        found = await backend.account_named(f"Person.{number}")
        assert found is not None
        bound = await backend.keys_of(found.id)
        waits.append(time.perf_counter() - began)
        assert len(bound) == 1 + number % 2
    return waits


async def run(directory: str, sizes: list[int], lookups: int) -> None:
    backends = {size: await fill(directory, size) for size in sizes}
    waits: dict[int, list[float]] = {size: [] for size in sizes}
    for round in range(lookups // TURN + 4):
        for size, backend in backends.items():
            measured = await turn(backend, size)
            if round >= 4:  # the first ones warm up
                waits[size] += measured
    for size in sizes:
        every = sorted(waits[size])
        p50, p99 = (every[len(every) * part // 100] * 1e6 for part in (50, 99))
        growth = every[len(every) // 2] / sorted(waits[sizes[0]])[len(every) // 2]
        print(f"{size:>9,} accounts: p50 {p50:.1f} µs, p99 {p99:.1f} µs; p50 {growth:.2f} times the first")
    for backend in backends.values():
        await backend.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--lookups", type=int, default=20_000)
    asked = parser.parse_args()
    random.seed(7)
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(run(directory, asked.sizes, asked.lookups))


if __name__ == "__main__":
    main()

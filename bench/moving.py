"""Time and memory of moving everything from one backend to another, each leg in a process of its own.

    python bench/moving.py [--accounts 100000] [--through-mongo 20000]

Fills a file with accounts, three keys for every two of them and an event each; copies it to another file, and a smaller one
into MongoDB (`tests/mongo_server.py` says which server) and back. A copy reads its source twice and its target once, to
compare. Each is done with a tenth of the accounts as well: if memory grew with their number, it would show.
"""

import argparse
import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from itertools import chain
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from backends import moving, open_backend
from backends.records import Record
from backends.specimens import sealed
from bench.lookups import accounts, keys
from tests import mongo_server


async def records(size: int) -> AsyncIterator[Record]:
    for record in chain(accounts(size), keys(size)):
        yield record
    for each in accounts(size):
        owner = getattr(each, "id", "")
        yield sealed("made", owner)(None)


async def leg(source_url: str, target_url: str) -> None:
    source, target = await open_backend(source_url), await open_backend(target_url)
    steps: dict[str, float] = {}
    began = time.monotonic()

    def progress(step: str, done: int, total: int | None) -> None:
        steps[step] = time.monotonic() - began

    copied = await moving.copy(source, target, progress)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    at = ", ".join(f"{step} until {seconds:.1f} s" for step, seconds in steps.items())
    print(f"{copied.total:>9,} records: {time.monotonic() - began:>6.1f} s ({at}), {peak:.0f} MB at most", flush=True)
    await source.close()
    await target.close()


async def fill(url: str, size: int) -> None:
    backend = await open_backend(url)
    await backend.load(records(size))
    await backend.close()


async def equal(one_url: str, other_url: str) -> None:
    one, other = await open_backend(one_url), await open_backend(other_url)
    theirs = other.dump()
    async for record in one.dump():
        assert record == await anext(theirs)
    assert await anext(theirs, None) is None
    await one.close()
    await other.close()
    print("           the dumps are equal, record by record", flush=True)


def move(name: str, source: str, target: str) -> None:
    print(f"{name}:", end=" ", flush=True)
    subprocess.run([sys.executable, __file__, "--leg", source, target], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--through-mongo", type=int, default=20_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        for size in (asked.accounts // 10, asked.accounts):
            url = f"file://{directory}/{size}"
            asyncio.run(fill(f"{url}.db", size))
            move(f"{size:>7,} accounts, file to file ", f"{url}.db", f"{url}.copy.db")
            asyncio.run(equal(f"{url}.db", f"{url}.copy.db"))
        with mongo_server.running() as address:
            for size in (asked.through_mongo // 10, asked.through_mongo):
                url, mongo = f"file://{directory}/{size}.through", mongo_server.database(address)
                asyncio.run(fill(f"{url}.db", size))
                move(f"{size:>7,} accounts, file to Mongo", f"{url}.db", mongo)
                move(f"{size:>7,} accounts, Mongo to file", mongo, f"{url}.back.db")
                asyncio.run(equal(f"{url}.db", f"{url}.back.db"))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--leg"]:
        asyncio.run(leg(sys.argv[2], sys.argv[3]))
    else:
        main()

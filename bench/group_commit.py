"""Durable writes per second on one file: several worker processes whose clients' writes share commits, against one commit each.

    python bench/group_commit.py [--workers 4] [--clients 64] [--seconds 60]

Both halves of the run use the same processes, clients and questions; only the most questions in one commit differs (1 or as
shipped). A client asks, waits for the answer, and asks again. Any error ends the run.
"""

import argparse
import asyncio
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from backends import group_commit
from backends.file import FileBackend
from backends.specimens import key, sealed


async def client(backend: FileBackend, name: str, end: float, waits: list[float]) -> None:
    """Bind, note it, unbind: three writes a round."""
    number = 0
    while time.monotonic() < end:
        number += 1
        id = f"{name} {number}".encode()
        for question in (backend.add_key(key(id, name)), backend.add_event(name, sealed("", name)), backend.remove_key(name, id)):
            began = time.perf_counter()
            await question
            waits.append(time.perf_counter() - began)


async def work(url: str, clients: int, seconds: float, batch: int) -> None:
    group_commit.BATCH = batch
    backend = await FileBackend.open(url)
    waits: list[float] = []
    print("ready", flush=True)
    sys.stdin.readline()
    end = time.monotonic() + seconds
    await asyncio.gather(*(client(backend, f"{id(backend)} {number}", end, waits) for number in range(clients)))
    waits.sort()
    p50, p99 = waits[len(waits) // 2], waits[len(waits) * 99 // 100]
    print(json.dumps({"writes": len(waits), "commits": backend.commits, "p50": p50, "p99": p99, "longest": waits[-1]}))
    await backend.close()


def run(url: str, workers: int, clients: int, seconds: float, batch: int) -> float:
    command = [sys.executable, __file__, "--work", url, str(clients // workers), str(seconds), str(batch)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(workers)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [json.loads(process.communicate()[0]) for process in processes]
    assert all(process.returncode == 0 for process in processes)
    writes, commits = sum(each["writes"] for each in told), sum(each["commits"] for each in told)
    times = ", ".join(f"{name} {max(each[name] for each in told) * 1000:.1f} ms" for name in ("p50", "p99", "longest"))
    print(f"{batch:>4} in a commit at most: {writes / seconds:>7,.0f} writes/s, {commits / seconds:>6,.0f} commits/s; {times}")
    return float(writes / seconds)


def alone(directory: Path, seconds: float) -> None:
    """For comparison: one connection in one process that has the file for itself."""
    db = sqlite3.connect(directory / "alone.db", isolation_level=None)
    db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (a)")
    end, writes = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        db.execute("INSERT INTO t VALUES (?)", (bytes(100),))
        writes += 1
    db.close()
    print(f"   bare SQLite alone, one insert a commit: {writes / seconds:>7,.0f} writes/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--directory", type=Path, help="on the disk that is to be measured")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.directory) as directory:
        alone(Path(directory), min(asked.seconds, 5))
        single = run(f"file://{directory}/single.db", asked.workers, asked.clients, asked.seconds, 1)
        shared = run(f"file://{directory}/shared.db", asked.workers, asked.clients, asked.seconds, group_commit.BATCH)
    print(f"{asked.workers} workers, {asked.clients} clients: {shared / single:.1f} times as many")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        asyncio.run(work(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])))
    else:
        main()

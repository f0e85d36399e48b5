"""What a start costs: seconds to the first answer, memory of a worker, bytes of the logon page.

    python bench/start.py [ROUNDS]

Each round starts `keystead serve` anew, on the file backend, with one worker. Medians are printed, with the fastest and slowest.
"""

import gzip
import http.client
import os
import re
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

PATIENCE = 20
STOPS_IN = 15
ROOT = Path(__file__).parents[1]


class Answer(NamedTuple):
    """What came over the wire for one address."""

    path: str
    body: bytes
    head: int

    @property
    def text(self) -> str:
        return gzip.decompress(self.body).decode() if self.body[:2] == b"\x1f\x8b" else self.body.decode(errors="replace")


def main(rounds: int) -> None:
    starts, fresh, used = [], [], []
    page: list[Answer] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as (port, worker, seconds):
            starts.append(seconds * 1000)
            fresh.append(memory(worker))
            page = logon_page(port)
            for _ in range(200):
                get(port, "/logon")
            used.append(memory(worker))
    print(f"rounds                            {rounds}")
    show("start to first page", starts, "ms")
    show("memory of a worker, first page", fresh, "MB")
    show("memory of a worker, 200 pages", used, "MB")
    bodies, heads = sum(len(answer.body) for answer in page), sum(answer.head for answer in page)
    total = f"{bodies / 1000:.1f} kB in {len(page)} requests, {(bodies + heads) / 1000:.1f} kB with headers"
    print(f"{'logon page':<34}{total}")
    for answer in page:
        print(f"    {answer.path:<44}{len(answer.body):>8} B")


def show(what: str, values: list[float], unit: str) -> None:
    print(f"{what:<34}{statistics.median(values):.0f} {unit}   ({min(values):.0f} to {max(values):.0f})")


@contextmanager
def serving(folder: Path) -> Iterator[tuple[int, int, float]]:
    """Port, process and seconds from its start to the first logon page."""
    port = free_port()
    environ = os.environ | {
        "KEYSTEAD_PUBLIC_URL": f"http://localhost:{port}",
        "KEYSTEAD_SECRET_KEYS": secrets.token_urlsafe(32),
        "KEYSTEAD_BACKEND": (folder / "keystead.db").as_uri(),
        "KEYSTEAD_MAIL": f"outbox://{folder}/outbox",
        "KEYSTEAD_MAIL_FROM": "keystead@example.com",
        "PORT": str(port),
    }
    keystead = [sys.executable, "-m", "webapp"]
    subprocess.run([*keystead, "backend", "migrate"], cwd=ROOT, env=environ, check=True, stdout=subprocess.DEVNULL)
    begun = time.perf_counter()
    server = subprocess.Popen([*keystead, "serve"], cwd=ROOT, env=environ, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                get(port, "/logon")
                break
            except OSError:
                if time.perf_counter() - begun > PATIENCE or server.poll() is not None:
                    raise
                time.sleep(0.002)
        yield port, server.pid, time.perf_counter() - begun
    finally:
        server.terminate()
        server.wait(STOPS_IN)


def get(port: int, path: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path, headers={"Accept-Encoding": "gzip", "User-Agent": "Mozilla/5.0 Firefox/140.0"})
        answer = connection.getresponse()
        assert answer.status == 200, (path, answer.status)
        return Answer(path, answer.read(), sum(len(name) + len(value) + 4 for name, value in answer.getheaders()) + 19)
    finally:
        connection.close()


def logon_page(port: int) -> list[Answer]:
    """The page, and everything that it and its style sheets load."""
    found = [get(port, "/logon")]
    wanted = re.findall(r'(?:src|href)="([^"]*/static/[^"]+)"', found[0].text)
    found += [get(port, path) for path in dict.fromkeys(wanted)]
    return found


def memory(pid: int) -> float:
    """Resident, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    resident = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert resident
    return int(resident[1]) / 1024


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)

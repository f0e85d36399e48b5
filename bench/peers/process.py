"""A server as a process: started, watched from outside, stopped. What it costs is read from the kernel, never from the server."""

import contextlib
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 60


@dataclass(slots=True)
class Server:
    """A running server, with all of its processes."""

    port: int
    process: subprocess.Popen[bytes]
    started_in: float = 0
    """Seconds from its start to its first page."""

    def cpu(self) -> float:
        """Seconds of CPU that it has used so far, threads that have ended included, to the nanosecond."""
        return sum(time.clock_gettime(~pid << 3 | 2) for pid in self.pids())  # clock_getcpuclockid(3), as Linux makes it

    def resident(self) -> float:
        """Megabytes in memory. Of several processes that of the largest: the worker."""
        return max(_kilobytes(pid, "Rss") for pid in self.pids()) / 1024

    def proportional(self) -> float:
        """Megabytes in memory, shared pages shared out, of all its processes."""
        return sum(_kilobytes(pid, "Pss") for pid in self.pids()) / 1024

    def pids(self) -> list[int]:
        return _family(self.process.pid)


@contextlib.contextmanager
def running(command: Sequence[str], environ: Mapping[str, str], port: int, log: Path, cwd: Path) -> Iterator[Server]:
    """The server, from its first byte on; it is stopped at the end."""
    with log.open("ab") as lines:
        process = subprocess.Popen(command, cwd=cwd, env={**os.environ, **environ}, stdout=lines, stderr=lines)
    try:
        yield Server(port, process)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def load_average() -> float:
    return os.getloadavg()[0]


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    with contextlib.suppress(OSError):
        return [pid, *(member for child in children.read_text().split() for member in _family(int(child)))]
    return []


def _kilobytes(pid: int, what: str) -> int:
    found = re.search(rf"^{what}:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0

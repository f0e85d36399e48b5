"""A server that speaks MongoDB's wire protocol, for tests: a child process with its own port and directory, that can be killed.

`KEYSTEAD_TEST_MONGODB` (an address) names a server that is there already; else a `mongod` on PATH is started; else SecantusDB,
whose port and dialect are the same but which is not MongoDB. Crash tests always start a server of their own.
"""

import contextlib
import gc
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

SECANTUS = """
import json, os, signal, sys, threading
from secantus import SecantusDBServer, transactions
assert transactions._RETRYABLE_RECORD_MAX == 10_000
transactions._RETRYABLE_RECORD_MAX = 500  # it goes through all that it remembers at each write
server = SecantusDBServer(**json.loads(sys.argv[1]))
server.start()
over, parent = threading.Event(), os.getppid()
signal.signal(signal.SIGTERM, lambda *_: over.set())
while not over.wait(1):
    if os.getppid() != parent:  # whoever started this is gone
        os._exit(0)
server.stop()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class MongoServer:
    """`mongod` if there is one, else SecantusDB. `kill` is kill -9; `start` again finds the same data on the same port."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="mongo-"))
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/"

    def url(self, options: str = "") -> str:
        """The address of a database of this server that nobody has used yet."""
        return database(self.address, options)

    def start(self, patience: float = 30) -> "MongoServer":
        environ = {name: text for name, text in os.environ.items() if not name.startswith("COVERAGE_")}  # its lines are not ours
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command(), env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError("the server ended: " + (self.directory / "log").read_text()[-2000:])
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
                return self
            time.sleep(0.02)
        self.kill()
        raise RuntimeError("the server did not open its port")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """SIGTERM takes SecantusDB seconds, and the data is thrown away."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _command(self) -> list[str]:
        data = self.directory / "data"
        data.mkdir(exist_ok=True)
        if mongod := shutil.which("mongod"):
            return [mongod, "--bind_ip", "127.0.0.1", "--port", str(self.port), "--dbpath", str(data)]
        # sync_on_commit: without it a killed SecantusDB loses what it acknowledged. Its own command drops ttl_sweep_seconds.
        options = {"host": "127.0.0.1", "port": self.port, "storage_path": str(data), "sync_on_commit": True}
        # client_idle_timeout_s: mongod hangs up on nobody.
        options |= {"ttl_sweep_seconds": 1, "cache_size": "256M", "client_idle_timeout_s": 86_400}
        return [sys.executable, "-W", "ignore", "-c", SECANTUS, json.dumps(options)]


def database(address: str, options: str = "") -> str:
    """The address of a database nobody has used yet, on the server at `address`."""
    where, _, asked = address.partition("?")
    options = "&".join(filter(None, [asked, options]))
    scheme, _, rest = where.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}/t_{uuid.uuid4().hex[:12]}" + (f"?{options}" if options else "")


@contextlib.contextmanager
def running() -> Iterator[str]:
    """The address of a server for as long as it is needed."""
    if given := os.environ.get("KEYSTEAD_TEST_MONGODB"):
        yield given
        return
    server = MongoServer().start()
    try:
        yield server.address
    finally:
        server.stop()


@contextlib.contextmanager
def outage() -> Iterator[None]:
    """Around what asks a server that is away: pymongo leaves the socket of a connect that was cancelled to be collected."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unclosed <socket", ResourceWarning)
        yield
        gc.collect()


def main() -> None:
    """Serve until somebody stops it, for a program that wants an address: `python -m tests.mongo_server`."""
    with running() as address, contextlib.suppress(KeyboardInterrupt):
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    main()

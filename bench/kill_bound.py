"""`kill -9` of the server right after a *bound* answer, over and over: the key must be there every time.

    python bench/kill_bound.py [ROUNDS]      100 by default

Each round starts the real server on the same file, binds a key over HTTP, kills the server as soon as the answer is there, and
looks into the file.
"""

import asyncio
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2

sys.path.insert(0, str(Path(__file__).parent.parent))

from backends import open_backend
from webapp.cli import new_account
from webapp.testing.mailbox import Outbox
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import U2F, Visitor

PASSWORD = "correct horse battery staple"


class Server:
    """Keystead as a deployer starts it, with everything that it keeps in one folder."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://localhost:{self.port}"
        self.mailbox = Outbox(folder / "outbox")
        self.backend = (folder / "keystead.db").as_uri()
        self.environ = os.environ | {
            "KEYSTEAD_PUBLIC_URL": self.url,
            "KEYSTEAD_SECRET_KEYS": secrets.token_urlsafe(32),
            "KEYSTEAD_BACKEND": self.backend,
            "KEYSTEAD_MAIL": self.mailbox.url,
            "KEYSTEAD_MAIL_FROM": "keystead@example.com",
            "PORT": str(self.port),
        }

    def start(self) -> subprocess.Popen[bytes]:
        """Return once it answers."""
        server = subprocess.Popen(
            [sys.executable, "-m", "webapp", "serve", "--host", "127.0.0.1"],
            env=self.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        ends = time.monotonic() + 20
        while time.monotonic() < ends:
            try:
                if httpx2.get(f"{self.url}/healthz").status_code == 200:
                    return server
            except httpx2.TransportError:
                time.sleep(0.02)
        server.kill()
        raise RuntimeError("the server did not start")

    def visitor(self, email: str) -> Visitor:
        return Visitor(httpx2.Client(base_url=self.url), mailbox=self.mailbox, email=email)


async def _add(url: str, username: str) -> str:
    backend = await open_backend(url)
    account = await new_account(username, f"{username}@example.com", PASSWORD)
    await backend.add_account(account)
    await backend.close()
    return account.id


async def _bound(url: str, account_id: str) -> list[str]:
    backend = await open_backend(url)
    keys = await backend.keys_of(account_id)
    await backend.close()
    return [key.name for key in keys]


def run(rounds: int, folder: Path) -> int:
    """How many acknowledged bindings were lost."""
    site = Server(folder)
    lost = 0
    for number in range(rounds):
        username = f"person-{number}"
        account_id = asyncio.run(_add(site.backend, username))
        server, visitor = site.start(), site.visitor(f"{username}@example.com")
        try:
            visitor.log_on(username, PASSWORD)
            visitor.get(U2F)
            visitor.send_code()
            visitor.get(U2F)
            visitor.verify(site.mailbox.code(f"{username}@example.com"))
            visitor.begin_bind(f"key of {username}")
            bound = visitor.finish_bind(StubKey())
        finally:
            server.kill()
            server.wait()
            visitor.client.close()
        if bound.headers.get("location") != f"{U2F}/done":
            raise RuntimeError(f"not bound: {bound.status_code}")
        lost += asyncio.run(_bound(site.backend, account_id)) != [f"key of {username}"]
    return lost


if __name__ == "__main__":
    asked = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as temporary:
        begun = time.monotonic()
        print(f"{run(asked, Path(temporary))} of {asked} acknowledged bindings lost, in {time.monotonic() - begun:.0f} s")

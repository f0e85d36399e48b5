"""The floor: the least that a key logon can be on the same stack. One signature check, one durable write, and nothing else."""

import json
from collections.abc import Sequence
from pathlib import Path

from bench.peers.peer import SERVED, Asked, Peer, expect
from bench.peers.person import PASSWORD, Person
from bench.peers.served import floor_site
from bench.peers.wire import Browser


class Floor(Peer):
    name = "floor"

    def seed(self, folder: Path, people: Sequence[Person]) -> None:
        floor_site.seed(folder, [person.seed() for person in people])

    def command(self, folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
        uvicorn = [self.python(), "-m", "uvicorn", "--host", "127.0.0.1", "--port", str(port), "--no-access-log"]
        return [*uvicorn, "--app-dir", str(SERVED), "floor_site:app"], {"BENCH_FOLDER": str(folder)}

    async def password(self, browser: Browser, person: Person) -> None:
        expect(await browser.post_json("/logon", json.dumps({"username": person.username, "password": PASSWORD})), 204)

    async def begin(self, browser: Browser, person: Person) -> Asked:
        answer = expect(await browser.post_json("/logon/key/begin"), 200)
        return Asked(json.loads(answer.body)["publicKey"], {})

    async def finish(self, browser: Browser, person: Person, asked: Asked, answer: str) -> None:
        expect(await browser.post_json("/logon/key/finish", answer), 204)

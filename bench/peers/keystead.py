"""Keystead as `keystead serve` runs it: file backend, WAL with synchronous=FULL; limits, events, headers and logs as they are."""

import asyncio
import html
import json
import re
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from backends import migrate, open_backend
from backends.records import SecurityKey
from bench.peers.peer import Asked, Off, Peer, expect
from bench.peers.person import ORIGIN, PASSWORD, RP_ID, Person
from bench.peers.wire import Browser
from webapp import clock
from webapp.accounts import commits, identities, passwords
from webapp.accounts.context import Context
from webapp.metrics import Metrics
from webapp.settings import Settings

SECRET = "of-the-bench-only-0123456789-abcdefghij"
_OPTIONS = re.compile(r'data-options="([^"]*)"')
_FIELDS = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)">')


class Keystead(Peer):
    name = "Keystead"

    def seed(self, folder: Path, people: Sequence[Person]) -> None:
        asyncio.run(_seed(folder, people))

    def command(self, folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
        return [self.python(), "-m", "webapp", "serve", "--host", "127.0.0.1"], {
            "KEYSTEAD_PUBLIC_URL": ORIGIN,
            "KEYSTEAD_SECRET_KEYS": SECRET,
            "KEYSTEAD_BACKEND": (folder / "keystead.db").as_uri(),
            "KEYSTEAD_MAIL": f"outbox://{folder}/outbox",
            "KEYSTEAD_MAIL_FROM": "keystead@example.com",
            "KEYSTEAD_TRUSTED_PROXIES": "127.0.0.1",
            "WEB_CONCURRENCY": "1",
            "PORT": str(port),
        }

    async def password(self, browser: Browser, person: Person) -> None:
        fields = {"username": person.username, "password": PASSWORD, "next": ""}
        expect(await browser.post("/logon", fields), 303, location="/logon/key")

    async def begin(self, browser: Browser, person: Person) -> Asked:
        panel = expect(await browser.post("/logon/key/begin", {"next": ""}, hx_request="true"), 200).text
        options = _OPTIONS.search(panel)
        if not options:
            raise Off(f"no ceremony: {panel[:600]}")
        return Asked(json.loads(html.unescape(options[1])), dict(_FIELDS.findall(panel)))

    async def finish(self, browser: Browser, person: Person, asked: Asked, answer: str) -> None:
        fields = asked.carried | {"credential": answer, "failure": ""}
        expect(await browser.post("/logon/key/finish", fields, hx_request="true"), 200, location="/account")

    def kept(self, cookies: dict[str, str]) -> dict[str, str]:
        """The mark of a known browser: without it each logon would be news that is mailed."""
        return {name: value for name, value in cookies.items() if name.endswith("-browser")}


class NewBrowsers(Keystead):
    """Each logon from a browser that was never there before: an event, and one letter an hour that counts the others."""

    name = "Keystead, new browsers"

    def kept(self, cookies: dict[str, str]) -> dict[str, str]:
        return {}


async def _seed(folder: Path, people: Sequence[Person]) -> None:
    await migrate((folder / "keystead.db").as_uri())
    backend = await open_backend((folder / "keystead.db").as_uri())
    try:
        hashed, now = await passwords.hash(PASSWORD), clock.now()
        settings = Settings(public_url=ORIGIN, secret_keys=(SECRET,), backend="", mail="", mail_from="")
        ctx = Context(settings, backend, Metrics())
        for person in people:
            key = SecurityKey(
                id=person.credential_id,
                name="Bench key",
                public_key=person.public_key,
                sign_count=0,
                aaguid=bytes(16),
                attestation="none",
                transports=("usb",),
                rp_id=RP_ID,
                bound_at=now,
            )
            account = identities.new(person.username, f"{person.username}@example.com", hashed, now)
            await commits.add(ctx, replace(account, id=person.handle.decode(), keys=(key,)))
    finally:
        await backend.close()

"""Hostile bodies to every POST route: no 5xx, nothing changed, no secret in a log.

    python -m tests.proofs.fuzz [--bodies 100000] [--seed 1]

Half are made from nothing (bytes, fields that our forms have with anything in them, half-right forms), and half are real WebAuthn
answers with something changed, for a ceremony that is open. They are sent by a stranger, by somebody half signed in, and by
somebody signed in with a fresh proof, from an address that changes all the time, so that limits do not hide what is behind them.
"""

import argparse
import base64
import json
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from msgspec.structs import replace

from backends.records import Account, ChainLink
from webapp.accounts import apps
from webapp.accounts.nonces import MAX_NONCES
from webapp.routes import ROUTES
from webapp.testing.clock import Clock
from webapp.testing.site import ADDRESS, Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import U2F, Visitor

WIKI, NONCE = "http://wiki.localhost:9001", "a" * 64
"""An app, and what a way into it has in its address."""
NAMES = (
    "username",
    "password",
    "next",
    "ceremony",
    "credential",
    "failure",
    "code",
    "name",
    "then",
    "unbind",
    "domain",
    "token",
    "new",
    "old",
    "email",
    "to",
    "nonce",
    "language",
    "back",
)
TEXTS = (
    "",
    "0",
    "null",
    "true",
    "[]",
    "{}",
    '{"id":1}',
    "[[[[",
    "é" * 50,
    "\u202e",
    "../../etc/passwd",
    "' OR 1=1 --",
    "{{7*7}}",
    "<script>",
    "%s%n",
    f"{WIKI}/page",
    NONCE,
)
SLOW = {"/logon": 0.02, "/account/password": 0.05}
"""How often routes that compute a password hash (22 ms each) are taken."""
DO_WHAT_THEY_SAY = {"/logoff", "/account/sessions/end-others"}
"""With any body."""
TURN = MAX_NONCES // 2
"""So many bodies are sent before time moves on and everybody logs on anew: an account remembers so many used ceremonies."""
PAUSE = timedelta(minutes=6)


class Fuzzer:
    """The people, the routes, and a source of randomness that can be repeated."""

    def __init__(self, site: Site, seed: int) -> None:
        self.site, self.random, self.outcomes = site, random.Random(seed), Counter[str]()  # noqa: S311 - nothing secret
        self.key = StubKey(flavour="ctap2", attestation="packed-self")
        self.owner = site.visitor()
        self.owner.log_on("zoe", site.password)
        self.owner.bind(self.key, name="Blue")
        self.half = site.visitor()
        self.half.submit_password("zoe", site.password)
        self.people = [site.visitor(), self.half, self.owner]
        self.paths = [path for method, path, _ in ROUTES if method == "POST" and path not in DO_WHAT_THEY_SAY]
        self.before = self.accounts()

    def accounts(self) -> list[Account]:
        """Everything that may not change: no sessions (when last seen), no used ceremonies, no news and events of refusals."""

        async def read() -> list[Account]:
            return [_lasting(account) async for account in self.site.backend.accounts()]

        return self.site.call(read)

    def renew(self) -> None:
        """Everybody logs on again, and what is then is what may not change."""
        self.half.post("/logoff")
        self.half.submit_password("zoe", self.site.password)
        self.owner.log_off()
        self.owner.log_on("zoe", self.site.password, self.key)
        self.before = self.accounts()

    def send(self, visitor: Visitor, path: str, body: bytes) -> int:
        """The status of the answer; AssertionError if it is ours to be ashamed of."""
        visitor.client.headers["x-forwarded-for"] = (
            f"203.{self.random.randrange(256)}.{self.random.randrange(256)}.{self.random.randrange(256)}"
        )
        answer = visitor.post(path, body=body, htmx=self.random.random() < 0.5)
        assert answer.status_code < 500 or answer.status_code == 503, f"{answer.status_code} {path} {body[:300]!r}"
        self.outcomes[f"{answer.status_code}"] += 1
        return answer.status_code

    def from_nothing(self) -> None:
        path = self.random.choice(self.paths)
        while self.random.random() > SLOW.get(path, 1):
            path = self.random.choice(self.paths)
        visitor = self.random.choice(self.people)
        key = self.random.choice((self.key.slug[:-1] + "A", self._text(), "x"))
        path = path.replace("{key}", quote_plus(key) or "x").replace("{id}", "x")
        if path.endswith("/name"):
            visitor = self.people[0]
        self.send(visitor, path, self._body())

    def changed_answer(self) -> None:
        """An open ceremony, answered by the right key, with something changed on the way."""
        binding = self.random.random() < 0.4
        if binding:
            begun, key, finish = (
                self.owner.post(f"{U2F}/bind/begin", {"name": "x"}),
                StubKey(attestation="packed-self"),
                f"{U2F}/bind/finish",
            )
            visitor = self.owner
        else:
            begun, key, finish, visitor = self.half.post("/logon/key/begin"), self.key, "/logon/key/finish", self.half
        visitor._read(begun)
        if visitor.page.ceremony is None:
            raise RuntimeError(f"no ceremony began: {begun.status_code}")
        fields = visitor.answer(key)
        fields["credential"] = self._changed(json.loads(fields["credential"]))
        body = "&".join(f"{name}={quote_plus(value)}" for name, value in fields.items()).encode("utf-8", "replace")
        status = self.send(visitor, finish, body)
        assert status in (409, 413, 422), f"{status}: {body[:2000]!r}"

    def _changed(self, answer: dict[str, Any]) -> str:
        """The answer with one thing changed that its key has signed, or that says which key it is."""
        response = answer["response"]
        where = self.random.choice(
            [(answer, "id"), (answer, "rawId"), (answer, "type"), *((response, n) for n in self._signed(response))]
        )
        holder, name = where
        how: Callable[[str], Any] = self.random.choice(
            (self._flip, self._cut, self._grow, lambda _: self._text(), lambda _: None, lambda _: 7)
        )
        value = how(holder[name])
        holder[name] = value if value != holder[name] else f"{value}A"
        text = json.dumps(answer)
        return text if self.random.random() < 0.9 else text[: self.random.randrange(len(text))]

    def _signed(self, response: dict[str, Any]) -> list[str]:
        return [name for name in ("clientDataJSON", "attestationObject", "authenticatorData", "signature") if name in response]

    def _flip(self, text: str) -> str:
        data = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) or b"x")
        data[self.random.randrange(len(data))] ^= 1 << self.random.randrange(8)
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    def _cut(self, text: str) -> str:
        return text[: self.random.randrange(max(1, len(text)))]

    def _grow(self, text: str) -> str:
        return text + "A" * self.random.choice((1, 4, 4000))

    def _text(self) -> str:
        if self.random.random() < 0.5:
            return self.random.choice(TEXTS)
        return "".join(
            chr(self.random.choice((self.random.randrange(128), self.random.randrange(0xD7FF))))
            for _ in range(self.random.randrange(40))
        )

    def _body(self) -> bytes:
        if self.random.random() < 0.2:
            return self.random.randbytes(self.random.choice((0, 1, 50, 3000)))
        names = self.random.sample(NAMES, self.random.randrange(1, 6))
        return "&".join(f"{name}={quote_plus(self._text())}" for name in names).encode()


def _lasting(account: Account) -> Account:
    return replace(
        account,
        sessions=(),
        codes=(),
        nonces=(),
        notifications=(),
        notified_at={},
        codes_refused=0,
        head=ChainLink(),
        seal=b"",
        version=0,
    )


class Lines(logging.Handler):
    """What was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.text.append(f"{record.getMessage()} {getattr(record, 'fields', '')}")


def run(bodies: int, folder: Path, seed: int = 1) -> Counter[str]:
    """How often each status was answered. AssertionError for anything that must not be."""
    lines = Lines()
    logging.getLogger("keystead").addHandler(lines)
    with running(folder, trusted_proxies=(ip_network(ADDRESS),), join=("example.com",)) as site, Clock() as clock:
        site.call(apps.change, site.context, "add", apps.new(site.settings, "wiki", [WIKI], site.account.created_at))
        site.state["apps"].forget()
        fuzzer = Fuzzer(site, seed)
        cookies = [*fuzzer.owner.client.cookies.values(), *fuzzer.half.client.cookies.values()]
        for number in range(bodies):
            if number % TURN == TURN - 1:
                assert fuzzer.accounts() == fuzzer.before, f"something changed before body {number}"
                clock.move(PAUSE)
                fuzzer.renew()
            fuzzer.from_nothing() if number % 2 else fuzzer.changed_answer()
        assert fuzzer.accounts() == fuzzer.before
        secrets = [site.password, *cookies, *site.settings.secret_keys]
    logging.getLogger("keystead").removeHandler(lines)
    logged = "\n".join(lines.text)
    assert not any(secret in logged for secret in secrets)
    assert "zoe@example.com" not in logged
    return fuzzer.outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bodies", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        statuses = run(asked.bodies, Path(folder), asked.seed)
    took = time.monotonic() - begun
    sys.stdout.write(f"{statuses.total():,} bodies in {took:.0f} s; statuses: {dict(sorted(statuses.items()))}\n")


if __name__ == "__main__":
    main()

"""The people who log on: each has a password and a key made of code, which is bound before the clock runs."""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import AttestationObject

from webapp.testing.stub_key import StubKey

ORIGIN = "https://accounts.example.com"
RP_ID = "accounts.example.com"
PASSWORD = "correct horse battery staple 42"


@dataclass(slots=True)
class Person:
    """Somebody with an account. `bound` is what their browser answered when the key was bound, as RegistrationResponseJSON."""

    number: int
    username: str
    address: str
    handle: bytes
    key: StubKey
    bound: dict[str, Any]

    @property
    def credential_id(self) -> bytes:
        return self.key.credentials[-1].id

    @property
    def public_key(self) -> bytes:
        """The COSE key in CBOR."""
        data = AttestationObject(websafe_decode(self.bound["response"]["attestationObject"])).auth_data.credential_data
        assert data
        return bytes(data)[18 + len(self.credential_id) :]

    def answer(self, options: dict[str, Any]) -> str:
        """What the key answers to these request options, as JSON. A key that is asked for no credential names one itself."""
        if not options.get("allowCredentials"):
            options = options | {"allowCredentials": [{"type": "public-key", "id": websafe_encode(self.credential_id)}]}
        return self.key.get(json.dumps(options), ORIGIN)

    def seed(self) -> dict[str, Any]:
        """What a peer's own program needs to make the account and bind the key."""
        return {
            "username": self.username,
            "email": f"{self.username}@example.com",
            "password": PASSWORD,
            "handle": self.handle.decode(),
            "credential_id": websafe_encode(self.credential_id),
            "public_key": websafe_encode(self.public_key),
            "bound": self.bound,
        }


def crowd(number: int, handle: Callable[[int], str] | None = None) -> list[Person]:
    """People with keys that verify and remember their user, so that every peer takes them; `handle` is what it calls them."""
    return [_person(n, (handle(n) if handle else secrets.token_urlsafe(16)).encode()) for n in range(1, number + 1)]


def _person(number: int, handle: bytes) -> Person:
    key = StubKey(verifies_user=True, resident=True)
    user = {"id": websafe_encode(handle), "name": f"person{number}", "displayName": f"Person {number}"}
    options = {
        "rp": {"id": RP_ID, "name": "Bench"},
        "user": user,
        "challenge": websafe_encode(secrets.token_bytes(32)),
        "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
    }
    bound = json.loads(key.create(json.dumps(options), ORIGIN))
    return Person(number, f"person{number}", f"198.51.100.{number}", handle, key, bound)

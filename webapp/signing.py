"""What is signed with KEYSTEAD_SECRET_KEYS: the first secret signs, all verify. Never encrypts: whatever is signed can be read.

Each purpose has a salt of its own, so that what was signed for one is worth nothing for another.
"""

import hashlib
import hmac
from functools import cache
from typing import Any

from itsdangerous import BadData, BadSignature, Signer, URLSafeSerializer

Keys = tuple[str, ...]


def sign(keys: Keys, purpose: str, text: str) -> str:
    """The text with a signature behind it."""
    return _signer(keys, purpose).sign(text).decode()


def unsign(keys: Keys, purpose: str, signed: str) -> str | None:
    """The text, if one of our keys signed it for this purpose."""
    try:
        return _signer(keys, purpose).unsign(signed).decode()
    except (BadSignature, UnicodeError):
        return None


def dumps(keys: Keys, purpose: str, value: object) -> str:
    """JSON in a form that can stand in an address, signed."""
    return str(_serializer(keys, purpose).dumps(value))


def loads(keys: Keys, purpose: str, signed: str) -> Any:
    """The value, if one of our keys signed it for this purpose; None otherwise."""
    try:
        return _serializer(keys, purpose).loads(signed)
    except (BadData, ValueError, RecursionError):
        return None


def mac(key: str, purpose: str, *parts: str) -> bytes:
    """HMAC-SHA-256 over the parts, each with its length, so that no two lists of parts are the same bytes."""
    text = "".join([f"{len(part)}:{part}" for part in (f"keystead {purpose}", *parts)])
    return hmac.digest(key.encode(), text.encode(), hashlib.sha256)


@cache
def key_id(key: str) -> bytes:
    """Four bytes by which a secret is recognised, and which tell nothing of it."""
    return hashlib.sha256(f"keystead key id {key}".encode()).digest()[:4]


@cache
def _signer(keys: Keys, purpose: str) -> Signer:
    return Signer(_derived(keys, purpose), key_derivation="none", digest_method=hashlib.sha256)


@cache
def _serializer(keys: Keys, purpose: str) -> URLSafeSerializer:
    how = {"key_derivation": "none", "digest_method": hashlib.sha256}
    return URLSafeSerializer(_derived(keys, purpose), signer_kwargs=how)


def _derived(keys: Keys, purpose: str) -> list[bytes]:
    """What signs for this purpose, newest last, as itsdangerous wants them; it would derive them again for each signature."""
    return [Signer(key, salt=f"keystead.{purpose}", digest_method=hashlib.sha256).derive_key() for key in reversed(keys)]

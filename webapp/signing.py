"""What is signed with KEYSTEAD_SECRET_KEYS: the first secret signs, all verify. Never encrypts: whatever is signed can be read.

Each purpose has a salt of its own, so that what was signed for one is worth nothing for another.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from functools import cache
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

Keys = tuple[str, ...]


def sign(keys: Keys, purpose: str, text: str) -> str:
    """The text with a signature behind it."""
    return f"{text}.{_signature(keys[0], purpose, text)}"


def unsign(keys: Keys, purpose: str, signed: str) -> str | None:
    """The text, if one of our keys signed it for this purpose."""
    text, _, signature = signed.rpartition(".")
    is_ours = signature.isascii() and any(hmac.compare_digest(_signature(key, purpose, text), signature) for key in keys)
    return text if is_ours else None


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
    text = "".join(f"{len(part)}:{part}" for part in (f"keystead {purpose}", *parts))
    return hmac.digest(key.encode(), text.encode(), hashlib.sha256)


@cache
def key_id(key: str) -> bytes:
    """Four bytes by which a secret is recognised, and which tell nothing of it."""
    return hashlib.sha256(f"keystead key id {key}".encode()).digest()[:4]


def _signature(key: str, purpose: str, text: str) -> str:
    """The one that itsdangerous makes, which derives the key of each purpose anew each time: a logon has eleven."""
    made = hmac.digest(_derived(key, purpose), text.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return urlsafe_b64encode(made).decode().rstrip("=")


@cache
def _derived(key: str, purpose: str) -> bytes:
    return hashlib.sha256(f"keystead.{purpose}signer{key}".encode()).digest()


@cache
def _serializer(keys: Keys, purpose: str) -> URLSafeSerializer:
    newest_last = keys[::-1]
    return URLSafeSerializer(newest_last, salt=f"keystead.{purpose}", signer_kwargs={"digest_method": hashlib.sha256})

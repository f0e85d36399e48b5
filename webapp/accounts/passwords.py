"""Passwords: argon2id at the strength OWASP asks for, off the event loop. Never says whether an account exists.

OWASP Password Storage Cheat Sheet: t=2, m=19 MiB, p=1. One hash takes about 25 ms of one core; `turns` says who is next. Nothing
is done with a text before its length is known to be bounded. Hashes that were imported are `foreign_hashes`; a check of one costs
what it costs, so that a name that nobody has costs what `census` says.
"""

from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Literal

import argon2
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from webapp.accounts import foreign_hashes, turns
from webapp.accounts.foreign_hashes import ForeignHash
from webapp.accounts.turns import Busy

__all__ = [
    "MAX_LENGTH",
    "MIN_DIFFERENT",
    "MIN_LENGTH",
    "NOBODYS",
    "Busy",
    "ForeignHash",
    "Weakness",
    "foreign",
    "hash",
    "kind",
    "outdated",
    "verify",
    "weakness",
]  # fmt: skip

MIN_LENGTH = 12
MAX_LENGTH = 1024
MIN_DIFFERENT = 5
"""Different characters."""

Weakness = Literal["too short", "too long", "too common", "is a name"]
NOBODYS = ""
"""The hash of an account that has no password: whoever owns it asks for a new one."""

_hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_NOBODYS_HASH = f"$argon2id$v=19$m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}${'A' * 22}${'A' * 43}"
"""Costs what any other hash costs. No password is known that it belongs to, and none would be right."""


async def hash(password: str) -> str:
    """A new hash, with its own salt and parameters in it. For who is known already: Busy only if 64 of those wait."""
    return await turns.take(_hash, password, known=True)


async def verify(password_hash: str | None, password: str, *, known: bool = False, like: ForeignHash | None = None) -> bool:
    """Whether this is the password; Busy if too many wait. `known`: the browser has logged on before, and is served first.

    Without a hash (no such account) the answer is False, and takes as long as a check of one `like` this, or of ours. With one
    that cannot be verified it takes as long as ours.
    """
    if len(password) > MAX_LENGTH:
        return False
    checked = like if password_hash is None else foreign(password_hash)
    if checked is not None:
        return await turns.take(_verify_foreign, checked, password, known=known) and password_hash is not None
    return await turns.take(_verify, password_hash, password, known=known)


def foreign(password_hash: str) -> ForeignHash | None:
    """What other software made, and we can verify; None for a hash of ours, and for what is none."""
    if not outdated(password_hash):
        return None
    with suppress(foreign_hashes.NotKept):
        return foreign_hashes.read(password_hash)
    return None


def outdated(password_hash: str) -> bool:
    """Whether the hash was made otherwise than today's are."""
    try:
        return _hasher.check_needs_rehash(password_hash)
    except InvalidHashError:
        return True


def kind(password_hash: str) -> str:
    """`ours`, `none`, what other software made it, or `unknown`, which nobody can log on with."""
    if password_hash == NOBODYS:
        return "none"
    if not outdated(password_hash):
        return "ours"
    kept = foreign(password_hash)
    return kept.kind if kept else "unknown"


def weakness(password: str, names: Iterable[str] = ()) -> Weakness | None:
    """Why this cannot be a new password; None if it can. `names` are of the person and the site; of addresses each part counts.

    Length, and nothing that is tried first; no rules of composition (NIST SP 800-63B-4 §3.1.1.2).
    """
    if len(password) < MIN_LENGTH:
        return "too short"
    if len(password) > MAX_LENGTH:
        return "too long"
    plain = password.casefold()
    if plain in _commonest() or len(set(plain)) < MIN_DIFFERENT:
        return "too common"
    if plain in {part.casefold() for name in names for part in (name, *name.split("@"))}:
        return "is a name"
    return None


@cache
def _commonest() -> frozenset[str]:
    """Only as long as a password must be; shorter ones are refused before. Read when the first new password is set."""
    lines = (Path(__file__).parent / "commonest.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line.casefold() for line in lines if not line.startswith("#"))


def _hash(password: str) -> str:
    return _hasher.hash(_octets(password))


def _verify(password_hash: str | None, password: str) -> bool:
    if password_hash is not None and not outdated(password_hash):
        try:
            return _hasher.verify(password_hash, _octets(password))
        except VerifyMismatchError:
            return False
        except (VerificationError, ValueError):  # none after all: never right, and no sooner wrong than others
            pass
    with suppress(VerifyMismatchError):
        _hasher.verify(_NOBODYS_HASH, _octets(password))
    return False


def _verify_foreign(password_hash: ForeignHash, password: str) -> bool:
    return password_hash.is_of(_octets(password))


def _octets(password: str) -> bytes:
    """Any text has some, also half of a surrogate pair."""
    return password.encode("utf-8", "surrogatepass")

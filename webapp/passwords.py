"""Passwords: argon2id at the strength OWASP asks for, off the event loop. Never says whether an account exists.

OWASP Password Storage Cheat Sheet: t=2, m=19 MiB, p=1. One hash takes about 22 ms of one core, so as many run at once as there
are cores, and the rest wait their turn: a storm of logons must not starve the people who are at their key.
"""

import os
from functools import cache
from pathlib import Path

import argon2
from anyio import CapacityLimiter, to_thread

from backends.records import Account

SHORTEST = 12
LONGEST = 1024
FEWEST_DIFFERENT = 5

_hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


async def hash(password: str) -> str:
    """A new hash, with its own salt and parameters in it."""
    return await to_thread.run_sync(_hasher.hash, password, limiter=_limiter())


async def verify(password_hash: str | None, password: str) -> bool:
    """Whether this is the password. Without a hash (no such account) the answer is False and takes as long."""
    if len(password) > LONGEST:
        return False
    return await to_thread.run_sync(_verify, password_hash, password, limiter=_limiter())


def outdated(password_hash: str) -> bool:
    """Whether the hash was made with other parameters than today's."""
    return _hasher.check_needs_rehash(password_hash)


def weakness(password: str, account: Account | None = None, site: str = "") -> str | None:
    """Why this cannot be a new password, in words for the person; None if it can.

    Length, and nothing that is tried first; no rules of composition (NIST SP 800-63B-4 §3.1.1.2).
    """
    if len(password) < SHORTEST:
        return f"Use at least {SHORTEST} characters."
    if len(password) > LONGEST:
        return f"Use at most {LONGEST} characters."
    plain = password.casefold()
    if plain in _commonest() or len(set(plain)) < FEWEST_DIFFERENT:
        return "That password is one of those that are tried first. Choose another."
    if account and plain in _names(account, site):
        return "That is your name. Choose something that nobody knows about you."
    return None


def _names(account: Account, site: str) -> set[str]:
    return {name.casefold() for name in (account.username, account.email, account.email.partition("@")[0], site)}


@cache
def _commonest() -> frozenset[str]:
    """Only as long as a password must be; shorter ones are refused before. Read when the first new password is set."""
    lines = (Path(__file__).parent / "commonest.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line.casefold() for line in lines if not line.startswith("#"))


def _verify(password_hash: str | None, password: str) -> bool:
    try:
        _hasher.verify(password_hash or _nobody(), password)
    except argon2.exceptions.VerifyMismatchError:
        return False
    return password_hash is not None


@cache
def _nobody() -> str:
    return _hasher.hash(os.urandom(16).hex())


@cache
def _limiter() -> CapacityLimiter:
    return CapacityLimiter(os.cpu_count() or 1)

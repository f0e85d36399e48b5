"""Passwords: argon2id at the strength OWASP asks for, off the event loop. Never says whether an account exists.

OWASP Password Storage Cheat Sheet: t=2, m=19 MiB, p=1. One hash takes about 22 ms of one core, so as many run at once as there
are cores, and the rest wait their turn: a storm of logons must not starve the people who are at their key.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TypeVar

import argon2

from backends.records import Account

T = TypeVar("T")

SHORTEST = 12
LONGEST = 1024
FEWEST_DIFFERENT = 5

_hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


async def hash(password: str) -> str:
    """A new hash, with its own salt and parameters in it."""
    return await _in_a_thread(_hasher.hash, password)


async def verify(password_hash: str | None, password: str) -> bool:
    """Whether this is the password. Without a hash (no such account) the answer is False and takes as long."""
    if len(password) > LONGEST:
        return False
    return await _in_a_thread(_verify, password_hash, password)


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


async def _in_a_thread(work: Callable[..., T], *args: str | None) -> T:
    return await asyncio.get_running_loop().run_in_executor(_threads(), work, *args)


@cache
def _threads() -> ThreadPoolExecutor:
    """They last as long as the process: malloc keeps the 19 MB of a hash for the thread that made it, and gave them anew to each
    thread of a pool that lets its idle ones go."""
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="password")

"""Hashes of real argon2id that cost next to nothing, for tests that log on again and again and do not ask how strong they are."""

from collections.abc import Iterator
from contextlib import contextmanager

import argon2
import pytest

from webapp.accounts import passwords

CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@contextmanager
def cheap() -> Iterator[None]:
    """Passwords are hashed so meanwhile, those of nobody too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", CHEAP)
        patch.setattr(passwords, "_NOBODYS_HASH", CHEAP.hash("nobody's"))
        yield

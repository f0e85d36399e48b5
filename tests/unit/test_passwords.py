import asyncio
import os
import threading
import time

import pytest

from webapp import passwords

pytestmark = pytest.mark.anyio
CORES = os.cpu_count() or 1


async def test_a_password_is_verified_by_its_hash_and_no_other_is() -> None:
    hashed = await passwords.hash("correct horse battery")
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.verify(hashed, "correct horse battery")
    assert not await passwords.verify(hashed, "correct horse batterz")


async def test_an_account_that_does_not_exist_costs_a_hash_and_is_never_right() -> None:
    await passwords.verify(None, "warm up")
    before = time.process_time()
    assert not await passwords.verify(None, "correct horse battery")
    assert time.process_time() - before > 0.005, "no hash was computed"


async def test_hashes_are_made_by_as_many_threads_as_there_are_cores_and_these_last() -> None:
    def password_threads() -> set[int | None]:
        return {thread.ident for thread in threading.enumerate() if thread.name.startswith("password")}

    await asyncio.gather(*(passwords.verify(None, "correct horse battery") for _ in range(4 * CORES)))
    first = password_threads()
    assert len(first) == CORES
    await asyncio.gather(*(passwords.hash("correct horse battery") for _ in range(4 * CORES)))
    assert password_threads() == first


async def test_a_monstrous_password_is_wrong_without_being_hashed() -> None:
    hashed = await passwords.hash("x")
    assert not await passwords.verify(hashed, "x" * 100_000)


def test_a_hash_with_weaker_parameters_is_outdated() -> None:
    assert passwords.outdated("$argon2id$v=19$m=1024,t=1,p=1$c29tZXNhbHRzb21l$RdescudvJCsgt3ub+b4dWRWJTmaaJObG")


def test_a_short_password_is_weak() -> None:
    assert passwords.weakness("elevenchars") == "Use at least 12 characters."
    assert passwords.weakness("twelve chars") is None

"""A name that nobody has costs what somebody's would: so often as there are accounts of that kind."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest

from backends.protocol import Backend, OnDamaged, Unavailable
from backends.records import Account
from tests.accounts.conftest import Stored
from tests.foreign import MADE
from tests.waiting import going_on, until
from webapp.accounts import census, identities, passwords
from webapp.accounts.census import Census
from webapp.accounts.commits import change
from webapp.accounts.context import Context

pytestmark = pytest.mark.anyio
KEYS = ("the newest secret", "the oldest secret")
BCRYPT, SCRYPT, PBKDF2 = MADE["bcrypt 2b"], MADE["django scrypt"], MADE["django pbkdf2_sha256"]


async def populate(stored: Stored, hashes: list[str]) -> None:
    for number, hash in enumerate(hashes):
        await stored(id=f"id{number}", username=f"p{number}", email=f"p{number}@example.com", password_hash=hash)


async def counted(backend: Backend, keys: tuple[str, ...] = KEYS) -> Census:
    made = Census(keys)
    await made.take(backend)
    return made


def drawn(by: Census, names: int = 4000) -> Counter[str]:
    likes = (by.like(f"nobody{number}") for number in range(names))
    return Counter(like.kind if like else "ours" for like in likes)


async def test_where_nothing_was_imported_every_name_costs_the_same(backend: Backend, stored: Stored) -> None:
    assert drawn(Census(KEYS)) == drawn(await counted(backend)) == {"ours": 4000}
    await populate(stored, [await passwords.hash("correct horse battery"), "", "{SHA}x"])
    assert drawn(await counted(backend)) == {"ours": 4000}, "what cannot be verified costs as much as ours"


async def test_names_that_nobody_has_are_of_the_kinds_that_there_are_and_as_often(backend: Backend, stored: Stored) -> None:
    await populate(stored, [BCRYPT] * 6 + [SCRYPT] * 2 + [PBKDF2] + [await passwords.hash("correct horse battery")])
    found = drawn(await counted(backend))
    assert {kind: round(number / 4000, 1) for kind, number in found.items()} == {
        "bcrypt 4": 0.6, "scrypt N=1024 r=8 p=1": 0.2, "PBKDF2-sha256 1000": 0.1, "ours": 0.1,
    }  # fmt: skip


async def test_a_name_is_always_like_the_same_in_every_process_and_whoever_knows_no_secret_does_not_know_of_which(
    backend: Backend, stored: Stored
) -> None:
    await populate(stored, [BCRYPT, await passwords.hash("correct horse battery")])

    def likes(by: Census) -> list[bool]:
        return [by.like(f"nobody{number}") is not None for number in range(200)]

    first = await counted(backend)
    assert likes(first) == likes(await counted(backend))
    assert likes(first) == likes(await counted(backend, ("a newer one", *KEYS))), "a new secret in front changes nothing"
    assert likes(first) != likes(await counted(backend, ("another secret",)))
    assert first.like("Nobody1") == first.like("NOBODY1")
    first.like("x" * 100_000)


async def test_as_people_log_on_names_that_nobody_has_follow(ctx: Context, stored: Stored) -> None:
    await populate(stored, [BCRYPT] * 4)
    first = await counted(ctx.backend)
    assert drawn(first)["bcrypt 4"] == 4000
    found = await ctx.backend.account_named("p1")
    assert found
    await change(ctx, found, identities.set_password, await passwords.hash("correct horse battery"))
    second = await counted(ctx.backend)
    assert round(drawn(second)["bcrypt 4"] / 4000, 1) in (0.7, 0.8)


async def test_it_is_counted_again_soon_after_a_kind_is_met_that_was_not(
    backend: Backend, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(census, "LOOK_EVERY", 0.01)
    kept = Census(KEYS)
    async with going_on(kept.run(backend)):
        await asyncio.sleep(0.05)
        await populate(stored, [BCRYPT])
        for met in (None, "", "{SHA}x", await passwords.hash("correct horse battery")):
            kept.meet(met)
            assert not kept._is_due
        await asyncio.sleep(0.05)
        assert kept.like("nobody") is None, "nothing is counted that is not due"
        kept.meet(BCRYPT)
        await until(lambda: kept.like("nobody") is not None)
        kept.meet(BCRYPT)
        assert not kept._is_due, "it is known now"


@pytest.mark.parametrize("most", [census.MAX_READ, 2])
async def test_a_damaged_account_keeps_nobody_from_being_counted_and_is_named(
    backend: Backend,
    stored: Stored,
    damage: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    most: int,
) -> None:
    monkeypatch.setattr(census, "MAX_READ", most)
    monkeypatch.setattr(census, "SAMPLES", 1)
    monkeypatch.setattr(census, "LETTERS", "a")
    await populate(stored, [BCRYPT] * 3)
    damage("id0")
    assert drawn(await counted(backend)) == {"bcrypt 4": 4000}
    (named,) = [record.__dict__["fields"] for record in caplog.records if record.message.startswith("damaged")]
    assert named["account"] == "id0"


async def test_of_very_many_accounts_as_many_are_read_as_are_enough(
    backend: Backend, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(census, "MAX_READ", 10)
    monkeypatch.setattr(census, "SAMPLES", 5)
    monkeypatch.setattr(census, "LETTERS", "a")
    await populate(stored, [BCRYPT] * 10 + [SCRYPT] * 10)
    read = 0

    async def counting(after: str = "", *, damaged: OnDamaged) -> AsyncIterator[Account]:
        nonlocal read
        async for found in type(backend).accounts(backend, after, damaged=damaged):
            read += 1
            yield found

    monkeypatch.setattr(backend, "accounts", counting)
    made = await counted(backend)
    assert read == 10
    assert drawn(made) == {"bcrypt 4": 4000}, "the samples have no other"
    made.meet(SCRYPT)
    await made.take(backend)
    assert round(drawn(made)["scrypt N=1024 r=8 p=1"] / 4000, 1) == 0.1, "as rare as one in all samples"
    made.meet(SCRYPT)
    assert not made._is_due


async def test_a_backend_that_does_not_answer_is_asked_again(
    backend: Backend, stored: Stored, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await populate(stored, [BCRYPT])
    monkeypatch.setattr(census, "AGAIN_IN", 0.01)
    monkeypatch.setattr(census, "LOOK_EVERY", 0.01)
    asked = 0

    async def fails_once(self: Census, backend: Backend) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise Unavailable("no server")

    monkeypatch.setattr(Census, "take", fails_once)
    async with going_on(Census(KEYS).run(backend)):
        await asyncio.sleep(0.1)
    assert asked == 2
    assert "accounts not counted: no server" in caplog.text

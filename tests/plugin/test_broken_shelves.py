"""The contract finds a backend that breaks a promise: shelves, each broken in one place, and the test that must fail for it."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from backends.contract import BackendContract
from backends.contract.durability import Ledger, first, following
from backends.contract.samples import account, noise, noisy_text
from backends.protocol import KeyTaken, OnDamaged, refuse
from backends.records import Account, Event, Record
from tests.plugin.keystead_shelf import ShelfBackend


class IgnoresTheVersion(ShelfBackend):
    async def commit(self, was: Account, now: Account, events: Sequence[Event] = ()) -> bool:
        there = await self.account(was.id)
        return there is not None and await super().commit(there, now, events)


class AsksBeforeItWrites(ShelfBackend):
    """Whoever comes between the two is overwritten."""

    async def commit(self, was: Account, now: Account, events: Sequence[Event] = ()) -> bool:
        there = await self.account(was.id)
        await asyncio.sleep(0.001)
        newer = await self.account(was.id)
        return there is not None and there.version == was.version and await super().commit(newer or there, now, events)


class LosesEvents(ShelfBackend):
    async def commit(self, was: Account, now: Account, events: Sequence[Event] = ()) -> bool:
        return await super().commit(was, now, events[1:])


class WritesInTwoSteps(ShelfBackend):
    """The account first, its events a little later."""

    async def commit(self, was: Account, now: Account, events: Sequence[Event] = ()) -> bool:
        accepted = await super().commit(was, now)
        await asyncio.sleep(0.001)
        with self._shelf() as shelf:
            shelf.events[now.id] += events if accepted else []
        return accepted


class KeepsEventsOfTheDead(ShelfBackend):
    async def remove(self, account: Account) -> bool:
        events = await self.events_of(account.id, 100)
        removed = await super().remove(account)
        with self._shelf() as shelf:
            shelf.events[account.id] = events
        return removed


class KeepsClaims(ShelfBackend):
    """A credential id that was once asked for stays taken, whatever became of that."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._claims: dict[bytes, str] = {}

    def _claim(self, account: Account) -> None:
        if any(self._claims.setdefault(key.id, account.id) != account.id for key in account.keys):
            raise KeyTaken

    async def add(self, account: Account, events: Sequence[Event] = ()) -> None:
        self._claim(account)
        await super().add(account, events)

    async def commit(self, was: Account, now: Account, events: Sequence[Event] = ()) -> bool:
        self._claim(now)
        return await super().commit(was, now, events)


def _is_short(id: bytes) -> bool:
    return len(zlib.compress(id)) <= 900


class BoundsItsKeys(ShelfBackend):
    """As an engine whose index takes at most 900 bytes after compression."""

    async def add(self, account: Account, events: Sequence[Event] = ()) -> None:
        assert all(_is_short(key.id) for key in account.keys)
        await super().add(account, events)


class BoundsItsTexts(ShelfBackend):
    """As an engine whose pages take what compresses well."""

    async def add(self, account: Account, events: Sequence[Event] = ()) -> None:
        assert len(zlib.compress(account.password_hash.encode())) < 15_000
        await super().add(account, events)


class CutsTimes(ShelfBackend):
    async def add(self, account: Account, events: Sequence[Event] = ()) -> None:
        await super().add(replace(account, created_at=account.created_at.replace(microsecond=0)), events)


class FindsAnyAddress(ShelfBackend):
    async def account_named(self, name: str) -> Account | None:
        with self._shelf() as shelf:
            other = [account for account in shelf.accounts.values() if account.email == name]
        return await super().account_named(name) or (other[0] if other else None)


class OwesInAnyOrder(ShelfBackend):
    async def owing(self, now: datetime, limit: int, *, damaged: OnDamaged = refuse) -> list[Account]:
        return sorted(await super().owing(now, limit), key=lambda account: account.id)


class DumpsAccountsFirst(ShelfBackend):
    async def dump(self, *, damaged: OnDamaged = refuse) -> AsyncIterator[Record]:
        records = [record async for record in super().dump()]
        for record in sorted(records, key=lambda record: isinstance(record, Event)):
            yield record


BROKEN: list[tuple[type[ShelfBackend], str, tuple[Any, ...]]] = [
    (IgnoresTheVersion, "test_a_commit_from_another_version_changes_nothing", ()),
    (IgnoresTheVersion, "test_a_race_of_many_tasks_is_fair", ("one version of an account",)),
    (AsksBeforeItWrites, "test_a_race_of_many_tasks_is_fair", ("one version of an account",)),
    (AsksBeforeItWrites, "test_a_race_of_many_tasks_is_fair", ("commits until they win",)),
    (LosesEvents, "test_a_commit_stores_the_account_and_appends_its_events", ()),
    (WritesInTwoSteps, "test_a_commit_that_is_cancelled_leaves_the_old_or_the_new_as_a_whole", ()),
    (KeepsEventsOfTheDead, "test_what_was_removed_is_free_again", ()),
    (KeepsClaims, "test_what_was_refused_takes_no_name_and_no_key", ()),
    (BoundsItsKeys, "test_an_id_of_a_key_may_be_any_bytes", (noise(1023),)),
    (BoundsItsTexts, "test_any_text_comes_back_as_it_was", (noisy_text(10_000),)),
    (CutsTimes, "test_an_account_comes_back_as_it_was", ()),
    (FindsAnyAddress, "test_an_address_that_two_accounts_share_finds_neither", ()),
    (OwesInAnyOrder, "test_accounts_that_owe_a_notification_come_longest_due_first", ()),
    (DumpsAccountsFirst, "test_a_dump_holds_accounts_by_id_each_followed_by_its_events", ()),
]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("broken", "promise", "given"), BROKEN, ids=[f"{broken[0].__name__} {n}" for n, broken in enumerate(BROKEN)]
)
async def test_a_broken_promise_is_found(
    tmp_path: Path, broken: type[ShelfBackend], promise: str, given: tuple[Any, ...]
) -> None:
    test = getattr(BackendContract(), promise)
    await test(ShelfBackend(tmp_path / "whole"), *given)
    with pytest.raises((AssertionError, KeyTaken, pytest.fail.Exception)):
        await test(broken(tmp_path / "broken"), *given)


@pytest.mark.anyio
async def test_the_proof_of_durability_tells_what_was_lost_and_what_is_there_in_part(tmp_path: Path) -> None:
    shelf = ShelfBackend(tmp_path / "shelf")
    ledger = await Ledger.begun(shelf, 1)
    (owner,) = ledger.asked

    async def faults() -> list[str]:
        return [fault.removeprefix(f"{owner}: ") for fault in await ledger.faults(shelf)]

    was = first(owner)
    now, events = following(was)
    ledger.note("asked", owner, 2)
    assert await faults() == []
    await shelf.add(account("another", keys=now.keys[1:]))
    assert await faults() == ["a key that it does not hold is taken"]
    await shelf.remove(account("another"))
    ledger.note("acknowledged", owner, 2)
    assert await faults() == ["version 1 is there, but 2 was acknowledged and 2 asked"]
    await shelf.commit(was, now)
    assert await faults() == ["the events are not those that were committed"]
    await shelf.commit(now, replace(was, version=2), events)
    assert await faults() == ["the record is not the one that was committed", "its key can be bound a second time"]
    await shelf.commit(now, now)
    assert await faults() == []
    await shelf.remove(now)
    assert await faults() == ["the account is lost"]

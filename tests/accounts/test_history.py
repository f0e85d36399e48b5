"""Old events may go; what is left is still sealed."""

import pytest

from backends import transfer
from backends.protocol import Backend
from backends.records import Account
from tests.accounts.samples import DAY, NOW, SETTINGS, account, act
from webapp import clock
from webapp.accounts import commits, history, identities
from webapp.accounts.context import Context
from webapp.accounts.events import Happened, Verifier

pytestmark = pytest.mark.anyio


async def with_events(ctx: Context, monkeypatch: pytest.MonkeyPatch, days: int) -> Account:
    """An account to which something happened each day, until now."""
    was = None
    for day in range(days):
        monkeypatch.setattr(clock, "source", lambda day=day: NOW - (days - 1 - day) * DAY)
        if was is None:
            was = await commits.add(ctx, account(), [Happened("account added")])
        else:
            was = await commits.change(ctx, was, identities.list_for_preview, day % 2 == 1)
    assert was
    return was


async def expired(ctx: Context, was: Account, kept: int) -> Account:
    until = await history.newest_before(ctx, was, kept * DAY)
    assert until
    return await commits.change(ctx, was, history.expire, until)


async def seqs(backend: Backend) -> list[int]:
    return [each.seq for each in await backend.events_of("alices-id", 1000)]


async def check(backend: Backend) -> list[str]:
    return [fault async for fault in transfer.check(backend, Verifier(SETTINGS.secret_keys))]


async def test_old_events_expire_and_check_stays_clean(ctx: Context, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    was = await with_events(ctx, monkeypatch, 10)
    was = await expired(ctx, was, 4)
    assert await seqs(backend) == [6, 7, 8, 9, 10, 11]
    assert was.checkpoint.seq == 5
    assert (await backend.events_of("alices-id", 1))[0].kind == "events expired"
    assert await check(backend) == []
    was = await commits.change(ctx, was, identities.set_email, "new@example.com")
    await expired(ctx, was, 2)
    assert await seqs(backend) == [8, 9, 10, 11, 12, 13]
    assert await check(backend) == []


async def test_where_nothing_is_old_nothing_expires(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    was = await with_events(ctx, monkeypatch, 3)
    assert await history.newest_before(ctx, was, 30 * DAY) is None


async def test_the_newest_event_stays_however_old_it_is(ctx: Context, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    was = await with_events(ctx, monkeypatch, 3)
    monkeypatch.setattr(clock, "source", lambda: NOW + 1000 * DAY)
    was = await expired(ctx, was, 1)
    assert await seqs(backend) == [3, 4]
    assert await check(backend) == []


async def test_old_events_are_found_behind_many_new_ones(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PAGE", 2)
    was = await with_events(ctx, monkeypatch, 9)
    until = await history.newest_before(ctx, was, 6 * DAY)
    assert until
    assert until.seq == 2


async def test_a_checkpoint_never_goes_back_nor_to_the_head(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    was = await with_events(ctx, monkeypatch, 5)
    first, *_, last = await ctx.backend.events_of("alices-id", 9)
    now = await expired(ctx, was, 2)
    for until in (first, last):
        assert history.expire(now if until is first else was, act(), until).account in (now, was)
        assert not history.expire(now if until is first else was, act(), until).events

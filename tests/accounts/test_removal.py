"""Removing an account: names and keys are free at once, nobody gets in, and the letter about it still arrives."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from backends import transfer
from backends.file import FileBackend
from backends.protocol import Backend, Unavailable
from backends.records import Account, RecoveryCode
from tests.accounts.conftest import Stored
from tests.accounts.samples import DAY, NOW, SETTINGS, account, key, logged_on
from webapp import clock
from webapp.accounts import commits, events, identities, links, owed, removal
from webapp.accounts.commits import Uncertain
from webapp.accounts.context import Context
from webapp.accounts.decision import AccountGone
from webapp.accounts.events import Happened

pytestmark = pytest.mark.anyio


def whole() -> Account:
    """An account with one of everything."""
    made, _, _ = logged_on(account(keys=(key(),), recovery_codes=(RecoveryCode(digest=b"d" * 32, made_at=NOW),)))
    return made


@pytest.fixture
async def alice(ctx: Context) -> Account:
    return await commits.add(ctx, whole(), [Happened("account added"), Happened("key bound", "Blue")])


async def removed(ctx: Context, account: Account, *, keep_events: bool = False) -> Account:
    return await commits.change(ctx, account, removal.remove, keep_events=keep_events)


async def faults(backend: Backend) -> list[str]:
    return [fault async for fault in transfer.check(backend, events.Verifier(SETTINGS.secret_keys))]


@pytest.mark.parametrize("keep_events", [True, False])
async def test_names_and_keys_of_a_removed_account_are_free_at_once(ctx: Context, alice: Account, keep_events: bool) -> None:
    await removed(ctx, alice, keep_events=keep_events)
    assert await ctx.backend.account_named("alice") is None
    assert await ctx.backend.account_named("alice@example.com") is None
    assert await ctx.backend.rp_ids() == []
    await commits.add(ctx, replace(whole(), id="another"))
    found = await ctx.backend.account_named("alice@example.com")
    assert found is not None
    assert found.id == "another"
    assert await faults(ctx.backend) == []


@pytest.mark.parametrize("keep_events", [True, False])
async def test_nothing_of_the_person_is_left_but_the_letter(ctx: Context, alice: Account, keep_events: bool) -> None:
    left = await removed(ctx, alice, keep_events=keep_events)
    assert left == await ctx.backend.account(alice.id)
    [letter] = left.notifications
    assert (letter.kind, letter.to, letter.facts) == ("account removed", "alice@example.com", {"username": "alice"})
    bare = replace(left, notifications=())
    assert "alice@" not in str(bare)
    assert (bare.keys, bare.sessions, bare.recovery_codes, bare.password_hash) == ((), (), (), "")


async def test_letters_of_before_are_not_sent_after_it(ctx: Context, alice: Account) -> None:
    """Their links lead nowhere any more."""
    alice = await commits.change(ctx, alice, identities.owe_reset)
    left = await removed(ctx, alice)
    assert [letter.kind for letter in left.notifications] == ["account removed"]


async def test_once_the_letter_is_sent_nothing_is_left(ctx: Context, alice: Account) -> None:
    left = await removed(ctx, alice)
    assert await ctx.backend.events_of(alice.id, 10) == []
    await commits.change(ctx, left, owed.sent, left.notifications[0].id)
    assert [record async for record in ctx.backend.dump()] == []


async def test_a_letter_that_nobody_takes_ends_with_the_rest(
    ctx: Context, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = await removed(ctx, alice)
    monkeypatch.setattr(clock, "source", lambda: NOW + timedelta(days=4))
    await commits.change(ctx, left, owed.not_sent, left.notifications[0].id)
    assert [record async for record in ctx.backend.dump()] == []


async def test_events_are_kept_with_the_removal_behind_them_where_that_is_asked(ctx: Context, alice: Account) -> None:
    left = await removed(ctx, alice, keep_events=True)
    left = await commits.change(ctx, left, owed.sent, left.notifications[0].id)
    kept = await ctx.backend.events_of(alice.id, 10)
    assert [(event.kind, event.detail) for event in kept] == [
        ("account added", ""), ("key bound", "Blue"), ("account removed", "alice"),
    ]  # fmt: skip
    assert await faults(ctx.backend) == []


async def test_events_that_were_kept_go_once_they_are_old(ctx: Context, alice: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    left = await removed(ctx, alice, keep_events=True)
    assert not await removal.forget(ctx, alice, DAY), "it is no removed one"
    monkeypatch.setattr(clock, "source", lambda: NOW + 2 * DAY)
    assert not await removal.forget(ctx, left, DAY), "its letter is still owed"
    left = await commits.change(ctx, left, owed.sent, left.notifications[0].id)
    assert not await removal.forget(ctx, left, 3 * DAY)
    assert await removal.forget(ctx, left, DAY)
    assert [record async for record in ctx.backend.dump()] == []


async def test_whoever_was_about_to_change_it_finds_it_gone(ctx: Context, alice: Account) -> None:
    """A mail for a new password, say, that was asked for just before: its letter must not be owed by what is left."""
    left = await removed(ctx, alice)
    with pytest.raises(AccountGone):
        await commits.change(ctx, alice, identities.owe_reset)
    assert await ctx.backend.account(alice.id) == left


async def test_a_mailed_link_does_nothing_any_more(ctx: Context, alice: Account) -> None:
    link = links.read(SETTINGS, "not me", links.make(SETTINGS, "not me", alice.id, "0", NOW).partition("token=")[2], NOW)
    assert link is not None
    left = await removed(ctx, alice)
    for operation in (identities.not_me, identities.use_known_browser_link):
        with pytest.raises(AccountGone):
            await commits.change(ctx, left, operation, link)


async def test_a_backend_that_fails_while_the_rest_is_deleted_says_what_is_so(
    ctx: Context, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = await removed(ctx, alice)
    remove, letter = FileBackend.remove, left.notifications[0].id

    async def fails(self: FileBackend, account: Account) -> bool:
        raise Unavailable

    async def answers_to_nobody(self: FileBackend, account: Account) -> bool:
        await remove(self, account)
        raise Unavailable

    async def knows_nothing(self: FileBackend, account_id: str) -> Any:
        raise Unavailable

    with monkeypatch.context() as patch:
        patch.setattr(FileBackend, "remove", fails)
        with pytest.raises(Unavailable):
            await commits.change(ctx, left, owed.sent, letter)
        patch.setattr(FileBackend, "account", knows_nothing)
        with pytest.raises(Uncertain):
            await commits.change(ctx, left, owed.sent, letter)
    monkeypatch.setattr(FileBackend, "remove", answers_to_nobody)
    await commits.change(ctx, left, owed.sent, letter)
    assert [record async for record in ctx.backend.dump()] == []


async def test_what_was_never_sealed_is_removed_like_any_other(ctx: Context, stored: Stored, backend: Backend) -> None:
    """Its first seal is an event, which must not keep the rest."""
    bare = account()
    await backend.add(bare)
    left = await removed(ctx, bare)
    await commits.change(ctx, left, owed.sent, left.notifications[0].id)
    assert [record async for record in backend.dump()] == []

"""Seals: whoever changes an account behind our back is found out. Shown on a real file, by `backend check` itself."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from backends import transfer
from backends.file import FileBackend
from backends.protocol import Backend
from backends.records import Account, ChainLink, Event, Opening, Record, RecoveryCode
from tests.accounts.conftest import Stored
from tests.accounts.samples import DAY, NOW, SETTINGS, account, act, key, logged_on, settings
from webapp.accounts import commits, events, history, identities, keys
from webapp.accounts.context import Context
from webapp.accounts.events import GONE, NEVER, OLD, WRONG, Happened, Verifier

pytestmark = pytest.mark.anyio

CODES = (RecoveryCode(digest=b"1", made_at=NOW), RecoveryCode(digest=b"2", made_at=NOW))
THREE = [Happened("logged on", "Blue"), Happened("key renamed", "Red"), Happened("logged off")]

Rewrite = Callable[[list[Record]], list[Record]]


@pytest.fixture
async def behind_our_back(backend: Backend, tmp_path: Path) -> Callable[[Rewrite], Awaitable[Backend]]:
    """The records as somebody has changed them who can write to the backend, and has no secret."""

    numbers = count()

    async def rewritten(rewrite: Rewrite) -> Backend:
        url = f"file://{tmp_path}/{next(numbers)}.db"
        await FileBackend.migrate(url)
        other = await FileBackend.open(url)
        records = rewrite([record async for record in backend.dump()])

        async def given() -> Any:
            for record in records:
                yield record

        await other.load(given())
        return other

    return rewritten


async def faults(
    backend: Backend, secrets: tuple[str, ...] = SETTINGS.secret_keys, heads: Mapping[str, ChainLink] | None = None
) -> list[str]:
    return [fault async for fault in transfer.check(backend, Verifier(secrets), heads)]


def of_account(**changes: Any) -> Rewrite:
    return lambda records: [replace(each, **changes) if isinstance(each, Account) else each for each in records]


def of_event(seq: int, **changes: Any) -> Rewrite:
    return lambda records: [replace(each, **changes) if isinstance(each, Event) and each.seq == seq else each for each in records]


# the chain


def test_events_are_numbered_without_gaps_and_sealed_to_the_one_before() -> None:
    now, sealed = events.seal(None, account(), THREE, act())
    assert [each.seq for each in sealed] == [1, 2, 3]
    assert now.head == ChainLink(seq=3, mac=sealed[-1].mac)
    verifier = Verifier(SETTINGS.secret_keys)
    assert verifier.event(None, sealed[0], ChainLink()) == ""
    assert verifier.event(sealed[0], sealed[1], ChainLink()) == ""
    assert verifier.event(sealed[1], sealed[2], ChainLink()) == ""
    assert verifier.event(sealed[0], sealed[2], ChainLink()) == WRONG
    assert verifier.account(now, sealed[-1]) == ""


@pytest.mark.parametrize(
    "change",
    [{"account_id": "b"}, {"seq": 2}, {"kind": "logged off"}, {"at": NOW + DAY}, {"address": "::1"}, {"browser": "x"},
     {"detail": "Red"}, {"state": b"another"}, {"mac": bytes(36)}],
)  # fmt: skip
def test_every_field_and_the_key_are_under_the_seal(change: dict[str, Any]) -> None:
    _, (event,) = events.seal(None, account(), THREE[:1], act())
    assert Verifier(SETTINGS.secret_keys).event(None, replace(event, **change), ChainLink()) != ""
    assert Verifier(("another secret " * 3,)).event(None, event, ChainLink()) == GONE


def test_an_event_tells_the_state_behind_it() -> None:
    first, (one,) = events.seal(None, account(), THREE[:1], act())
    _, (two,) = events.seal(first, replace(first, email="new@example.com"), THREE[:1], act())
    assert (one.state, len(one.state)) == (events.digest(account()), 32)
    assert two.state != one.state


def test_what_changes_nothing_of_who_gets_in_needs_no_new_seal() -> None:
    was, _ = events.seal(None, account(), THREE, act())
    seen, _, _ = logged_on(was)
    assert events.seal(was, seen, [], act(DAY)) == (seen, [])


@pytest.mark.parametrize(
    "change",
    [{"email": "x@example.com"}, {"username": "x"}, {"password_hash": "$x"}, {"password_at": NOW}, {"frozen_at": NOW},
     {"listed": True}, {"groups": ("admins",)}, {"keys": (key(),)}, {"recovery_codes": CODES},
     {"opening": Opening(asked_at=NOW, opens_at=NOW)}],
)  # fmt: skip
def test_what_decides_who_gets_in_is_sealed_anew_also_without_an_event(change: dict[str, Any]) -> None:
    was, _ = events.seal(None, account(), THREE, act())
    now, sealed = events.seal(was, replace(was, **change), [], act())
    assert not sealed
    assert now.seal != was.seal
    assert Verifier(SETTINGS.secret_keys).account(now, None) == ""


def test_a_seal_from_before_there_were_groups_is_still_right() -> None:
    """Eleven fields were sealed; what came later counts once it is set."""
    assert len(events.state_of(account())) == 11
    assert events.state_of(account(groups=("admins",)))[11:] == (("groups", ("admins",)),)


# behind our back


async def test_a_store_that_only_we_have_changed_is_whole(stored: Stored, ctx: Context, backend: Backend) -> None:
    was = await stored()
    was = await commits.change(ctx, was, identities.list_for_preview, True)
    await commits.change(ctx, was, identities.set_email, "new@example.com")
    assert await faults(backend) == []


async def test_check_finds_an_event_that_was_changed_removed_or_reordered(
    ctx: Context, backend: Backend, behind_our_back: Callable[[Rewrite], Awaitable[Backend]]
) -> None:
    await commits.add(ctx, account(), THREE)
    tampering: list[Rewrite] = [
        of_event(2, detail="Green"),
        lambda records: [each for each in records if not (isinstance(each, Event) and each.seq == 2)],
        lambda records: [each for each in records if not (isinstance(each, Event) and each.seq == 3)],
        lambda records: [each for each in records if not (isinstance(each, Event) and each.seq > 1)],
        lambda records: records[:1],
        lambda records: [records[0], replace(records[2], seq=1), replace(records[1], seq=2), records[3]],
        lambda records: [*records, replace(records[3], seq=4)],
    ]
    for rewrite in tampering:
        other = await behind_our_back(rewrite)
        assert await faults(other) != []
        await other.close()


async def test_a_tail_that_was_cut_together_with_the_head_is_found(
    ctx: Context, backend: Backend, behind_our_back: Callable[[Rewrite], Awaitable[Backend]]
) -> None:
    await commits.add(ctx, account(), THREE)

    def cut(records: list[Record]) -> list[Record]:
        whole, first, second, _ = records
        assert isinstance(whole, Account)
        assert isinstance(second, Event)
        return [replace(whole, head=ChainLink(seq=second.seq, mac=second.mac)), first, second]

    other = await behind_our_back(cut)
    assert await faults(other) == [f"account alices-id {WRONG}"]
    await other.close()


@pytest.mark.parametrize(
    "change",
    [
        {"keys": ()},
        {"keys": (key(b"1"), key(b"2"), key(b"strangers"))},
        {"keys": (key(b"1"), key(b"2", public_key=b"strangers"))},
        {"keys": (key(b"1"), key(b"2", suspended_at=NOW))},
        {"email": "stranger@example.com"},
        {"password_hash": "$strangers"},
        {"recovery_codes": CODES[:1]},
        {"recovery_codes": (*CODES, RecoveryCode(digest=b"3", made_at=NOW))},
        {"frozen_at": None},
        {"barred": True},
        {"groups": ("admins",)},
        {"opening": Opening(asked_at=NOW, opens_at=NOW)},
        {"checkpoint": ChainLink(seq=1, mac=b"x")},
    ],
)
async def test_what_was_changed_of_an_account_is_found(
    change: dict[str, Any], stored: Stored, backend: Backend, behind_our_back: Callable[[Rewrite], Awaitable[Backend]]
) -> None:
    await stored(keys=(key(b"1"), key(b"2")), recovery_codes=CODES, frozen_at=NOW)
    other = await behind_our_back(of_account(**change))
    assert f"account alices-id {WRONG}" in await faults(other)
    await other.close()


async def test_the_next_commit_does_not_hide_what_was_changed_behind_our_back(
    stored: Stored, ctx: Context, behind_our_back: Callable[[Rewrite], Awaitable[Backend]], caplog: pytest.LogCaptureFixture
) -> None:
    """It would be sealed by us otherwise, with the stranger's key in it."""
    await stored()
    other = await behind_our_back(of_account(keys=(key(b"strangers"),)))
    found = await other.account("alices-id")
    assert found
    context = Context(ctx.settings, other, ctx.metrics)
    for email in ("one@example.com", "two@example.com"):
        found = await commits.change(context, found, identities.set_email, email)
    assert await faults(other) == [f"account alices-id {WRONG}"]
    assert any("behind our back" in record.getMessage() for record in caplog.records)
    await other.close()


async def test_a_seal_that_was_taken_away_is_made_anew_with_an_event(
    stored: Stored, ctx: Context, behind_our_back: Callable[[Rewrite], Awaitable[Backend]]
) -> None:
    await stored()
    for seal, fault in ((b"", NEVER), (b"\0" * 36, GONE)):
        other = await behind_our_back(of_account(seal=seal, keys=(key(b"strangers"),)))
        assert await faults(other) == [f"account alices-id {fault}"]
        found = await other.account("alices-id")
        assert found
        await commits.change(Context(ctx.settings, other, ctx.metrics), found, identities.set_email, "one@example.com")
        assert await faults(other) == []
        assert [each.kind for each in await other.events_of("alices-id", 9)] == ["sealed", "e-mail changed"]
        await other.close()


async def test_an_account_put_back_in_time_is_found_by_heads_that_were_kept(
    stored: Stored, ctx: Context, backend: Backend
) -> None:
    was = await stored(keys=(key(),))
    earlier = [record async for record in backend.dump()]
    await commits.change(ctx, was, keys.unbind, [b"key"])
    heads = {account_id: head async for account_id, head in transfer.heads(backend)}
    now = await backend.account(was.id)
    assert now
    assert await backend.remove(now)
    put_back = earlier[0]
    assert isinstance(put_back, Account)
    await backend.add(put_back)
    assert await faults(backend) == [], "by itself it is whole"
    assert any("put back in time" in fault for fault in await faults(backend, heads=heads))


# secrets


async def test_a_secret_that_is_no_longer_set_is_told_from_tampering(ctx: Context, backend: Backend) -> None:
    await commits.add(ctx, account(), THREE)
    (new,) = rotated = ("a new secret " * 4,)
    assert await faults(backend, rotated) == [f"event 1 of account alices-id {GONE}"]
    assert await faults(backend, (new, *SETTINGS.secret_keys)) == []


async def test_a_chain_goes_on_under_a_new_secret(ctx: Context, backend: Backend) -> None:
    was = await commits.add(ctx, account(), THREE)
    both = settings(secret_keys=("a new secret " * 4, *SETTINGS.secret_keys))
    await commits.change(Context(both, backend, ctx.metrics), was, identities.set_email, "new@example.com")
    assert await faults(backend, both.secret_keys) == []
    assert await faults(backend, SETTINGS.secret_keys) == [f"event 4 of account alices-id {GONE}"]


# version 0.1


def sealed_by_0_1(seq: int, before: Event | None, secret: str) -> Event:
    """As version 0.1 sealed its events (webapp/events.py there)."""
    event = Event(
        account_id="alices-id", seq=seq, kind="logged on", at=NOW, address="192.0.2.1", browser="Firefox", detail="Blue", mac=b""
    )
    fields = (event.account_id, str(event.seq), event.kind, event.at.isoformat(), event.address, event.browser, event.detail)
    mac_before = before.mac.hex() if before else ""
    text = "".join(f"{len(field)}:{field}" for field in ("keystead event", mac_before, *fields))
    return replace(event, mac=hmac.digest(secret.encode(), text.encode(), hashlib.sha256))


async def test_a_chain_of_version_0_1_is_verified_and_goes_on(ctx: Context, backend: Backend) -> None:
    old = settings().secret_keys[0]
    first = sealed_by_0_1(1, None, old)
    second = sealed_by_0_1(2, first, old)
    head = ChainLink(seq=2, mac=second.mac)
    await backend.add(account(head=head), [first, second])
    assert await faults(backend) == [f"account alices-id {NEVER}"]
    found = await backend.account("alices-id")
    assert found
    was = await commits.change(ctx, found, history.seal_for_the_first_time)
    assert await commits.change(ctx, was, history.seal_for_the_first_time) is was
    await commits.change(ctx, was, identities.set_email, "new@example.com")
    assert await faults(backend) == []
    assert [each.kind for each in await backend.events_of("alices-id", 9)] == [
        "logged on",
        "logged on",
        "sealed",
        "e-mail changed",
    ]
    assert f"event 1 of account alices-id {OLD}" in await faults(backend, ("another secret " * 3,))


@pytest.mark.parametrize("change", [{"detail": "Red"}, {"seq": 2}, {"at": NOW + DAY}, {"mac": bytes(32)}])
def test_an_event_of_version_0_1_that_was_changed_is_found(change: dict[str, Any]) -> None:
    event = sealed_by_0_1(1, None, SETTINGS.secret_keys[0])
    verifier = Verifier(SETTINGS.secret_keys)
    assert verifier.event(None, event, ChainLink()) == ""
    assert verifier.event(None, replace(event, **change), ChainLink()) == OLD

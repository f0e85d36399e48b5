"""Records to try a backend with: one of each kind, with whatever a test wants otherwise, and a backend full of them."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from backends.protocol import Backend
from backends.records import Account, Event, Record, SecurityKey, Session, Spent, Use, VerificationCode

NOW = datetime(2040, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
"""Ahead of every clock, so that no engine's own broom takes what a test put there."""
MINUTE = timedelta(minutes=1)
MILLISECOND = timedelta(milliseconds=1)


def account(id: str = "alice", **changes: Any) -> Account:
    made = Account(id=id, username=id, email=f"{id}@example.com", password_hash="$…", created_at=NOW, password_at=NOW)  # noqa: S106 - no password has this hash
    return replace(made, **changes)


def key(id: bytes = b"key", account_id: str = "alice", **changes: Any) -> SecurityKey:
    made = SecurityKey(
        id=id, account_id=account_id, name="Blue key", public_key=b"\xa5\x01\x02", sign_count=0, aaguid=bytes(16),
        attestation="none", transports=("usb", "nfc"), rp_id="example.com", bound_at=NOW,
    )  # fmt: skip
    return replace(made, **changes)


def session(id: str = "session", account_id: str = "alice", **changes: Any) -> Session:
    made = Session(
        id=id, token_hash=id.encode().ljust(32, b"."), account_id=account_id, stage="half", begun_at=NOW, seen_at=NOW,
        expires_at=NOW + 10 * MINUTE, address="192.0.2.1", browser="Firefox 145 on Linux",
    )  # fmt: skip
    return replace(made, **changes)


def code(account_id: str = "alice", purpose: str = "bind", **changes: Any) -> VerificationCode:
    made = VerificationCode(
        account_id=account_id, purpose=purpose, session_id="session", email="alice@example.com", salt=b"salt",
        digest=b"digest", tries_left=5, made_at=NOW, sent_at=NOW, expires_at=NOW + 10 * MINUTE,
    )  # fmt: skip
    return replace(made, **changes)


def use(sign_count: int = 1, ceremony: str = "ceremony", **changes: Any) -> Use:
    made = Use(key_id=b"key", sign_count=sign_count, at=NOW, ceremony=Spent(id=ceremony, expires_at=NOW + MINUTE))
    return replace(made, **changes)


def sealed(detail: str = "", account_id: str = "alice") -> Callable[[Event | None], Event]:
    """A seal whose `mac` is the number before, so that a chain with a fork or a gap shows."""

    def seal(last: Event | None) -> Event:
        seq = last.seq + 1 if last else 1
        mac = str(last.seq if last else 0).encode()
        return Event(account_id=account_id, seq=seq, kind="seen", at=NOW, address="", browser="", detail=detail, mac=mac)

    return seal


async def all_of(found: AsyncIterable[Any]) -> list[Any]:
    return [each async for each in found]


async def given(records: Iterable[Record]) -> AsyncIterator[Record]:
    for record in records:
        yield record


class Interrupted(Exception):
    """What the records of a load came from is gone."""


async def given_half(records: list[Record]) -> AsyncIterator[Record]:
    for record in records[: len(records) // 2]:
        yield record
    raise Interrupted


async def fill(backend: Backend, accounts: int = 2) -> None:
    """Records of every kind, with every field set somewhere and left out somewhere."""
    await asyncio.gather(*(_fill(backend, number) for number in range(accounts)))


async def _fill(backend: Backend, number: int) -> None:
    id = f"account-{number:05}"
    await backend.add_account(account(id, created_at=NOW + number * MILLISECOND, listed=number % 2 == 0, frozen_at=NOW))
    await backend.add_key(key(f"{id} a".encode(), id))
    await backend.add_key(key(f"{id} b".encode(), id, used_at=NOW, transports=(), sign_count=2**32 - 1))
    await backend.put_recovery_codes(id, [b"z" + id.encode(), b"a" + id.encode()], NOW)
    await backend.spend_recovery_code(id, b"z" + id.encode(), NOW)
    await backend.add_event(id, sealed("first", id))
    await backend.add_event(id, sealed("second", id))
    await backend.put_session(session(f"session {number}", id))
    await backend.put_session(session(f"proven {number}", id, stage="full", proof="recovery", proven_at=NOW))
    await backend.put_code(code(id))
    await backend.spend_once(f"spent {number}", NOW + MINUTE)

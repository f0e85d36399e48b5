"""Records to try a backend with: one of each kind, with whatever a test wants otherwise, and a backend full of them.

Events are chained by a toy MAC that anybody can compute: it shows a gap, a fork and a change, and protects nothing.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from backends.protocol import MAX_NAME, Backend
from backends.records import (
    Account,
    App,
    ChainLink,
    Event,
    Invitation,
    Nonce,
    Notification,
    Opening,
    Record,
    RecoveryCode,
    SecurityKey,
    Session,
    VerificationCode,
)

NOW = datetime(2040, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
"""Ahead of every clock, so that no engine's own expiry takes what a test stored."""
MINUTE = timedelta(minutes=1)
MILLISECOND = timedelta(milliseconds=1)


def noise(length: int, seed: str = "keystead") -> bytes:
    """Bytes that no engine can compress, the same at every call."""
    return hashlib.shake_256(seed.encode()).digest(length)


def noisy_text(length: int) -> str:
    """Characters of four bytes in UTF-8, of which no engine can save more than half."""
    pairs = noise(2 * length)
    return "".join(chr(0x10000 + int.from_bytes(pairs[at : at + 2])) for at in range(0, 2 * length, 2))


LONG = "Ω" * 9_999 + "🔑"
TEXTS = [
    "",
    " ",
    "O'Brien",
    'a"b\\c',
    "a.b$c",
    "$set",
    "%s {} ?",
    "née",
    "日本語",
    "🔑👩‍💻",
    "שלום",
    "line\nline",
    LONG,
    noisy_text(10_000),
]
NAMES = [text[:MAX_NAME] for text in TEXTS if text.strip()] + ["\ufdfa" * MAX_NAME]
"""The last one becomes eighteen times as long when it is folded."""
KEY_IDS = [b"\x00", b"\xff", bytes(16), bytes(range(256)), b"\x00\xff" * 511 + b"\x00", noise(64), noise(1023)]


def account(id: str = "alice", **changes: Any) -> Account:
    made = Account(id=id, username=id, email=f"{id}@example.com", password_hash="$…", created_at=NOW, password_at=NOW)  # noqa: S106 - no password has this hash
    return replace(made, **changes)


def key(id: bytes = b"key", **changes: Any) -> SecurityKey:
    made = SecurityKey(
        id=id, name="Blue key", public_key=b"\xa5\x01\x02", sign_count=0, aaguid=bytes(16),
        attestation="none", transports=("usb", "nfc"), rp_id="example.com", bound_at=NOW,
    )  # fmt: skip
    return replace(made, **changes)


def session(id: str = "session", **changes: Any) -> Session:
    made = Session(
        id=id, token_hash=id.encode().ljust(32, b"."), stage="password_only", begun_at=NOW, seen_at=NOW,
        expires_at=NOW + 10 * MINUTE, address="192.0.2.1", browser="Firefox 145 on Linux",
    )  # fmt: skip
    return replace(made, **changes)


def code(purpose: str = "bind", **changes: Any) -> VerificationCode:
    made = VerificationCode(
        purpose=purpose, session_id="session", email="alice@example.com", salt=b"salt",
        digest=b"digest", tries_left=5, made_at=NOW, sent_at=NOW, expires_at=NOW + 10 * MINUTE,
    )  # fmt: skip
    return replace(made, **changes)


def notification(id: str = "notification", **changes: Any) -> Notification:
    made = Notification(id=id, kind="key bound", to="alice@example.com", at=NOW, due_at=NOW)
    return replace(made, **changes)


# events, each with the MAC over the one before


def mac(before: ChainLink, event: Event) -> bytes:
    """The toy: anybody can compute it."""
    return hashlib.sha256(before.mac + f"{event.account_id} {event.seq} {event.detail}".encode()).digest()


BEGINNING = ChainLink()


def event(account_id: str = "alice", before: ChainLink = BEGINNING, detail: str = "", **changes: Any) -> Event:
    """The event behind that one."""
    made = Event(
        account_id=account_id, seq=before.seq + 1, kind="seen", at=NOW, address="192.0.2.1", browser="", detail=detail, mac=b""
    )
    return replace(made, **({"mac": mac(before, made)} | changes))


def link(event: Event) -> ChainLink:
    return ChainLink(seq=event.seq, mac=event.mac)


def begun(account: Account, *details: str) -> tuple[Account, list[Event]]:
    """The account with events behind its head, one for each detail: what is added."""
    events: list[Event] = []
    for detail in details:
        events.append(event(account.id, link(events[-1]) if events else account.head, detail))
    return replace(account, head=link(events[-1]) if events else account.head), events


def after(was: Account, *details: str, **changes: Any) -> tuple[Account, list[Event]]:
    """The account one version later, with these changes and an event for each detail: what is committed."""
    return begun(replace(was, version=was.version + 1, **changes), *details)


def owing(id: str, due_at: datetime) -> tuple[Account, list[Event]]:
    """An account of which something is due then, and its one event."""
    return begun(account(id, notifications=(notification(due_at=due_at),)), "owing")


async def change(backend: Backend, was: Account, *details: str, **changes: Any) -> Account:
    """Commit `after`, which must be accepted; what is stored now."""
    now, events = after(was, *details, **changes)
    if not await backend.commit(was, now, events):
        raise AssertionError("the commit was not accepted")
    return now


# many


def filled(number: int) -> tuple[Account, list[Event]]:
    """An account with every field set somewhere and left out somewhere."""
    id = f"account-{number:05}"
    made = account(
        id, created_at=NOW + number * MILLISECOND, listed=number % 2 == 0, groups=("admins", "staff"),
        invitation=Invitation(email="a@example.com", ends_at=NOW), key_due_at=NOW, frozen_at=NOW, devices_at=NOW,
        opening=Opening(asked_at=NOW, opens_at=NOW + MINUTE, token_hash=b"pass"), seal=b"seal", notified_at={"guesses": NOW},
        language="zh-CN", opened_at=NOW, codes_refused=3, barred=True, removed_at=NOW, events_kept=True,
        apps=(
            App(name="board", origins=("https://board.example",), added_at=NOW),
            App(
                name="wiki", origins=("https://wiki.example", "https://xn--bcher-kva.example:8443"), added_at=NOW, title="日本語",
                key="required", fresh=15, groups=("admins", "staff"),
            ),
        ),
        keys=(
            key(f"{id} a".encode()),
            key(
                f"{id} b".encode(), used_at=NOW, suspended_at=NOW, mislaid_until=NOW, transports=(), sign_count=2**32 - 1,
                rp_id="b.example",
            ),
        ),
        sessions=(
            session(f"{id} 1", number_until=NOW),
            session(f"{id} 2", stage="authenticated", proof="recovery", proven_at=NOW, entered_at=NOW),
        ),
        codes=(code(), code("unbind", tries_left=0)),
        recovery_codes=(RecoveryCode(digest=b"z", made_at=NOW, spent_at=NOW), RecoveryCode(digest=b"a", made_at=NOW)),
        nonces=(Nonce(id=f"{id} nonce", expires_at=NOW + MINUTE),),
        notifications=(
            notification(),
            notification("2", address="::1", browser="Chrome", facts={"key": "Blue"}, attempts=2, zone=-210),
        ),
    )  # fmt: skip
    return begun(made, "first", "second")


async def fill(backend: Backend, accounts: int = 2) -> None:
    await asyncio.gather(*(backend.add(*filled(number)) for number in range(accounts)))


def dump_of(accounts: int) -> list[Record]:
    """What a backend that was filled with so many dumps."""
    records: list[Record] = []
    for number in range(accounts):
        made, events = filled(number)
        records += [made, *events]
    return records


async def all_of(found: AsyncIterable[Any]) -> list[Any]:
    return [each async for each in found]


async def given(records: Iterable[Record]) -> AsyncIterator[Record]:
    for record in records:
        yield record


class Interrupted(Exception):
    """What the records of a load came from is gone."""


async def given_half(records: Sequence[Record]) -> AsyncIterator[Record]:
    for record in records[: len(records) // 2]:
        yield record
    raise Interrupted

"""What happened on an account, for the person and for the deployer. Events are only added, and each is sealed to the one before.

The seal is an HMAC by a key of ours over the event and the seal before it, so that whoever can write to the backend but has
no key cannot change, remove or reorder what happened without it showing.
"""

import hashlib
import hmac
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from backends.protocol import Seal
from backends.records import Event, Proof, Session, Use
from webapp import browsers, clock, limits, logs, sessions
from webapp.state import Request

log = logging.getLogger("keystead.events")

Kind = Literal[
    "logged on",
    "logged off",
    "proof given",
    "key bound",
    "key unbound",
    "key renamed",
    "key refused",
    "clone suspected",
    "recovery codes made",
    "recovery codes void",
    "recovery code used",
    "password changed",
    "password reset",
    "e-mail changed",
    "session ended",
    "sessions ended",
    "frozen",
    "unfrozen",
]


async def add(request: Request, account_id: str, kind: Kind, detail: str = "") -> Event:
    """Put down that this happened now, at this request's address and browser."""
    event = await request.state.backend.add_event(account_id, _seal(request, account_id, kind, detail))
    logs.put(log, logging.INFO, kind, account=account_id)
    return event


async def log_on(request: Request, session: Session, proof: Proof | None, detail: str, use: Use | None = None) -> Event | None:
    """The session steps up, and that is put down in the same step, with the use of a key; None if it was ended meanwhile.

    AlreadySpent or CounterBehind if the key must not be used.
    """
    seal = _seal(request, session.account_id, "logged on", detail)
    event = await sessions.log_on(request, session, proof, seal, use)
    if event is not None:
        logs.put(log, logging.INFO, event.kind, account=event.account_id)
    return event


def sealed(event: Event, last: Event | None, key: str) -> Event:
    """The event in its place after `last`, sealed."""
    placed = replace(event, seq=last.seq + 1 if last else 1)
    return replace(placed, mac=_mac(placed, last.mac if last else b"", key))


def genuine(keys: Sequence[str]) -> Callable[[Event | None, Event], bool]:
    """For `backends.moving.check`: whether one of our keys sealed an event to the one before it."""

    def is_genuine(last: Event | None, event: Event) -> bool:
        return any(hmac.compare_digest(_mac(event, last.mac if last else b"", key), event.mac) for key in keys)

    return is_genuine


def _seal(request: Request, account_id: str, kind: Kind, detail: str) -> Seal:
    event = Event(
        account_id=account_id,
        seq=0,
        kind=kind,
        at=clock.now(),
        address=limits.address(request),
        browser=str(browsers.parse(request.headers.get("user-agent", ""))),
        detail=detail,
        mac=b"",
    )
    key = request.state.settings.secret_keys[0]
    return lambda last: sealed(event, last, key)


def _mac(event: Event, before: bytes, key: str) -> bytes:
    fields = (event.account_id, str(event.seq), event.kind, event.at.isoformat(), event.address, event.browser, event.detail)
    text = "".join(f"{len(field)}:{field}" for field in ("keystead event", before.hex(), *fields))
    return hmac.digest(key.encode(), text.encode(), hashlib.sha256)

"""What happened on an account, for the person and for the deployer. Events are only added, and each is sealed to the one before.

An event's MAC covers the event before it and a digest of the account's security state after it; the seal of the account covers
the newest event and that state. So whoever can write to the backend but has no secret cannot change, remove or reorder what
happened, nor delete, add or change a key, without it showing. Events that are old may go: the chain then begins at a sealed
checkpoint.
"""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, get_args

import msgspec
from msgspec.structs import replace

from backends.records import Account, ChainLink, Event
from webapp import signing
from webapp.accounts.context import Act

Kind = Literal[
    "logged on",
    "logged off",
    "proof given",
    "key bound",
    "key unbound",
    "key renamed",
    "key refused",
    "key suspended",
    "key reinstated",
    "key mislaid",
    "key found",
    "key tried",
    "clone suspected",
    "recovery codes made",
    "recovery codes void",
    "recovery code used",
    "recovery code refused",
    "recovery code tried",
    "password changed",
    "password reset",
    "e-mail changed",
    "session ended",
    "sessions ended",
    "frozen",
    "unfrozen",
    "opening asked",
    "opening stopped",
    "opened after the wait",
    "number asked",
    "number looked up",
    "pass given",
    "pass used",
    "browser made known",
    "not mailed",
    "account added",
    "account imported",
    "account renamed",
    "account removed",
    "account listed",
    "account unlisted",
    "groups changed",
    "invited",
    "joined",
    "key required",
    "app added",
    "app removed",
    "events expired",
    "sealed",
]
KINDS: tuple[str, ...] = get_args(Kind)
OLD_MAC = 32
"""Bytes of a MAC of version 0.1: without the id of its secret, and without a state."""


class Happened(NamedTuple):
    """An event before it has its place: what, and a detail for the person."""

    kind: Kind
    detail: str = ""


def seal(was: Account | None, now: Account, happened: Sequence[Happened], act: Act) -> tuple[Account, list[Event]]:
    """The account with the new head and seal, and the events in their places, sealed by our first secret.

    A seal that was broken before stays broken: otherwise the next commit would hide what was changed behind our back. One that
    nobody can verify (there was none, or its secret is not set any more) is replaced, which is an event.
    """
    if was is not None and not happened and was.seal and state_of(was) == state_of(now) and was.checkpoint == now.checkpoint:
        return now, []
    fault = Verifier(act.settings.sealing_keys).account(was, None) if was else ""
    if fault in (NEVER, GONE) and not any(each.kind == "sealed" for each in happened):
        happened = [Happened("sealed"), *happened]
    state = digest(now)
    now, sealed = _appended(now, state, happened, act)
    if was and fault == WRONG:
        return replace(now, seal=was.seal), sealed
    return replace(now, seal=_seal(now, state, act.settings.secret_keys[0])), sealed


def _appended(now: Account, state: bytes, happened: Sequence[Happened], act: Act) -> tuple[Account, list[Event]]:
    """The account of this state with the new head, and the events."""
    key, head = act.settings.secret_keys[0], now.head
    sealed = []
    for each in happened:
        event = Event(
            account_id=now.id, seq=head.seq + 1, kind=each.kind, at=act.now, address=act.address, browser=act.browser,
            detail=each.detail, mac=b"", state=state,
        )  # fmt: skip
        event = replace(event, mac=_mac(event, head.mac, key))
        head = ChainLink(seq=event.seq, mac=event.mac)
        sealed.append(event)
    return replace(now, head=head), sealed


LATER = ("groups", "key_due_at", "barred", "invitation", "apps")
"""Fields of the security state that came later. One that is empty is left out, so that seals from before it are still right."""


def state_of(account: Account) -> tuple[object, ...]:
    """Everything of an account that decides who gets in, and where."""
    return (
        account.id, account.username, account.email, account.password_hash, account.password_at, account.frozen_at,
        account.listed, account.opening, account.opened_at, account.keys, account.recovery_codes,
        *((name, value) for name in LATER if (value := getattr(account, name))),
    )  # fmt: skip


def digest(account: Account) -> bytes:
    """A digest of the account's security state."""
    return hashlib.sha256(_encoder.encode(state_of(account))).digest()


class Verifier:
    """For `backends.transfer.check`: whether events and accounts are as our secrets sealed them; '' means they are.

    What was sealed with a secret that is not set is a fault; or, where `missing` is given, the id of that secret is put
    there: nobody can say anything about what it sealed.
    """

    def __init__(self, keys: Sequence[str], missing: set[str] | None = None) -> None:
        self._keys = {signing.key_id(key): key for key in keys}
        self._all = keys
        self._missing = missing

    def event(self, previous: Event | None, event: Event, before: ChainLink) -> str:
        """What is wrong with an event that follows `previous`, or a checkpoint or nothing (`before`)."""
        mac_before = previous.mac if previous else before.mac
        if len(event.mac) == OLD_MAC:
            return "" if any(hmac.compare_digest(_old_mac(event, mac_before, key), event.mac) for key in self._all) else OLD
        return self._compared(event.mac, lambda key: _mac(event, mac_before, key))

    def account(self, account: Account, newest: Event | None) -> str:
        """What is wrong with the account's seal, which covers its newest event and its state."""
        if not account.seal:
            return NEVER
        state = digest(account)
        return self._compared(account.seal, lambda key: _seal(account, state, key))

    def _compared(self, mac: bytes, expected: Callable[[str], bytes]) -> str:
        key = self._keys.get(mac[:4])
        if key is None and self._missing is not None:
            self._missing.add(mac[:4].hex())
            return ""
        if key is None:
            return GONE
        return "" if hmac.compare_digest(mac, expected(key)) else WRONG


WRONG = "has a seal that is not ours: it was changed behind our back"
NEVER = "was never sealed (run: keystead backend migrate, with KEYSTEAD_SECRET_KEYS set)"
GONE = "was sealed with a secret that is no longer set: put that one into KEYSTEAD_RETIRED_KEYS to verify it"
OLD = (
    "has a seal of version 0.1 that no secret of ours made: put the secrets of that time into KEYSTEAD_RETIRED_KEYS. If they are "
    "there, it was changed behind our back"
)

_encoder = msgspec.json.Encoder()


def _mac(event: Event, before: bytes, key: str) -> bytes:
    fields = (event.account_id, str(event.seq), event.kind, event.at.isoformat(), event.address, event.browser, event.detail)
    return signing.key_id(key) + signing.mac(key, "event 2", before.hex(), event.state.hex(), *fields)


def _seal(account: Account, state: bytes, key: str) -> bytes:
    links = (account.head, account.checkpoint)
    parts = (text for link in links for text in (str(link.seq), link.mac.hex()))
    return signing.key_id(key) + signing.mac(key, "account", account.id, state.hex(), *parts)


def _old_mac(event: Event, before: bytes, key: str) -> bytes:
    """As version 0.1 sealed its events."""
    fields = (event.account_id, str(event.seq), event.kind, event.at.isoformat(), event.address, event.browser, event.detail)
    return signing.mac(key, "event", before.hex(), *fields)

"""What Keystead asks of a backend: the specification that every backend keeps, and `backends/contract.py` tests.

Questions of the domain, not of a key/value store. Whatever two requests could race on is one question with one
answer, and the first word of a question is its promise:

    x()       one record, or None                  take_     deletes and tells, in one step; the second caller gets nothing
    xs_of()   a list, oldest first                 spend_    uses up one allowance, in one step
    add_      inserts; …Taken if it exists         record_   compare-and-set; False: somebody was first, nothing changed
    put_      replaces what was there              remove_   deletes; ownership is part of the question

Acknowledged means durable: when a writing question has answered, a crash of any process loses nothing of it.
Time is an argument (`now`, `at`): aware UTC, cut to milliseconds. Something is expired once `expires_at <= now` (or `at`),
whether or not it has been swept. What is of the same millisecond comes by its id. Several processes may ask at the same
time. Text may be any Unicode without NUL, also 10,000 characters of it; ids of keys are 1 to 1,023 bytes. A backend never
judges: it holds no rule of the flow.
"""

import unicodedata
from collections.abc import AsyncIterable, AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Protocol

from backends.records import (
    Account,
    Attempts,
    Bearer,
    Event,
    Record,
    RecoveryCode,
    SecurityKey,
    Session,
    Use,
    VerificationCode,
)


class UsernameTaken(Exception):
    """Another account has this username, in this or another spelling of upper and lower case."""


class KeyTaken(Exception):
    """This credential id is bound already, to this account or to any other."""


class AlreadySpent(Exception):
    """What works once has been used before."""


class CounterBehind(Exception):
    """The counter of a key is not above the stored one: somebody may have copied the key."""


class Unavailable(Exception):
    """The backend cannot answer now (no server, full disk, read-only file). Nothing was half done; ask again later."""


class NotOurs(Exception):
    """What the address names is not a Keystead backend that this version can serve; the text says what to do."""


class NotEmpty(Exception):
    """Records can be loaded into an empty backend only."""


Seal = Callable[[Event | None], Event]
"""Given the account's newest event (None: there is none), the next one: `seq` one higher, and its `mac`."""


def fold(username: str) -> str:
    """The form in which two usernames are the same name: compatibility-normalised, without case."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username).casefold())


class Backend(Protocol):
    """Where records live."""

    # accounts

    async def add_account(self, account: Account) -> None:
        """Insert; UsernameTaken if `fold(username)` exists."""

    async def account(self, account_id: str) -> Account | None: ...

    async def account_named(self, username: str) -> Account | None:
        """The account whose `fold(username)` is the same."""

    def accounts(self) -> AsyncIterator[Account]:
        """Every account, oldest first, without holding them all in memory."""

    async def record_account(self, was: Account, now: Account) -> bool:
        """Put `now` in the place of `was` if that is still exactly what is stored. Both have the same id and username."""

    # verification codes: one for each account and purpose

    async def put_code(self, code: VerificationCode) -> None: ...

    async def code(self, account_id: str, purpose: str, now: datetime) -> VerificationCode | None:
        """The code that waits to be typed, also when its tries are used up; None once it is expired."""

    async def spend_try(self, account_id: str, purpose: str, now: datetime) -> VerificationCode | None:
        """Use up one try and return the code as it is then; None if it is expired, or had no try left."""

    async def take_code(self, account_id: str, purpose: str, digest: bytes) -> bool:
        """Delete the code if this is its digest: True for one caller, ever."""

    async def record_sent(self, account_id: str, purpose: str, digest: bytes, at: datetime) -> bool:
        """Set `sent_at` of the code with this digest, touching nothing else of it."""

    # security keys

    async def add_key(self, key: SecurityKey) -> None:
        """Insert; KeyTaken if the credential id is bound to any account."""

    async def keys_of(self, account_id: str) -> list[SecurityKey]: ...

    async def record_use(self, use: Use) -> None:
        """Spend the ceremony (AlreadySpent if it was: then nothing is changed), then store the counter and `used_at`.

        CounterBehind, with the ceremony spent, unless `sign_count` is above the stored one, or both are 0 (WebAuthn L3 §7.2
        step 22), and if there is no such key.
        """

    async def rp_ids(self) -> list[str]:
        """What domains keys are bound to, each once and sorted. Costs what there are of domains, however many keys there are."""

    async def rename_key(self, account_id: str, key_id: bytes, name: str) -> bool:
        """False if this account has no such key."""

    async def remove_key(self, account_id: str, key_id: bytes) -> bool:
        """True for the caller who removed it; False if this account has no such key."""

    # sessions

    async def put_session(self, session: Session) -> None: ...

    async def session(self, token_hash: bytes, now: datetime) -> Session | None:
        """The live session with this token."""

    async def bearer(self, token_hash: bytes, now: datetime) -> Bearer | None:
        """What `session`, `account` and `keys_of` say, in this order: for most requests. None without session or account."""

    async def sessions_of(self, account_id: str, now: datetime) -> list[Session]:
        """The account's live sessions, by `begun_at`."""

    async def record_session(self, token_hash: bytes, session: Session) -> bool:
        """Put `session` (same id) in the place of the one with this token hash; False if there is none any more."""

    async def record_logon(self, token_hash: bytes, session: Session, seal: Seal, use: Use | None = None) -> Event | None:
        """`record_use`, if a key was used; then `record_session`; then, if that did it, `add_event`: the event, or None."""

    async def record_seen(self, token_hash: bytes, at: datetime, expires_at: datetime) -> bool:
        """Set `seen_at` and `expires_at` of the session with this token hash; False if there is none any more."""

    async def remove_session(self, account_id: str, session_id: str) -> bool:
        """True for the caller who removed it; False if this account has no such session."""

    async def remove_sessions_of(self, account_id: str, keep: str | None = None) -> int:
        """Remove the account's sessions except the one whose id is `keep`; how many there were."""

    # what works once

    async def spend_once(self, id: str, expires_at: datetime) -> bool:
        """True for the first caller, ever (until `expires_at`, by when the caller refuses it anyway). Ceremonies and links."""

    # recovery codes

    async def put_recovery_codes(self, account_id: str, digests: list[bytes], at: datetime) -> None:
        """Replace the account's set, spent ones included. An empty list leaves none."""

    async def recovery_codes_of(self, account_id: str) -> list[RecoveryCode]:
        """The account's set, in the order it was put."""

    async def spend_recovery_code(self, account_id: str, digest: bytes, at: datetime) -> bool:
        """Mark the code spent: True for one caller, ever."""

    # attempts

    async def count_attempt(self, bucket: str, now: datetime, window: timedelta, cost: int = 1) -> Attempts:
        """Add `cost` to the bucket and return its count.

        A window begins with the first attempt and ends `window` later, when counting begins anew at `cost`. Every concurrent
        caller gets a count of its own. `cost=0` looks without counting (and begins no window: count 0, `resets_at` = now);
        `cost=-1` takes one back, never below 0.
        """

    async def forget_attempts(self, bucket: str) -> None:
        """Begin the bucket anew."""

    # events

    async def add_event(self, account_id: str, seal: Seal) -> Event:
        """Append what `seal` makes of the account's newest event. `seal` may be called again; its last answer is stored."""

    async def events_of(self, account_id: str, limit: int, before: int | None = None) -> list[Event]:
        """The newest `limit` events (of those whose `seq` is below `before`), by `seq` upwards."""

    # the whole

    async def ready(self) -> None:
        """Return once a question was answered by the engine itself; Unavailable otherwise."""

    async def engine_time(self) -> datetime | None:
        """What time it is where the records are; None where that is this machine, or nobody knows."""

    async def sweep(self, now: datetime) -> int:
        """Delete what is expired (codes, sessions, spent ids, attempt windows); how many records that was."""

    def dump(self) -> AsyncIterator[Record]:
        """Every record but attempts: accounts first, then keys, recovery codes, events, sessions, codes, spent ids.

        An account's events come together and by `seq`, its recovery codes in the order they were put.
        """

    async def load(self, records: AsyncIterable[Record]) -> int:
        """Store the records of a dump, as they are, into an empty backend (NotEmpty otherwise); how many there were.

        When it is interrupted, even by `kill -9`, it leaves nothing, or what the next `load` clears away before it begins. Until
        then such a backend is not `ready`.
        """

    async def close(self) -> None:
        """Let go of files and connections. What was acknowledged stays."""

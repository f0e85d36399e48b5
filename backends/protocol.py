"""What Keystead asks of a backend: the specification that every backend keeps, and `backends/contract` tests.

An account is one record, and whatever changes it is one commit: compare-and-set on its version, all or nothing, its events with
it. Acknowledged means durable: when a writing query has returned, a crash of any process loses nothing of it. When one raises
Unavailable, it has done all of it or nothing; which of the two may be unknown.

Time is an argument (`now`): aware UTC, cut to milliseconds. Something is expired once `expires_at <= now`. Several processes may
use the same backend at the same time. Text may be any Unicode without NUL, also 10,000 characters of it; a username or address
has at most `MAX_NAME` characters; ids of keys are 1 to 1,023 bytes, and any of them may be incompressible. A backend never
decides: it holds no rule of the flow.

What is stored may be damaged by something else than Keystead. Who asks for such an account gets Damaged. Who asks for many may
say with `damaged` what is to be done about each such one, and gets the others: nobody waits for ever because of somebody else.
"""

import unicodedata
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NoReturn, Protocol, TypeVar

from backends.records import Account, Attempts, Event, Record

T = TypeVar("T")

MAX_NAME = 320
"""Characters of a username or an e-mail address (RFC 5321: 64 before the @, 255 behind it)."""


class UsernameTaken(Exception):
    """Another account has this username, in this or another spelling of upper and lower case."""


class KeyTaken(Exception):
    """This credential id is bound already, to this account or to any other."""


class Unavailable(Exception):
    """The backend cannot answer now (no server, full disk, read-only file)."""


class Damaged(Unavailable):
    """What is stored of this account is no record any more; the text says which one, where, and why."""

    def __init__(self, text: str, account_id: str) -> None:
        super().__init__(text)
        self.account_id = account_id


OnDamaged = Callable[[Damaged], None]


def refuse(damaged: Damaged) -> NoReturn:
    """What is done about a damaged account where nobody says anything else."""
    raise damaged


class IncompatibleStore(Exception):
    """What the address names is not a Keystead backend that this version can serve; the text says what to do."""


class NotEmpty(Exception):
    """Records can be loaded into an empty backend only."""


def fold(name: str) -> str:
    """The form in which two usernames, or two addresses, are the same: compatibility-normalised, without case.

    Normalising takes time that grows with the square of a text's length: ValueError beyond MAX_NAME.
    """
    if len(name) > MAX_NAME:
        raise ValueError("a name is longer than MAX_NAME")
    if name.isascii():
        return name.casefold()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


class Backend(Protocol):
    """Where records live."""

    async def add(self, account: Account, events: Sequence[Event] = ()) -> None:
        """Insert with its first events; UsernameTaken if `fold(username)` or the id exists, KeyTaken if a credential id does."""

    async def account(self, account_id: str) -> Account | None: ...

    async def account_named(self, name: str) -> Account | None:
        """The account with this username (`fold` says which spellings are one), else the only one with this e-mail address.

        None if two accounts share the address, and for a name of more than MAX_NAME characters. Costs the same for each.
        """

    def accounts(self, after: str = "", *, damaged: OnDamaged = refuse) -> AsyncIterator[Account]:
        """Every account by its folded username, without holding them all in memory; those behind `fold(after)`."""

    async def commit(self, was: Account, now: Account, events: Sequence[Event] = ()) -> bool:
        """Store `now` in the place of `was`, and append its events, if the stored version is still `was.version`.

        False if it is another, or if there is no such account (any more): then nothing is changed. UsernameTaken or KeyTaken if a
        name or credential id of `now` belongs to another account: nothing is changed either. Both have the same id;
        `now.version` is `was.version + 1`; the events follow `was.head` by `seq`. Events up to `now.checkpoint.seq` are deleted.
        """

    async def remove(self, account: Account) -> bool:
        """Delete the account and its events if the stored version is still this one; its names and keys are free again."""

    async def events_of(self, account_id: str, limit: int, before: int | None = None) -> list[Event]:
        """The newest `limit` events (of those whose `seq` is below `before`), by `seq` upwards; none that was deleted."""

    async def owing(self, now: datetime, limit: int, *, damaged: OnDamaged = refuse) -> list[Account]:
        """At most `limit` accounts of which something is due (`due_at(account) <= now`), longest due first.

        Damaged ones do not count: however many are due for longest, those behind them are found.
        """

    async def count_attempt(self, bucket: str, now: datetime, window: timedelta, cost: int = 1) -> Attempts:
        """Add `cost` to the bucket and return its count.

        A window begins with the first attempt and ends `window` later, when counting begins anew at `cost`. Every concurrent
        caller gets a count of its own. `cost=0` looks without counting (and begins no window: count 0, `resets_at` = now);
        `cost=-1` takes one back, never below 0.
        """

    async def forget_attempts(self, bucket: str) -> None:
        """Begin the bucket anew."""

    async def size(self) -> int:
        """About how many accounts there are. Costs the same however many there are, so that some may be counted that are gone."""

    async def rp_ids(self) -> list[str]:
        """What domains keys are bound to, each once and sorted. Costs what there are of domains, however many keys there are."""

    async def ready(self) -> None:
        """Return once a query was answered by the engine itself; Unavailable otherwise."""

    async def engine_time(self) -> datetime | None:
        """What time it is where the records are; None where that is this machine, or nobody knows."""

    async def purge(self, now: datetime) -> int:
        """Delete attempt windows that have ended, and whatever else the backend keeps that no record needs; how many."""

    def dump(self, *, damaged: OnDamaged = refuse) -> AsyncIterator[Record]:
        """Every record but attempts: accounts by id, each followed by its events by `seq`.

        Ids are ordered by their UTF-8 bytes. An event whose account is gone comes where that account would; those of a damaged
        account are left out with it.
        """

    async def load(self, records: AsyncIterable[Record]) -> int:
        """Store the records of a dump, as they are, into an empty backend (NotEmpty otherwise); how many there were.

        When it is interrupted, even by `kill -9`, it leaves nothing, or what the next `load` clears away before it begins. Until
        then such a backend is not `ready`.
        """

    async def close(self) -> None:
        """Let go of files and connections. What was acknowledged stays."""


def due_at(account: Account) -> datetime | None:
    """When something is next to be done about the account, for a backend to find it by; None if nothing is.

    That is a notification to be sent, or a mislaid key to be unbound.
    """
    notifications = [each.due_at for each in account.notifications]
    return min([*notifications, *(key.mislaid_until for key in account.keys if key.mislaid_until)], default=None)


def readable(stored: Iterable[T], read: Callable[[T], Account], damaged: OnDamaged) -> Iterator[Account]:
    """What `read` makes of each that is stored, but for those that are damaged."""
    for each in stored:
        try:
            account = read(each)
        except Damaged as found:
            damaged(found)
        else:
            yield account


def credentials(account: Account) -> dict[bytes, str]:
    """The credential ids of the account's keys, and the domain that each is bound to."""
    return {key.id: key.rp_id for key in account.keys}

"""An example of a backend of your own: one JSON file of all records, which each query takes off a shelf and puts back.

It keeps every promise in the simplest way there is. One lock over everything makes each query atomic, for tasks and for
processes; a whole new file, fsynced and renamed into place, makes it durable. Its price: every query costs as much as all
records together. It never decides anything: what may be committed is the application's business.
"""

import contextlib
import fcntl
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from msgspec import Struct, json

from backends import protocol
from backends.protocol import OnDamaged, due_at, fold, refuse
from backends.records import Account, Attempts, Event, Record


class Shelf(Struct):
    """Everything there is: accounts and events by the account's id, attempts by bucket."""

    accounts: dict[str, Account] = {}
    events: dict[str, list[Event]] = {}
    attempts: dict[str, Attempts] = {}

    def records(self) -> Iterator[Record]:
        for id in sorted({*self.accounts, *self.events}):
            yield from [self.accounts[id]] if id in self.accounts else []
            yield from self.events.get(id, [])

    def refuse(self, new: Account) -> None:
        """Raise what speaks against storing it: a name or a credential id that another account has."""
        for other in self.accounts.values():
            if other.id != new.id and fold(other.username) == fold(new.username):
                raise protocol.UsernameTaken(new.username)
            if other.id != new.id and {key.id for key in other.keys} & {key.id for key in new.keys}:
                raise protocol.KeyTaken

    def store(self, new: Account, events: Sequence[Event]) -> None:
        self.accounts[new.id] = new
        every = [*self.events.get(new.id, []), *events]
        self.events[new.id] = [event for event in every if event.seq > new.checkpoint.seq]


class ShelfBackend:
    """The shelf at `shelf:///a/file`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    async def open(cls, url: str) -> "ShelfBackend":
        path = Path(unquote(urlsplit(url).path))
        if not path.parent.is_dir():
            raise protocol.IncompatibleStore(f"There is no directory {path.parent}.")
        return cls(path)

    async def close(self) -> None:
        """Nothing is held between two queries."""

    @contextlib.contextmanager
    def _shelf(self) -> Iterator[Shelf]:
        """Everything there is, while nobody else has it. What the caller changes is stored, unless the caller raises."""
        try:
            with self._path.with_suffix(".lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                before = self._path.read_bytes() if self._path.exists() else json.encode(Shelf())
                shelf = json.decode(before, type=Shelf)
                yield shelf
                if (after := json.encode(shelf)) != before:
                    self._write(after)
        except OSError as error:
            raise protocol.Unavailable(f"The shelf cannot be reached: {error}") from error

    def _write(self, content: bytes) -> None:
        new = self._path.with_suffix(".new")
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY)
        os.fsync(directory)  # else the new name may be lost with the power
        os.close(directory)

    # accounts

    async def add(self, account: Account, events: Sequence[Event] = ()) -> None:
        with self._shelf() as shelf:
            if account.id in shelf.accounts:
                raise protocol.UsernameTaken(account.id)
            shelf.refuse(account)
            shelf.store(account, events)

    async def account(self, account_id: str) -> Account | None:
        with self._shelf() as shelf:
            return shelf.accounts.get(account_id)

    async def account_named(self, name: str) -> Account | None:
        if len(name) > protocol.MAX_NAME:
            return None
        with self._shelf() as shelf:
            named = [account for account in shelf.accounts.values() if fold(account.username) == fold(name)]
            addressed = [account for account in shelf.accounts.values() if fold(account.email) == fold(name)]
        found = named or addressed
        return found[0] if len(found) == 1 else None

    async def accounts(self, after: str = "", *, damaged: OnDamaged = refuse) -> AsyncIterator[Account]:
        with self._shelf() as shelf:
            found = {fold(account.username): account for account in shelf.accounts.values()}
        for name in sorted(found):
            if name > fold(after):
                yield found[name]

    async def commit(self, was: Account, now: Account, events: Sequence[Event] = ()) -> bool:
        with self._shelf() as shelf:
            stored = shelf.accounts.get(was.id)
            if stored is None or stored.version != was.version:
                return False
            shelf.refuse(now)
            shelf.store(now, events)
            return True

    async def remove(self, account: Account) -> bool:
        with self._shelf() as shelf:
            stored = shelf.accounts.get(account.id)
            if stored is None or stored.version != account.version:
                return False
            del shelf.accounts[account.id], shelf.events[account.id]
            return True

    async def events_of(self, account_id: str, limit: int, before: int | None = None) -> list[Event]:
        with self._shelf() as shelf:
            return [event for event in shelf.events.get(account_id, []) if before is None or event.seq < before][-limit:]

    async def owing(self, now: datetime, limit: int, *, damaged: OnDamaged = refuse) -> list[Account]:
        with self._shelf() as shelf:
            due = [(at, account.id) for account in shelf.accounts.values() if (at := due_at(account)) and at <= now]
            return [shelf.accounts[id] for _, id in sorted(due)[:limit]]

    async def size(self) -> int:
        with self._shelf() as shelf:
            return len(shelf.accounts)

    async def rp_ids(self) -> list[str]:
        with self._shelf() as shelf:
            return sorted({key.rp_id for account in shelf.accounts.values() for key in account.keys})

    # attempts

    async def count_attempt(self, bucket: str, now: datetime, window: timedelta, cost: int = 1) -> Attempts:
        with self._shelf() as shelf:
            there = shelf.attempts.get(bucket)
            if there is None or there.resets_at <= now:
                if cost <= 0:
                    return Attempts(count=0, resets_at=now)
                there = Attempts(count=0, resets_at=now + window)
            shelf.attempts[bucket] = Attempts(count=max(0, there.count + cost), resets_at=there.resets_at)
            return shelf.attempts[bucket]

    async def forget_attempts(self, bucket: str) -> None:
        with self._shelf() as shelf:
            shelf.attempts.pop(bucket, None)

    async def purge(self, now: datetime) -> int:
        with self._shelf() as shelf:
            before = len(shelf.attempts)
            shelf.attempts = {bucket: there for bucket, there in shelf.attempts.items() if there.resets_at > now}
            return before - len(shelf.attempts)

    # the whole

    async def ready(self) -> None:
        with self._shelf():
            return

    async def engine_time(self) -> None:
        return None

    async def dump(self, *, damaged: OnDamaged = refuse) -> AsyncIterator[Record]:
        with self._shelf() as shelf:
            found = list(shelf.records())
        for record in found:
            yield record

    async def load(self, records: AsyncIterable[Record]) -> int:
        found = [record async for record in records]
        with self._shelf() as shelf:
            if shelf.accounts or shelf.events:
                raise protocol.NotEmpty("The shelf holds records already.")
            for record in found:
                if isinstance(record, Account):
                    shelf.store(record, [])
                else:
                    shelf.events.setdefault(record.account_id, []).append(record)
        return len(found)

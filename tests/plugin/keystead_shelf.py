"""An example of a backend of your own: dictionaries in memory, which each question takes off a shelf and puts back.

It keeps every promise in the simplest way there is. One lock over everything makes each question atomic, for tasks and for
processes; a whole new file, fsynced and renamed into place, makes it durable. Its price: every question costs as much as
all records together.
"""

import contextlib
import fcntl
import os
import pickle
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from backends.protocol import AlreadySpent, CounterBehind, KeyTaken, NotEmpty, NotOurs, Seal, Unavailable, UsernameTaken, fold
from backends.records import (
    Account,
    Attempts,
    Bearer,
    Event,
    Record,
    RecoveryCode,
    SecurityKey,
    Session,
    Spent,
    Use,
    VerificationCode,
)


@dataclass
class Shelf:
    """Everything there is."""

    accounts: dict[str, Account] = field(default_factory=dict)
    keys: dict[bytes, SecurityKey] = field(default_factory=dict)
    recovery_codes: dict[tuple[str, bytes], RecoveryCode] = field(default_factory=dict)
    events: dict[str, list[Event]] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    codes: dict[tuple[str, str], VerificationCode] = field(default_factory=dict)
    spent: dict[str, Spent] = field(default_factory=dict)
    attempts: dict[str, Attempts] = field(default_factory=dict)

    def records(self) -> list[Record]:
        return [
            *sorted(self.accounts.values(), key=lambda account: (account.created_at, account.id)),
            *self.keys.values(),
            *self.recovery_codes.values(),
            *(event for events in self.events.values() for event in events),
            *self.sessions.values(),
            *self.codes.values(),
            *self.spent.values(),
        ]

    def put(self, record: Record) -> None:
        match record:
            case Account():
                self.accounts[record.id] = record
            case SecurityKey():
                self.keys[record.id] = record
            case RecoveryCode():
                self.recovery_codes[record.account_id, record.digest] = record
            case Event():
                self.events.setdefault(record.account_id, []).append(record)
            case Session():
                self.sessions[record.id] = record
            case VerificationCode():
                self.codes[record.account_id, record.purpose] = record
            case Spent():
                self.spent[record.id] = record

    def named(self, username: str) -> Account | None:
        return next((account for account in self.accounts.values() if fold(account.username) == fold(username)), None)

    def code(self, account_id: str, purpose: str, now: datetime) -> VerificationCode | None:
        code = self.codes.get((account_id, purpose))
        return code if code and code.expires_at > now else None

    def with_token(self, token_hash: bytes) -> Session | None:
        return next((session for session in self.sessions.values() if session.token_hash == token_hash), None)


class ShelfBackend:
    """The shelf at `shelf:///a/file`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    async def open(cls, url: str) -> "ShelfBackend":
        path = Path(unquote(urlsplit(url).path))
        if not path.parent.is_dir():
            raise NotOurs(f"There is no directory {path.parent}.")
        return cls(path)

    async def close(self) -> None:
        """Nothing is held between two questions."""

    @contextlib.contextmanager
    def _shelf(self) -> Iterator[Shelf]:
        """Everything there is, while nobody else has it. What the caller changes is kept, if it does not fail."""
        try:
            with self._path.with_suffix(".lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                before = self._path.read_bytes() if self._path.exists() else pickle.dumps(Shelf())
                shelf: Shelf = pickle.loads(before)  # noqa: S301  (the file is our own)
                yield shelf
                if (after := pickle.dumps(shelf)) != before:
                    self._keep(after)
        except OSError as error:
            raise Unavailable(f"The shelf cannot be reached: {error}") from error

    def _keep(self, content: bytes) -> None:
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

    async def add_account(self, account: Account) -> None:
        with self._shelf() as shelf:
            if shelf.named(account.username):
                raise UsernameTaken(account.username)
            shelf.put(account)

    async def account(self, account_id: str) -> Account | None:
        with self._shelf() as shelf:
            return shelf.accounts.get(account_id)

    async def account_named(self, username: str) -> Account | None:
        with self._shelf() as shelf:
            return shelf.named(username)

    async def accounts(self) -> AsyncIterator[Account]:
        with self._shelf() as shelf:
            found = [record for record in shelf.records() if isinstance(record, Account)]
        for account in found:
            yield account

    async def record_account(self, was: Account, now: Account) -> bool:
        with self._shelf() as shelf:
            there = shelf.accounts.get(was.id) == was
            if there:
                shelf.put(now)
            return there

    # verification codes

    async def put_code(self, code: VerificationCode) -> None:
        with self._shelf() as shelf:
            shelf.put(code)

    async def code(self, account_id: str, purpose: str, now: datetime) -> VerificationCode | None:
        with self._shelf() as shelf:
            return shelf.code(account_id, purpose, now)

    async def spend_try(self, account_id: str, purpose: str, now: datetime) -> VerificationCode | None:
        with self._shelf() as shelf:
            code = shelf.code(account_id, purpose, now)
            if code is None or code.tries_left == 0:
                return None
            code = replace(code, tries_left=code.tries_left - 1)
            shelf.put(code)
            return code

    async def take_code(self, account_id: str, purpose: str, digest: bytes) -> bool:
        with self._shelf() as shelf:
            code = shelf.codes.get((account_id, purpose))
            if code is None or code.digest != digest:
                return False
            del shelf.codes[account_id, purpose]
            return True

    async def record_sent(self, account_id: str, purpose: str, digest: bytes, at: datetime) -> bool:
        with self._shelf() as shelf:
            code = shelf.code(account_id, purpose, at)
            if code is None or code.digest != digest:
                return False
            shelf.put(replace(code, sent_at=at))
            return True

    # security keys

    async def add_key(self, key: SecurityKey) -> None:
        with self._shelf() as shelf:
            if key.id in shelf.keys:
                raise KeyTaken
            shelf.put(key)

    async def keys_of(self, account_id: str) -> list[SecurityKey]:
        with self._shelf() as shelf:
            found = [key for key in shelf.keys.values() if key.account_id == account_id]
        return sorted(found, key=lambda key: (key.bound_at, key.id))

    async def record_use(self, use: Use) -> None:
        with self._shelf() as shelf:
            if use.ceremony.id in shelf.spent:
                raise AlreadySpent
            shelf.put(use.ceremony)
            key = shelf.keys.get(use.key_id)
            above = key is not None and (use.sign_count > key.sign_count or use.sign_count == key.sign_count == 0)
            if key and above:
                shelf.put(replace(key, sign_count=use.sign_count, used_at=use.at))
        if not above:  # out here, where what was changed has been kept
            raise CounterBehind

    async def rp_ids(self) -> list[str]:
        with self._shelf() as shelf:
            return sorted({key.rp_id for key in shelf.keys.values()})

    async def rename_key(self, account_id: str, key_id: bytes, name: str) -> bool:
        with self._shelf() as shelf:
            key = shelf.keys.get(key_id)
            if key is None or key.account_id != account_id:
                return False
            shelf.put(replace(key, name=name))
            return True

    async def remove_key(self, account_id: str, key_id: bytes) -> bool:
        with self._shelf() as shelf:
            key = shelf.keys.get(key_id)
            if key is None or key.account_id != account_id:
                return False
            del shelf.keys[key_id]
            return True

    # sessions

    async def put_session(self, session: Session) -> None:
        with self._shelf() as shelf:
            shelf.put(session)

    async def session(self, token_hash: bytes, now: datetime) -> Session | None:
        with self._shelf() as shelf:
            session = shelf.with_token(token_hash)
            return session if session and session.expires_at > now else None

    async def bearer(self, token_hash: bytes, now: datetime) -> Bearer | None:
        session = await self.session(token_hash, now)
        account = await self.account(session.account_id) if session else None
        if session is None or account is None:
            return None
        return Bearer(session=session, account=account, keys=await self.keys_of(account.id))

    async def sessions_of(self, account_id: str, now: datetime) -> list[Session]:
        with self._shelf() as shelf:
            every = shelf.sessions.values()
        found = [session for session in every if session.account_id == account_id and session.expires_at > now]
        return sorted(found, key=lambda session: (session.begun_at, session.id))

    async def record_session(self, token_hash: bytes, session: Session) -> bool:
        with self._shelf() as shelf:
            there = shelf.with_token(token_hash)
            if there is None or there.id != session.id:
                return False
            shelf.put(session)
            return True

    async def record_logon(self, token_hash: bytes, session: Session, seal: Seal, use: Use | None = None) -> Event | None:
        if use:
            await self.record_use(use)
        with self._shelf() as shelf:
            there, events = shelf.with_token(token_hash), shelf.events.get(session.account_id)
            if there is None or there.id != session.id:
                return None
            event = seal(events[-1] if events else None)
            shelf.put(session)
            shelf.put(event)
            return event

    async def record_seen(self, token_hash: bytes, at: datetime, expires_at: datetime) -> bool:
        with self._shelf() as shelf:
            session = shelf.with_token(token_hash)
            if session is None or session.expires_at <= at:
                return False
            shelf.put(replace(session, seen_at=at, expires_at=expires_at))
            return True

    async def remove_session(self, account_id: str, session_id: str) -> bool:
        with self._shelf() as shelf:
            session = shelf.sessions.get(session_id)
            if session is None or session.account_id != account_id:
                return False
            del shelf.sessions[session_id]
            return True

    async def remove_sessions_of(self, account_id: str, keep: str | None = None) -> int:
        with self._shelf() as shelf:
            ended = [session.id for session in shelf.sessions.values() if session.account_id == account_id and session.id != keep]
            for id in ended:
                del shelf.sessions[id]
            return len(ended)

    # what works once

    async def spend_once(self, id: str, expires_at: datetime) -> bool:
        with self._shelf() as shelf:
            if id in shelf.spent:
                return False
            shelf.put(Spent(id=id, expires_at=expires_at))
            return True

    # recovery codes

    async def put_recovery_codes(self, account_id: str, digests: list[bytes], at: datetime) -> None:
        with self._shelf() as shelf:
            shelf.recovery_codes = {id: code for id, code in shelf.recovery_codes.items() if id[0] != account_id}
            for digest in digests:
                shelf.put(RecoveryCode(account_id=account_id, digest=digest, made_at=at))

    async def recovery_codes_of(self, account_id: str) -> list[RecoveryCode]:
        with self._shelf() as shelf:
            return [code for code in shelf.recovery_codes.values() if code.account_id == account_id]

    async def spend_recovery_code(self, account_id: str, digest: bytes, at: datetime) -> bool:
        with self._shelf() as shelf:
            code = shelf.recovery_codes.get((account_id, digest))
            if code is None or code.spent_at:
                return False
            shelf.put(replace(code, spent_at=at))
            return True

    # attempts

    async def count_attempt(self, bucket: str, now: datetime, window: timedelta, cost: int = 1) -> Attempts:
        with self._shelf() as shelf:
            there = shelf.attempts.get(bucket)
            if there is None or there.resets_at <= now:
                if cost <= 0:
                    return Attempts(count=0, resets_at=now)
                there = Attempts(count=0, resets_at=now + window)
            shelf.attempts[bucket] = replace(there, count=max(0, there.count + cost))
            return shelf.attempts[bucket]

    async def forget_attempts(self, bucket: str) -> None:
        with self._shelf() as shelf:
            shelf.attempts.pop(bucket, None)

    # events

    async def add_event(self, account_id: str, seal: Seal) -> Event:
        with self._shelf() as shelf:
            events = shelf.events.get(account_id)
            event = seal(events[-1] if events else None)
            shelf.put(event)
            return event

    async def events_of(self, account_id: str, limit: int, before: int | None = None) -> list[Event]:
        with self._shelf() as shelf:
            return [event for event in shelf.events.get(account_id, []) if before is None or event.seq < before][-limit:]

    # the whole

    async def ready(self) -> None:
        with self._shelf():
            return

    async def engine_time(self) -> None:
        return None

    async def sweep(self, now: datetime) -> int:
        with self._shelf() as shelf:
            before = len(shelf.codes) + len(shelf.sessions) + len(shelf.spent) + len(shelf.attempts)
            shelf.codes = {id: code for id, code in shelf.codes.items() if code.expires_at > now}
            shelf.sessions = {id: session for id, session in shelf.sessions.items() if session.expires_at > now}
            shelf.spent = {id: spent for id, spent in shelf.spent.items() if spent.expires_at > now}
            shelf.attempts = {bucket: there for bucket, there in shelf.attempts.items() if there.resets_at > now}
            return before - len(shelf.codes) - len(shelf.sessions) - len(shelf.spent) - len(shelf.attempts)

    async def dump(self) -> AsyncIterator[Record]:
        with self._shelf() as shelf:
            found = shelf.records()
        for record in found:
            yield record

    async def load(self, records: AsyncIterable[Record]) -> int:
        found = [record async for record in records]
        with self._shelf() as shelf:
            if shelf.records():
                raise NotEmpty("The shelf holds records already.")
            for record in found:
                shelf.put(record)
        return len(found)

"""Carrying everything from one backend to another, or to a file and back, and checking whether a backend is whole.

Nothing is believed that was not read again: a copy or a restore ends with the target's own records, counted and digested.
Records stream, so that memory does not grow with their number. A backup is a file of JSON lines; `docs/backends.md` describes it.
It never changes a record on the way.
"""

import asyncio
import errno
import hashlib
import os
import tempfile
from array import array
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal, Protocol

import msgspec
from msgspec import Struct

import backends
from backends.protocol import Backend, Damaged
from backends.records import Account, ChainLink, Event, Record

FORMAT = 2
EVERY = 500
"""How many records go by between two reports of progress."""
PAGE = 500
"""How many events of one account are in memory at once."""
MAX_KEYS = 20
MAX_SESSIONS = 50
MAX_KEY_ID = 1023
_WORDS = 2**256

Step = Literal["count", "write", "verify"]
Progress = Callable[[Step, int, int | None], None]
"""Told the step, how many records it has done, and of how many (None while they are counted)."""


class VerificationFailed(Exception):
    """What was written is not what was read; the text says of which kind. The target is not to be used."""


class CorruptBackup(Exception):
    """This file is no backup, or not all of one."""


class Verifier(Protocol):
    """Verifies MACs: '' if one is right, else what is wrong, as the end of a sentence about the event or account."""

    def event(self, previous: Event | None, event: Event, before: ChainLink) -> str:
        """`before` is the link of `previous`; where there is none, the account's checkpoint."""

    def account(self, account: Account, newest: Event | None) -> str:
        """`newest` is None if the account has no events, or none any more."""


def _silent(step: Step, done: int, total: int | None) -> None:
    """Report to nobody."""


@dataclass
class Checksum:
    """How many records there were of each kind, and a digest of them that does not depend on their order.

    The digest is the sum, modulo 2^256, of the SHA-256 of each record's line in a backup (UTF-8, without its end).
    """

    counts: dict[str, int] = field(default_factory=dict)
    sums: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def add(self, record: Record) -> bytes:
        """Count a record; its line."""
        kind = "account" if isinstance(record, Account) else "event"
        line = _encoder.encode({kind: record})
        self.add_line(f"{kind}s", line)
        return line

    def add_line(self, kind: str, line: bytes) -> None:
        digest = int.from_bytes(hashlib.sha256(line).digest())
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.sums[kind] = (self.sums.get(kind, 0) + digest) % _WORDS

    def summary(self) -> dict[str, dict[str, Any]]:
        return {kind: {"count": count, "digest": f"{self.sums[kind]:064x}"} for kind, count in self.counts.items()}

    def differences(self, other: "Checksum") -> list[str]:
        """In plain words, where the other has something else."""
        kinds = [kind for kind in {**self.counts, **other.counts} if self.sums.get(kind) != other.sums.get(kind)]
        return [f"{kind}: {self.counts.get(kind, 0)} and {other.counts.get(kind, 0)}" for kind in kinds]


_encoder = msgspec.json.Encoder(order="deterministic")


async def checksum(backend: Backend, progress: Progress = _silent, step: Step = "count", total: int | None = None) -> Checksum:
    """Everything that the backend holds, counted and digested."""
    found = Checksum()
    async for record in backend.dump():
        found.add(record)
        if found.total % EVERY == 0:
            progress(step, found.total, total)
    progress(step, found.total, found.total)
    return found


# from backend to backend


async def copy(source: Backend, target: Backend, progress: Progress = _silent) -> Checksum:
    """Copy every record into an empty backend (NotEmpty otherwise), and read it back there; what was copied.

    Attempts are not copied: limits begin anew. After an interruption it is done again from the beginning: `load` clears away
    what it had left. VerificationFailed, if the source changed meanwhile or the target holds something else: empty it and copy
    again.
    """
    before = await checksum(source, progress)
    read = Checksum()

    async def records() -> AsyncIterator[Record]:
        async for record in source.dump():
            read.add(record)
            if read.total % EVERY == 0:
                progress("write", read.total, before.total)
            yield record

    await target.load(records())
    progress("write", read.total, before.total)
    _must_be_equal(before, read, "The source was changed while it was copied")
    await _verify(target, read, progress)
    return read


async def _verify(target: Backend, expected: Checksum, progress: Progress) -> None:
    found = await checksum(target, progress, "verify", expected.total)
    _must_be_equal(expected, found, "What was written is not what was read")


def _must_be_equal(expected: Checksum, found: Checksum, complaint: str) -> None:
    if differences := expected.differences(found):
        raise VerificationFailed(f"{complaint} ({'; '.join(differences)}).")


# to a file and back


class About(Struct):
    """The first line: of which format the file is."""

    backup: int
    made_at: str = ""


class Line(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A line of a backup: one of these."""

    keystead: About | None = None
    account: Account | None = None
    event: Event | None = None
    end: dict[str, Any] | None = None


async def backup(backend: Backend, path: Path, progress: Progress = _silent) -> Checksum:
    """Write every record into a new file, readable by its owner only (FileExistsError if there is one), and read it back there.

    What was written. The file has its name only once it is whole, on the disk, and what it should be: else VerificationFailed.
    """
    written = Checksum()
    with _new_file(path) as file:
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        file.write(_encoder.encode(Line(keystead=About(backup=FORMAT, made_at=made_at))) + b"\n")
        async for record in backend.dump():
            file.write(written.add(record) + b"\n")
            if written.total % EVERY == 0:
                progress("write", written.total, None)
        file.write(_encoder.encode(Line(end=written.summary())) + b"\n")
        progress("write", written.total, written.total)
        _verify_file(file, written, progress)
    return written


def _verify_file(file: IO[bytes], written: Checksum, progress: Progress) -> None:
    file.seek(0)
    found = Checksum()
    try:
        _format(file)
        for _ in _records(file, found):
            if found.total % EVERY == 0:
                progress("verify", found.total, written.total)
    except CorruptBackup as error:
        raise VerificationFailed(f"What was written is not what was read. {error}") from error
    progress("verify", found.total, found.total)


async def restore(path: Path, backend: Backend, progress: Progress = _silent) -> Checksum:
    """Load a backup, of this version or of 0.1, into an empty backend (NotEmpty otherwise), and read it back there.

    What was loaded. CorruptBackup if the file is no backup, was cut off, or was changed.
    """
    with path.open("rb") as file:
        if _format(file) == 1:
            return await _restore_0_1(file, backend, progress)
        read = Checksum()

        async def records() -> AsyncIterator[Record]:
            for record in _records(file, read):
                if read.total % EVERY == 0:
                    progress("write", read.total, None)
                yield record

        await backend.load(records())
    progress("write", read.total, read.total)
    await _verify(backend, read, progress)
    return read


def password_hashes(path: Path) -> Iterator[tuple[str, str]]:
    """Username and password hash of each account of a backup, for whoever can say whether they are any; CorruptBackup."""
    with path.open("rb") as file:
        if _format(file) == 1:
            for kind, values in _records_0_1(file, Checksum()):
                if kind == "accounts":
                    yield values.get("username", ""), values.get("password_hash", "")
            return
        for record in _records(file, Checksum()):
            if isinstance(record, Account):
                yield record.username, record.password_hash


def _format(file: IO[bytes]) -> int:
    """What the first line says; CorruptBackup if it says nothing, or nothing that we can read."""
    try:
        line = msgspec.json.decode(file.readline(), type=Line)
    except msgspec.DecodeError:
        line = Line()
    if line.keystead is None or line.keystead.backup not in (1, FORMAT):
        raise CorruptBackup(f"This is not a Keystead backup of format {FORMAT} or 1.")
    return line.keystead.backup


def _records(lines: Iterable[bytes], read: Checksum) -> Iterator[Record]:
    """The records behind a backup's first line; CorruptBackup unless its last line is there and agrees."""
    decoder, numbered = msgspec.json.Decoder(Line), enumerate(lines, start=2)
    end = None
    for number, text in numbered:
        line = _decoded(decoder, number, text)
        if line.end is not None:
            end = line.end
            break
        record = line.account or line.event
        if record is None:
            raise CorruptBackup(f"Line {number} is not what a backup has.")
        read.add(record)
        yield record
    _must_end(end, read, next(numbered, None) is not None)


def _decoded(decoder: "msgspec.json.Decoder[Any]", number: int, text: bytes) -> Any:
    try:
        return decoder.decode(text)
    except msgspec.DecodeError as error:
        raise CorruptBackup(f"Line {number} is not what a backup has.") from error


def _must_end(end: Any, read: Checksum, more: bool) -> None:
    if end is None:
        raise CorruptBackup("The backup was cut off: its last line is missing.")
    if end != read.summary() or more:
        raise CorruptBackup("The backup was changed: its last line does not agree with the others.")


async def _restore_0_1(file: IO[bytes], backend: Backend, progress: Progress) -> Checksum:
    """By a file of version 0.1, made anew of its records and migrated."""
    from backends import sqlite_file

    with tempfile.TemporaryDirectory() as directory:
        old = Path(directory) / "keystead.db"
        try:
            await asyncio.to_thread(sqlite_file.make_0_1, old, _records_0_1(file, Checksum()))
        except (ValueError, msgspec.ValidationError) as error:
            raise CorruptBackup(f"A line of the backup cannot be restored: {error}") from error
        await backends.migrate(old.as_uri())
        source = await backends.open_backend(old.as_uri())
        try:
            return await copy(source, backend, progress)
        finally:
            await source.close()


def _records_0_1(lines: Iterable[bytes], read: Checksum) -> Iterator[tuple[str, dict[str, Any]]]:
    """The kind and the fields of each record, as `_records`."""
    decoder, numbered = msgspec.json.Decoder(dict[str, dict[str, Any]]), enumerate(lines, start=2)
    end = None
    for number, text in numbered:
        line = _decoded(decoder, number, text)
        if len(line) != 1:
            raise CorruptBackup(f"Line {number} is not what a backup has.")
        ((kind, values),) = line.items()
        if kind == "end":
            end = values
            break
        read.add_line(kind, text.rstrip(b"\n"))
        yield kind, values
    _must_end(end, read, next(numbered, None) is not None)


@contextmanager
def _new_file(path: Path) -> Iterator[IO[bytes]]:
    if path.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    part = path.with_name(path.name + ".part")
    descriptor = os.open(part, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


# the heads of all accounts, to compare with later


class Heads(Struct):
    """A file of heads: enough to see later that an account was put back in time, and of no use to anybody else."""

    keystead: dict[str, Any]
    heads: dict[str, ChainLink]


async def heads(backend: Backend) -> AsyncIterator[tuple[str, ChainLink]]:
    """The newest event of each account, by the account's id."""
    async for account in backend.accounts():
        yield account.id, account.head


async def write_heads(backend: Backend, path: Path) -> int:
    """Write the heads of all accounts into a new file (FileExistsError if there is one); how many. Keep it elsewhere."""
    found = {account_id: head async for account_id, head in heads(backend)}
    about = {"heads": 1, "made_at": datetime.now(UTC).isoformat(timespec="seconds")}
    with _new_file(path) as file:
        file.write(_encoder.encode(Heads(keystead=about, heads=found)) + b"\n")
    return len(found)


def read_heads(path: Path) -> dict[str, ChainLink]:
    """The heads in such a file; CorruptBackup if it is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Heads).heads
    except msgspec.DecodeError as error:
        raise CorruptBackup(f"{path} is not a file of heads, or not all of one.") from error


# checking whether a backend is whole


async def check(
    backend: Backend,
    verify: Verifier | None = None,
    heads: Mapping[str, ChainLink] | None = None,
    progress: Progress = _silent,
) -> AsyncIterator[str]:
    """What is wrong with the records themselves, one sentence each; nothing, if the backend is whole.

    Without `verify`, only numbers are compared, and MACs where one stands twice. With `heads` that were exported before, accounts
    that were put back in time are found. It may run beside a server: an account that seems wrong is read once more. It holds 8
    bytes for each key, and the heads.
    """
    await backend.ready()
    look = _Look(backend, verify, heads or {})
    async for chain in _chains(look, progress):
        for fault in await look.faults(chain):
            yield fault
    for fault in await look.faults_of_all():
        yield fault


async def _chains(look: "_Look", progress: Progress) -> AsyncIterator["_Chain"]:
    """Each account of a dump with its events behind it; events of nobody as well."""
    chain, done = _Chain("", None), 0
    async for record in look.backend.dump(damaged=look.leave_out):
        if isinstance(record, Account):
            yield chain
            chain = look.chain(record.id, record)
        elif record.account_id != chain.account_id:
            yield chain
            chain = look.chain(record.account_id, None)
        if isinstance(record, Event):
            chain.follow(record)
        done += 1
        if done % EVERY == 0:
            progress("verify", done, None)
            await asyncio.sleep(0)
    yield chain
    progress("verify", done, done)


def _faults_inside(account: Account) -> Iterator[str]:
    """What can be seen in the record alone."""
    for key in account.keys:
        if not 1 <= len(key.id) <= MAX_KEY_ID:
            yield f"has a key with an id of {len(key.id)} bytes"
        if key.sign_count < 0:
            yield "has a key with a counter below zero"
    if any(code.tries_left < 0 for code in account.codes):
        yield "has a code with fewer tries left than none"
    if len(account.keys) > MAX_KEYS:
        yield f"has {len(account.keys)} keys"
    if len(account.sessions) > MAX_SESSIONS:
        yield f"has {len(account.sessions)} sessions"


class _Chain:
    """The events of an account as they come: without gap from its checkpoint to its head, each with a MAC over the one before."""

    def __init__(
        self, account_id: str, account: Account | None, verify: Verifier | None = None, exported: ChainLink | None = None
    ) -> None:
        self.account_id, self.account = account_id, account
        self.faults: list[str] = []
        self._verify = verify
        self._exported = exported
        self._previous: Event | None = None
        self._last = account.checkpoint if account else ChainLink()
        self._compare(self._last)

    def follow(self, event: Event) -> None:
        if self.account is None:
            self._say("belongs to no account", event)
        elif event.seq != self._last.seq + 1:
            self._say(f"comes where {self._last.seq + 1} should", event)
        elif self._verify and (fault := self._verify.event(self._previous, event, self._last)):
            self._say(fault, event)
        self._previous, self._last = event, ChainLink(seq=event.seq, mac=event.mac)
        self._compare(self._last)

    def end(self) -> None:
        """Once there are no more events."""
        if self.account is None:
            return
        head = self.account.head
        if self._last.seq != head.seq:
            self._say(f"ends with event {self._last.seq}, where {head.seq} should be its newest")
        elif self._last.mac != head.mac:
            self._say(f"has another MAC for event {head.seq} than that event itself")
        if self._exported and self._exported.seq > head.seq:
            self._say(f"was put back in time: its event {self._exported.seq} was exported before")
        if self._verify and (fault := self._verify.account(self.account, self._previous)):
            self._say(fault)

    def _compare(self, link: ChainLink) -> None:
        if self._exported and link.seq == self._exported.seq and link.mac != self._exported.mac:
            self._say(f"has another event {link.seq} than was exported before")

    def _say(self, fault: str, event: Event | None = None) -> None:
        """The same of many events is said of the first one only."""
        if not any(said.endswith(f" {fault}") for said in self.faults):
            self.faults.append(f"{f'event {event.seq} of ' if event else ''}account {self.account_id} {fault}")


class _Look:
    """At one account after another: quickly, as it comes in a dump, and once more, if something seems wrong then."""

    def __init__(self, backend: Backend, verify: Verifier | None, heads: Mapping[str, ChainLink]) -> None:
        self.backend = backend
        self._verify = verify
        self._heads = heads
        self._missing = set(heads)
        self._keys = _Seen()
        self._damaged: list[str] = []

    def chain(self, account_id: str, account: Account | None) -> _Chain:
        return _Chain(account_id, account, self._verify, self._heads.get(account_id))

    def leave_out(self, damaged: Damaged) -> None:
        """There is nothing more to be seen of it, and of its events."""
        self._missing.discard(damaged.account_id)
        self._damaged.append(str(damaged).rstrip("."))

    async def faults(self, chain: _Chain) -> list[str]:
        """What is wrong with an account whose events have come."""
        chain.end()
        account, faults = chain.account, list[str]()
        if account is not None:
            self._missing.discard(account.id)
            self._keys.add(key.id for key in account.keys)
            faults = [f"account {account.id} {fault}" for fault in _faults_inside(account)]
        if chain.faults or not await self._is_found(account):
            faults += await self._faults_again(chain.account_id)
        return faults

    async def faults_of_all(self) -> list[str]:
        """What is wrong with all of them together."""
        gone = [account_id for account_id in sorted(self._missing) if await self.backend.account(account_id) is None]
        return (
            self._damaged
            + ["a credential id is bound twice"] * self._keys.repeated()
            + [f"account {account_id} was exported before, and is not there any more" for account_id in gone]
        )

    async def _is_found(self, account: Account | None) -> bool:
        """By its name; nobody need not be."""
        if account is None:
            return True
        try:
            found = await self.backend.account_named(account.username)
        except Damaged:  # what it is found by, or another that is found by it
            return False
        return found is not None and found.id == account.id

    async def _faults_again(self, account_id: str) -> list[str]:
        """While nobody changes it: a server may have, between its record and its events."""
        while True:
            account = await self.backend.account(account_id)
            chain = self.chain(account_id, account)
            async for event in self._events(account_id):
                chain.follow(event)
            chain.end()
            lost = [] if await self._is_found(account) else [f"account {account_id} is not found by its name"]
            now = await self.backend.account(account_id)
            if (now and now.version) == (account and account.version):
                return chain.faults + lost

    async def _events(self, account_id: str) -> AsyncIterator[Event]:
        """All of them upwards, a page at a time: where pages begin is found from the newest downwards."""
        pages: list[int | None] = [None]
        while page := await self.backend.events_of(account_id, PAGE, pages[-1]):
            pages.append(page[0].seq)
        for before in reversed(pages[:-1]):
            for event in await self.backend.events_of(account_id, PAGE, before):
                yield event


class _Seen:
    """Ids, of which only 8 bytes of a digest are kept."""

    def __init__(self) -> None:
        self._digests = array("Q")

    def add(self, ids: Iterable[bytes]) -> None:
        self._digests.extend(int.from_bytes(hashlib.sha256(id).digest()[:8]) for id in ids)

    def repeated(self) -> int:
        """How many came a second time."""
        digests = array("Q", sorted(self._digests))
        return sum(digests[place] == digests[place + 1] for place in range(len(digests) - 1))

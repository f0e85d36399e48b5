"""Carrying everything from one backend to another, or to a file and back, and looking whether a backend is whole.

Nothing is believed that was not read again: a copy or a restore ends with the target's own records, counted and digested.
Records stream, so that memory does not grow with their number. A backup is a file of JSON lines; `docs/backends.md` describes it.
"""

import asyncio
import hashlib
import json
import os
from array import array
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TextIO

from backends.kinds import from_line, kind_of, to_line
from backends.protocol import Backend
from backends.records import Event, Record, RecoveryCode, SecurityKey, Session, Spent, VerificationCode

FORMAT = 1
EVERY = 500
"""How many records go by between two reports of progress."""
_WORDS = 2**256

Step = Literal["count", "write", "verify"]
Progress = Callable[[Step, int, int | None], None]
"""Told the step, how many records it has done, and of how many (None while they are counted)."""
Genuine = Callable[[Event | None, Event], bool]
"""Given an account's event before (None: there is none) and an event: whether its `mac` is right."""


class Differs(Exception):
    """What was written is not what was read; the text says of which kind. The target is not to be used."""


class NotWhole(Exception):
    """This file is no backup, or not all of one."""


def _silent(step: Step, done: int, total: int | None) -> None:
    """Report to nobody."""


@dataclass
class Tally:
    """How many records there were of each kind, and a digest of them that does not depend on their order.

    The digest is the sum, modulo 2^256, of the SHA-256 of each record's line in a backup (UTF-8, without its end).
    """

    counts: dict[str, int] = field(default_factory=dict)
    sums: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def add(self, record: Record) -> str:
        """Count a record; its line."""
        line, kind = to_line(record), kind_of(record).name
        digest = int.from_bytes(hashlib.sha256(line.encode()).digest())
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.sums[kind] = (self.sums.get(kind, 0) + digest) % _WORDS
        return line

    def summary(self) -> dict[str, dict[str, Any]]:
        return {kind: {"count": count, "digest": f"{self.sums[kind]:064x}"} for kind, count in self.counts.items()}

    def differences(self, other: "Tally") -> list[str]:
        """In plain words, where the other has something else."""
        kinds = [kind for kind in {**self.counts, **other.counts} if self.sums.get(kind) != other.sums.get(kind)]
        return [f"{kind}: {self.counts.get(kind, 0)} and {other.counts.get(kind, 0)}" for kind in kinds]


async def tally(backend: Backend, progress: Progress = _silent, step: Step = "count", total: int | None = None) -> Tally:
    """Everything that the backend holds, counted and digested."""
    found = Tally()
    async for record in backend.dump():
        found.add(record)
        if found.total % EVERY == 0:
            progress(step, found.total, total)
    progress(step, found.total, found.total)
    return found


# from backend to backend


async def copy(source: Backend, target: Backend, progress: Progress = _silent) -> Tally:
    """Copy every record into an empty backend (NotEmpty otherwise), and read it back there; what was copied.

    Attempts are not copied: limits begin anew. After an interruption it is done again from the beginning: `load` clears away
    what it had left. Differs, if the source changed meanwhile or the target holds something else: empty it and copy again.
    """
    before = await tally(source, progress)
    read = Tally()

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


async def _verify(target: Backend, expected: Tally, progress: Progress) -> None:
    _must_be_equal(expected, await tally(target, progress, "verify", expected.total), "What was written is not what was read")


def _must_be_equal(expected: Tally, found: Tally, complaint: str) -> None:
    if differences := expected.differences(found):
        raise Differs(f"{complaint} ({'; '.join(differences)}).")


# to a file and back


async def backup(backend: Backend, path: Path, progress: Progress = _silent) -> Tally:
    """Write every record into a new file, readable by its owner only (FileExistsError if there is one); what was written.

    The file has its name only once it is whole and on the disk.
    """
    written = Tally()
    with _new_file(path) as file:
        _write(file, {"keystead": {"backup": FORMAT, "made_at": datetime.now(UTC).isoformat(timespec="seconds")}})
        async for record in backend.dump():
            file.write(written.add(record) + "\n")
            if written.total % EVERY == 0:
                progress("write", written.total, None)
        _write(file, {"end": written.summary()})
    progress("write", written.total, written.total)
    return written


async def restore(path: Path, backend: Backend, progress: Progress = _silent) -> Tally:
    """Load a backup into an empty backend (NotEmpty otherwise), and read it back there; what was loaded.

    NotWhole if the file is no backup, was cut off, or was changed.
    """
    read = Tally()

    async def records() -> AsyncIterator[Record]:
        with path.open(encoding="utf-8") as file:
            for record in _records(file, read):
                if read.total % EVERY == 0:
                    progress("write", read.total, None)
                yield record

    await backend.load(records())
    progress("write", read.total, read.total)
    await _verify(backend, read, progress)
    return read


def _records(lines: Iterable[str], read: Tally) -> Iterator[Record]:
    """The records between a backup's first and last line; NotWhole unless both are there and the last one agrees."""
    every = (_parsed(number, line) for number, line in enumerate(lines, start=1))
    name, about = next(every, ("", {}))
    if name != "keystead" or about.get("backup") != FORMAT:
        raise NotWhole(f"This is not a Keystead backup of format {FORMAT}.")
    for name, values in every:
        if name == "end":
            break
        record = _record(name, values)
        read.add(record)
        yield record
    else:
        raise NotWhole("The backup was cut off: its last line is missing.")
    if values != read.summary() or next(every, None) is not None:
        raise NotWhole("The backup was changed: its last line does not agree with the others.")


def _parsed(number: int, line: str) -> tuple[str, dict[str, Any]]:
    try:
        ((name, values),) = json.loads(line).items()
    except (ValueError, AttributeError) as error:
        raise NotWhole(f"Line {number} is not what a backup has.") from error
    if not isinstance(values, dict):
        raise NotWhole(f"Line {number} is not what a backup has.")
    return name, values


def _record(name: str, values: dict[str, Any]) -> Record:
    try:
        return from_line(name, values)
    except (ValueError, TypeError) as error:
        raise NotWhole(f"A line of the backup is no record of ours: {name}.") from error


def _write(file: TextIO, what: dict[str, Any]) -> None:
    file.write(json.dumps(what, ensure_ascii=False, separators=(",", ":")) + "\n")


@contextmanager
def _new_file(path: Path) -> Iterator[TextIO]:
    if path.exists():
        raise FileExistsError(f"{path} exists already.")
    part = path.with_name(path.name + ".part")
    descriptor = os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


# looking whether a backend is whole


async def check(backend: Backend, genuine: Genuine | None = None, progress: Progress = _silent) -> AsyncIterator[str]:
    """What is wrong with the records themselves, one sentence each; nothing, if the backend is whole.

    `genuine` verifies the seals of events; without it only their numbers are looked at. It may run beside a server: what
    seems to belong to nobody is asked for once more. It holds 8 bytes for each account and each key.
    """
    await backend.ready()
    accounts = _Seen()
    async for account in backend.accounts():
        accounts.add(account.id.encode())
        if await backend.account_named(account.username) is None:
            yield f"account {account.id} is not found by its name"
    keys, chain, done = _Seen(), _Chain(genuine), 0
    async for record in backend.dump():
        done += 1
        if done % EVERY == 0:
            progress("verify", done, None)
            await asyncio.sleep(0)
        for fault in _faults(record, keys, chain):
            yield f"{_name(record)} {fault}"
        owner = getattr(record, "account_id", None)
        if owner is not None and owner.encode() not in accounts and await backend.account(owner) is None:
            yield f"{_name(record)} belongs to no account"
    for _ in range(keys.repeated()):
        yield "a credential id is bound twice"
    progress("verify", done, done)


def _faults(record: Record, keys: "_Seen", chain: "_Chain") -> Iterator[str]:
    match record:
        case SecurityKey():
            keys.add(record.id)
            if not 1 <= len(record.id) <= 1023:
                yield f"has an id of {len(record.id)} bytes"
            if record.sign_count < 0:
                yield "has a counter below zero"
        case VerificationCode() if record.tries_left < 0:
            yield "has fewer tries left than none"
        case Event():
            yield from chain.faults(record)


def _name(record: Record) -> str:
    """For people, and without anything that could be used: which record it is."""
    match record:
        case SecurityKey():
            return f"key {record.id[:8].hex()}… of account {record.account_id}"
        case Session():
            return f"session {record.id} of account {record.account_id}"
        case VerificationCode():
            return f"code to {record.purpose} of account {record.account_id}"
        case RecoveryCode():
            return f"recovery code of account {record.account_id}"
        case Event():
            return f"event {record.seq} of account {record.account_id}"
        case Spent():
            return f"spent {record.id}"
    return f"account {record.id}"


class _Chain:
    """An account's events must follow each other from 1, each sealed to the one before. They come together and in order."""

    def __init__(self, genuine: Genuine | None) -> None:
        self._genuine = genuine
        self._last: Event | None = None

    def faults(self, event: Event) -> Iterator[str]:
        last = self._last if self._last and self._last.account_id == event.account_id else None
        self._last = event
        expected = last.seq + 1 if last else 1
        if event.seq != expected:
            yield f"comes where {expected} should"
        elif self._genuine and not self._genuine(last, event):
            yield "has a seal that is not ours"


class _Seen:
    """A set of ids, of which only 8 bytes of a digest are kept."""

    def __init__(self) -> None:
        self._digests = array("Q")
        self._sorted = True

    def add(self, id: bytes) -> None:
        self._digests.append(_short(id))
        self._sorted = False

    def __contains__(self, id: bytes) -> bool:
        self._sort()
        digest = _short(id)
        place = bisect_left(self._digests, digest)
        return place < len(self._digests) and self._digests[place] == digest

    def repeated(self) -> int:
        self._sort()
        return sum(self._digests[place] == self._digests[place + 1] for place in range(len(self._digests) - 1))

    def _sort(self) -> None:
        if not self._sorted:
            self._digests = array("Q", sorted(self._digests))
            self._sorted = True


def _short(id: bytes) -> int:
    return int.from_bytes(hashlib.sha256(id).digest()[:8])

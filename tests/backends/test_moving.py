"""Everything arrives when it is moved, and whoever looks whether it is whole finds what is not."""

import asyncio
import hashlib
import json
import re
import sqlite3
import stat
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from backends import moving, open_backend
from backends.file import FileBackend
from backends.moving import Differs, NotWhole
from backends.protocol import Backend, NotEmpty
from backends.records import Event, Record
from backends.specimens import MILLISECOND, MINUTE, NOW, Interrupted, account, all_of, fill, sealed
from tests import mongo_server

pytestmark = pytest.mark.anyio


@pytest.fixture
async def full(tmp_path: Path) -> AsyncIterator[FileBackend]:
    backend = await FileBackend.open(f"file://{tmp_path}/full.db")
    await fill(backend, 300)
    yield backend
    await backend.close()


@pytest.fixture
async def empty(tmp_path: Path) -> AsyncIterator[FileBackend]:
    backend = await FileBackend.open(f"file://{tmp_path}/empty.db")
    yield backend
    await backend.close()


def genuine(last: Event | None, event: Event) -> bool:
    """As `races.sealed` seals."""
    return event.mac == str(last.seq if last else 0).encode()


async def faults(backend: Backend) -> list[str]:
    return await all_of(moving.check(backend, genuine))


# copies


async def test_a_copy_is_equal_and_counted(full: FileBackend, empty: FileBackend) -> None:
    reports: list[tuple[str, int, int | None]] = []
    copied = await moving.copy(full, empty, lambda *report: reports.append(report))
    assert await all_of(empty.dump()) == await all_of(full.dump())
    assert copied.counts == {
        "accounts": 300, "keys": 600, "recovery_codes": 600, "events": 600, "sessions": 600, "codes": 300, "spent": 300,
    }  # fmt: skip
    total = 3300
    assert [report for report in reports if report[1] == report[2]] == [
        ("count", total, total), ("write", total, total), ("verify", total, total),
    ]  # fmt: skip
    assert {step for step, _, _ in reports if step} == {"count", "write", "verify"}
    assert await faults(empty) == []


async def test_a_copy_through_mongo_and_back_is_equal(full: FileBackend, empty: FileBackend) -> None:
    with mongo_server.running() as address:
        mongo = await open_backend(mongo_server.database(address))
        there = await moving.copy(full, mongo)
        back = await moving.copy(mongo, empty)
        assert await faults(mongo) == []
        await mongo.close()
    assert there == back
    assert await all_of(empty.dump()) == await all_of(full.dump())


async def test_a_target_that_holds_something_is_left_as_it_is(full: FileBackend, empty: FileBackend) -> None:
    await empty.add_account(account())
    with pytest.raises(NotEmpty):
        await moving.copy(full, empty)
    assert await all_of(empty.dump()) == [account()]


class Dies(FileBackend):
    """A source that is interrupted in its second reading, which is the one that is copied."""

    dumps = 0

    async def dump(self) -> AsyncIterator[Record]:
        self.dumps += 1
        done = 0
        async for record in super().dump():
            if self.dumps == 2 and (done := done + 1) > 2000:
                raise Interrupted
            yield record


async def test_an_interrupted_copy_is_done_again(full: FileBackend, empty: FileBackend, tmp_path: Path) -> None:
    dies = await Dies.open(f"file://{tmp_path}/full.db")
    with pytest.raises(Interrupted):
        await moving.copy(dies, empty)
    await dies.close()
    await moving.copy(full, empty)
    assert await all_of(empty.dump()) == await all_of(full.dump())


async def test_a_copy_that_was_killed_is_done_again(full: FileBackend, empty: FileBackend, tmp_path: Path) -> None:
    program = f"""
import asyncio, os, signal
from backends import moving, open_backend
async def main():
    source, target = await open_backend("file://{tmp_path}/full.db"), await open_backend("file://{tmp_path}/empty.db")
    def die(step, done, total):
        if step == "write" and done > 2000: os.kill(os.getpid(), signal.SIGKILL)
    await moving.copy(source, target, die)
asyncio.run(main())
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9  # noqa: ASYNC221 - nothing else runs in this loop
    await moving.copy(full, empty)
    assert await all_of(empty.dump()) == await all_of(full.dump())


class Changes(FileBackend):
    """A source to which a server still writes."""

    async def dump(self) -> AsyncIterator[Record]:
        await self.spend_once(f"while {len(await all_of(super().dump()))} were copied", NOW + MINUTE)
        async for record in super().dump():
            yield record


class Forgets(FileBackend):
    """A target that does not keep what it is given."""

    async def dump(self) -> AsyncIterator[Record]:
        async for record in super().dump():
            if record != account("account-00007", created_at=NOW + 7 * MILLISECOND, frozen_at=NOW):
                yield record


async def test_a_source_that_changed_meanwhile_is_told(full: FileBackend, empty: FileBackend, tmp_path: Path) -> None:
    changes = await Changes.open(f"file://{tmp_path}/full.db")
    with pytest.raises(Differs, match=r"source was changed.*spent: 301 and 302"):
        await moving.copy(changes, empty)
    await changes.close()


async def test_a_target_that_lost_something_is_told(full: FileBackend, tmp_path: Path) -> None:
    forgets = await Forgets.open(f"file://{tmp_path}/forgets.db")
    with pytest.raises(Differs, match="accounts: 300 and 299"):
        await moving.copy(full, forgets)
    await forgets.close()


async def test_a_changed_field_changes_the_digest(full: FileBackend) -> None:
    before = await moving.tally(full)
    first = await anext(full.accounts())
    await full.record_account(first, replace(first, email="changed@example.com"))
    after = await moving.tally(full)
    assert before.counts == after.counts
    assert before.differences(after) == ["accounts: 300 and 300"]


# backups


async def test_a_backup_restores_everything(full: FileBackend, empty: FileBackend, tmp_path: Path) -> None:
    written = await moving.backup(full, tmp_path / "all.jsonl")
    assert await moving.restore(tmp_path / "all.jsonl", empty) == written
    assert await all_of(empty.dump()) == await all_of(full.dump())


async def test_a_backup_is_readable_by_its_owner_only_and_never_overwrites(full: FileBackend, tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    await moving.backup(full, path)
    before = _bytes(path)
    assert stat.S_IMODE(_mode(path)) == 0o600
    with pytest.raises(FileExistsError):
        await moving.backup(full, path)
    assert _bytes(path) == before


async def test_a_backup_that_fails_leaves_no_file(tmp_path: Path, full: FileBackend) -> None:
    dies = await Dies.open(f"file://{tmp_path}/full.db")
    dies.dumps = 1
    with pytest.raises(Interrupted):
        await moving.backup(dies, tmp_path / "all.jsonl")
    await dies.close()
    assert sorted(name for name in _names(tmp_path) if "jsonl" in name) == []


async def test_a_backup_is_readable_without_keystead(full: FileBackend, tmp_path: Path) -> None:
    await moving.backup(full, tmp_path / "all.jsonl")
    first, *lines, last = _bytes(tmp_path / "all.jsonl").decode().splitlines()
    assert json.loads(first)["keystead"]["backup"] == 1
    counts: dict[str, int] = defaultdict(int)
    sums: dict[str, int] = defaultdict(int)
    for line in lines:
        ((kind, _),) = json.loads(line).items()
        counts[kind] += 1
        sums[kind] += int(hashlib.sha256(line.encode()).hexdigest(), 16)
    told = {kind: {"count": counts[kind], "digest": f"{sums[kind] % 2**256:064x}"} for kind in counts}
    assert json.loads(last) == {"end": told}
    key = next(json.loads(line)["keys"] for line in lines if line.startswith('{"keys"'))
    assert key["bound_at"] == "2040-01-02T03:04:05.678Z"
    assert key["transports"] == ["usb", "nfc"]
    assert key["public_key"] == "pQEC"


async def _refusal(path: Path, lines: list[str], backend: Backend) -> str:
    _put(path, "".join(lines))
    with pytest.raises(NotWhole) as refusal:
        await moving.restore(path, backend)
    assert await all_of(backend.dump()) == []
    return str(refusal.value)


async def test_what_is_no_whole_backup_is_refused_and_leaves_nothing(
    full: FileBackend, empty: FileBackend, tmp_path: Path
) -> None:
    await moving.backup(full, tmp_path / "all.jsonl")
    lines = _bytes(tmp_path / "all.jsonl").decode().splitlines(keepends=True)
    path = tmp_path / "damaged.jsonl"
    assert "not a Keystead backup" in await _refusal(path, [], empty)
    assert "not a Keystead backup" in await _refusal(path, lines[1:], empty)
    assert "not a Keystead backup" in await _refusal(path, [lines[0].replace(":1", ":2"), *lines[1:]], empty)
    assert "cut off" in await _refusal(path, lines[:-1], empty)
    assert "cut off" in await _refusal(path, lines[:1], empty)
    assert "was changed" in await _refusal(path, [*lines[:5], *lines[6:]], empty)
    assert "was changed" in await _refusal(path, [lines[0], lines[1].replace("example.com", "example.org"), *lines[2:]], empty)
    assert "was changed" in await _refusal(path, [*lines, lines[1]], empty)
    assert "Line 2 is not" in await _refusal(path, [lines[0], lines[1][:50] + "\n", *lines[2:]], empty)
    assert "Line 2 is not" in await _refusal(path, [lines[0], "[]\n", *lines[2:]], empty)
    assert "Line 2 is not" in await _refusal(path, [lines[0], '{"accounts":7}\n', *lines[2:]], empty)
    assert "no record of ours" in await _refusal(path, [lines[0], '{"cats":{}}\n', *lines[2:]], empty)
    assert "no record of ours" in await _refusal(path, [lines[0], '{"spent":{"id":"a"}}\n', *lines[2:]], empty)
    assert "no record of ours" in await _refusal(
        path, [lines[0], '{"spent":{"id":"a","expires_at":"soon"}}\n', *lines[2:]], empty
    )


async def test_nothing_is_restored_over_what_is_there(full: FileBackend, tmp_path: Path) -> None:
    await moving.backup(full, tmp_path / "all.jsonl")
    with pytest.raises(NotEmpty):
        await moving.restore(tmp_path / "all.jsonl", full)


# looking whether a backend is whole


async def test_a_whole_backend_has_no_faults(full: FileBackend, empty: FileBackend) -> None:
    assert await faults(full) == []
    assert await faults(empty) == []


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("DELETE FROM accounts WHERE id = 'account-00000'", "key .* belongs to no account"),
        ("UPDATE sessions SET account_id = 'nobody' WHERE id = 'session 1'", "session session 1 of account nobody belongs to no"),
        ("UPDATE codes SET account_id = 'nobody' WHERE account_id = 'account-00001'", "code to bind of account nobody belongs"),
        ("UPDATE recovery_codes SET account_id = 'nobody' WHERE place = 3", "recovery code of account nobody belongs"),
        ("DELETE FROM events WHERE account_id = 'account-00001' AND seq = 1", "event 2 of account account-00001 comes where 1"),
        (
            "UPDATE events SET seq = 3 WHERE account_id = 'account-00001' AND seq = 2",
            "event 3 of account account-00001 comes where 2",
        ),
        ("UPDATE events SET mac = x'00' WHERE account_id = 'account-00001' AND seq = 2", "event 2 .* seal that is not ours"),
        ("UPDATE accounts SET folded = 'x' WHERE id = 'account-00001'", "account account-00001 is not found by its name"),
        ("UPDATE keys SET id = x'' WHERE id = CAST('account-00001 a' AS BLOB)", "has an id of 0 bytes"),
        ("UPDATE keys SET sign_count = -1 WHERE id = CAST('account-00001 a' AS BLOB)", "has a counter below zero"),
        ("UPDATE codes SET tries_left = -1 WHERE account_id = 'account-00001'", "has fewer tries left than none"),
    ],
)
async def test_what_is_damaged_is_found(full: FileBackend, tmp_path: Path, damage: str, found: str) -> None:
    db = sqlite3.connect(tmp_path / "full.db")
    with db:
        assert db.execute(damage).rowcount >= 1
    db.close()
    assert any(re.search(found, fault) for fault in await faults(full))


async def test_a_look_may_run_beside_a_server(full: FileBackend) -> None:
    async def grow() -> None:
        for number in range(50):
            id = f"new-{number}"
            await full.add_account(account(id))
            await full.add_event(id, sealed("", id))

    growing = asyncio.create_task(grow())
    assert await faults(full) == []
    await growing


def _bytes(path: Path) -> bytes:
    return path.read_bytes()


def _put(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _mode(path: Path) -> int:
    return path.stat().st_mode


def _names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]

"""Everything arrives when it is carried elsewhere, and whoever checks whether a backend is whole finds what is not."""

import asyncio
import hashlib
import json
import stat
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from backends import migrate, open_backend, transfer
from backends.contract import samples
from backends.contract.samples import (
    NOW,
    Interrupted,
    account,
    all_of,
    begun,
    change,
    code,
    event,
    fill,
    filled,
    given,
    key,
    link,
    session,
)
from backends.file import FileBackend
from backends.protocol import Backend, NotEmpty, OnDamaged, refuse
from backends.records import Account, ChainLink, Event, Record
from backends.transfer import Checksum, CorruptBackup, VerificationFailed
from tests import mongo_server
from tests.plugin.keystead_shelf import ShelfBackend

pytestmark = pytest.mark.anyio

STORE_0_1 = Path(__file__).parent / "store_0_1.jsonl"
"""A backup that version 0.1 made."""


def test_what_backends_are_tried_with_has_every_field_that_an_account_can_do_without() -> None:
    made, _ = filled(0)
    plain = Account(id="", username="", email="", password_hash="", created_at=NOW, password_at=NOW)
    left_out = [name for name in made.__struct_fields__ if getattr(made, name) == getattr(plain, name)]
    assert left_out == ["created_at", "password_at", "checkpoint", "version"], "the last two are what backends act on"


@pytest.fixture
async def full(tmp_path: Path) -> AsyncIterator[FileBackend]:
    await FileBackend.migrate(f"file://{tmp_path}/full.db")
    backend = await FileBackend.open(f"file://{tmp_path}/full.db")
    await fill(backend, 300)
    yield backend
    await backend.close()


@pytest.fixture
async def empty(tmp_path: Path) -> AsyncIterator[FileBackend]:
    await FileBackend.migrate(f"file://{tmp_path}/empty.db")
    backend = await FileBackend.open(f"file://{tmp_path}/empty.db")
    yield backend
    await backend.close()


@pytest.fixture
def shelf(tmp_path: Path) -> ShelfBackend:
    """It loads whatever it is given."""
    return ShelfBackend(tmp_path / "shelf")


class ToyVerifier:
    """Verifies the MACs of `samples`."""

    def event(self, previous: Event | None, event: Event, before: ChainLink) -> str:
        assert previous is None or before == link(previous)
        return "" if event.mac == samples.mac(before, event) else "has a MAC that is not ours"

    def account(self, account: Account, newest: Event | None) -> str:
        return (
            "" if account.seal == b"seal" and (newest is None or link(newest) == account.head) else "has a seal that is not ours"
        )


async def faults(backend: Backend, heads: dict[str, ChainLink] | None = None) -> list[str]:
    return await all_of(transfer.check(backend, ToyVerifier(), heads))


# copies


async def test_a_copy_is_equal_and_counted(full: FileBackend, empty: FileBackend) -> None:
    reports: list[tuple[str, int, int | None]] = []
    copied = await transfer.copy(full, empty, lambda *report: reports.append(report))
    assert await all_of(empty.dump()) == await all_of(full.dump())
    assert copied.counts == {"accounts": 300, "events": 600}
    ends = [report for report in reports if report[1] == report[2]]
    assert ends == [("count", 900, 900), ("write", 900, 900), ("verify", 900, 900)]
    assert {step for step, done, _ in reports if done < 900} == {"count", "write", "verify"}
    assert await faults(empty) == []


async def test_a_copy_through_mongo_and_back_is_equal(full: FileBackend, empty: FileBackend) -> None:
    with mongo_server.running() as address:
        url = mongo_server.database(address)
        await migrate(url)
        mongo = await open_backend(url)
        there = await transfer.copy(full, mongo)
        back = await transfer.copy(mongo, empty)
        assert await faults(mongo) == []
        await mongo.close()
    assert there == back
    assert await all_of(empty.dump()) == await all_of(full.dump())


async def test_a_copy_into_a_plug_in_and_back_is_equal(full: FileBackend, shelf: ShelfBackend, empty: FileBackend) -> None:
    assert await transfer.copy(full, shelf) == await transfer.copy(shelf, empty)
    assert await all_of(empty.dump()) == await all_of(full.dump())


async def test_a_target_that_holds_something_is_left_as_it_is(full: FileBackend, empty: FileBackend) -> None:
    await empty.add(account())
    with pytest.raises(NotEmpty):
        await transfer.copy(full, empty)
    assert await all_of(empty.dump()) == [account()]


class Dies(FileBackend):
    """A source that is interrupted in its second reading, which is the one that is copied."""

    dumps = 0

    async def dump(self, *, damaged: OnDamaged = refuse) -> AsyncIterator[Record]:
        self.dumps += 1
        done = 0
        async for record in super().dump():
            if self.dumps == 2 and (done := done + 1) > 500:
                raise Interrupted
            yield record


async def test_an_interrupted_copy_is_done_again(full: FileBackend, empty: FileBackend, tmp_path: Path) -> None:
    dies = await Dies.open(f"file://{tmp_path}/full.db")
    with pytest.raises(Interrupted):
        await transfer.copy(dies, empty)
    await dies.close()
    await transfer.copy(full, empty)
    assert await all_of(empty.dump()) == await all_of(full.dump())


async def test_a_copy_that_was_killed_is_done_again(full: FileBackend, empty: FileBackend, tmp_path: Path) -> None:
    program = f"""
import asyncio, os, signal
from backends import open_backend, transfer
async def main():
    source, target = await open_backend("file://{tmp_path}/full.db"), await open_backend("file://{tmp_path}/empty.db")
    def die(step, done, total):
        if step == "write": os.kill(os.getpid(), signal.SIGKILL)
    await transfer.copy(source, target, die)
asyncio.run(main())
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9  # noqa: ASYNC221 - nothing else runs in this loop
    await transfer.copy(full, empty)
    assert await all_of(empty.dump()) == await all_of(full.dump())


class Changes(FileBackend):
    """A source to which a server still writes."""

    async def dump(self, *, damaged: OnDamaged = refuse) -> AsyncIterator[Record]:
        await self.add(account(f"while {len(await all_of(super().dump()))} were copied"))
        async for record in super().dump():
            yield record


class Forgets(FileBackend):
    """A target that does not keep what it is given."""

    async def dump(self, *, damaged: OnDamaged = refuse) -> AsyncIterator[Record]:
        async for record in super().dump():
            if record != filled(7)[1][1]:
                yield record


async def test_a_source_that_changed_meanwhile_is_told(full: FileBackend, empty: FileBackend, tmp_path: Path) -> None:
    changes = await Changes.open(f"file://{tmp_path}/full.db")
    with pytest.raises(VerificationFailed, match=r"source was changed.*accounts: 301 and 302"):
        await transfer.copy(changes, empty)
    await changes.close()


async def test_a_target_that_lost_something_is_told(full: FileBackend, tmp_path: Path) -> None:
    await Forgets.migrate(f"file://{tmp_path}/forgets.db")
    forgets = await Forgets.open(f"file://{tmp_path}/forgets.db")
    with pytest.raises(VerificationFailed, match="events: 600 and 599"):
        await transfer.copy(full, forgets)
    await forgets.close()


async def test_a_changed_field_changes_the_checksum(full: FileBackend) -> None:
    before = await transfer.checksum(full)
    await change(full, await anext(full.accounts()), email="changed@example.com")
    after = await transfer.checksum(full)
    assert before.counts == after.counts
    assert before.differences(after) == ["accounts: 300 and 300"]


def test_records_are_equal_in_whatever_order_an_engine_keeps_their_facts() -> None:
    one, other = transfer.Checksum(), transfer.Checksum()
    one.add(account(notified_at={"a": NOW, "b": NOW}))
    other.add(account(notified_at={"b": NOW, "a": NOW}))
    assert one == other


# backups


async def test_a_backup_restores_everything(full: FileBackend, empty: FileBackend, tmp_path: Path) -> None:
    written = await transfer.backup(full, tmp_path / "all.jsonl")
    assert await transfer.restore(tmp_path / "all.jsonl", empty) == written
    assert await all_of(empty.dump()) == await all_of(full.dump())


async def test_a_backup_is_readable_by_its_owner_only_and_never_overwrites(full: FileBackend, tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    await transfer.backup(full, path)
    before = _bytes(path)
    assert stat.S_IMODE(_mode(path)) == 0o600
    with pytest.raises(FileExistsError):
        await transfer.backup(full, path)
    assert _bytes(path) == before


async def test_a_backup_that_fails_leaves_no_file(tmp_path: Path, full: FileBackend) -> None:
    dies = await Dies.open(f"file://{tmp_path}/full.db")
    dies.dumps = 1
    with pytest.raises(Interrupted):
        await transfer.backup(dies, tmp_path / "all.jsonl")
    await dies.close()
    assert sorted(name for name in _names(tmp_path) if "jsonl" in name) == []


async def test_a_backup_that_does_not_hold_what_was_read_leaves_no_file(
    full: FileBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = Checksum.add
    monkeypatch.setattr(Checksum, "add", lambda read, record: add(read, record).replace(b"2040", b"2041"))
    with pytest.raises(VerificationFailed, match="What was written is not what was read"):
        await transfer.backup(full, tmp_path / "all.jsonl")
    assert [name for name in _names(tmp_path) if "jsonl" in name] == []


async def test_a_backup_is_readable_without_keystead(full: FileBackend, tmp_path: Path) -> None:
    await transfer.backup(full, tmp_path / "all.jsonl")
    first, *lines, last = _bytes(tmp_path / "all.jsonl").decode().splitlines()
    assert json.loads(first)["keystead"]["backup"] == 2
    counts: dict[str, int] = defaultdict(int)
    sums: dict[str, int] = defaultdict(int)
    for line in lines:
        ((kind, _),) = json.loads(line).items()
        counts[kind] += 1
        sums[kind] += int(hashlib.sha256(line.encode()).hexdigest(), 16)
    told = {f"{kind}s": {"count": counts[kind], "digest": f"{sums[kind] % 2**256:064x}"} for kind in counts}
    assert json.loads(last) == {"end": told}
    key = json.loads(lines[0])["account"]["keys"][0]
    assert key["bound_at"] == "2040-01-02T03:04:05.678000Z"
    assert key["transports"] == ["usb", "nfc"]
    assert key["public_key"] == "pQEC"


@pytest.fixture
async def lines(tmp_path: Path) -> list[str]:
    """A small backup, line by line."""
    shelf = ShelfBackend(tmp_path / "small")
    await fill(shelf, 3)
    await transfer.backup(shelf, tmp_path / "small.jsonl")
    return _bytes(tmp_path / "small.jsonl").decode().splitlines(keepends=True)


DAMAGE: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "nothing": (lambda lines: [], "not a Keystead backup"),
    "no first line": (lambda lines: lines[1:], "not a Keystead backup"),
    "another format": (lambda lines: [lines[0].replace(":2", ":3"), *lines[1:]], "not a Keystead backup"),
    "no last line": (lambda lines: lines[:-1], "cut off"),
    "the first line only": (lambda lines: lines[:1], "cut off"),
    "half a last line": (lambda lines: [*lines[:-1], lines[-1][:-9]], "Line 11 is not"),
    "a line that is missing": (lambda lines: [*lines[:5], *lines[6:]], "was changed"),
    "a changed line": (lambda lines: [*lines[:3], lines[3].replace("second", "third"), *lines[4:]], "was changed"),
    "a line behind the last": (lambda lines: [*lines, lines[1]], "was changed"),
    "half a line": (lambda lines: [lines[0], lines[1][:50] + "\n", *lines[2:]], "Line 2 is not"),
    "a list": (lambda lines: [lines[0], "[]\n", *lines[2:]], "Line 2 is not"),
    "a number": (lambda lines: [lines[0], '{"account":7}\n', *lines[2:]], "Line 2 is not"),
    "an empty line": (lambda lines: [lines[0], "{}\n", *lines[1:]], "Line 2 is not"),
    "a cat": (lambda lines: [lines[0], '{"cat":{}}\n', *lines[2:]], "Line 2 is not"),
    "half a record": (lambda lines: [lines[0], '{"account":{"id":"a"}}\n', *lines[2:]], "Line 2 is not"),
    "a wrong time": (lambda lines: [*lines[:2], lines[2].replace("2040-01-02T", "soon"), *lines[3:]], "Line 3 is not"),
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_what_is_no_whole_backup_is_refused_and_leaves_nothing(
    lines: list[str], damage: str, empty: FileBackend, tmp_path: Path
) -> None:
    damaged, refusal = DAMAGE[damage]
    result = damaged(lines)
    assert result != lines
    _write(tmp_path / "damaged.jsonl", "".join(result))
    with pytest.raises(CorruptBackup, match=refusal):
        await transfer.restore(tmp_path / "damaged.jsonl", empty)
    assert await all_of(empty.dump()) == []


async def test_nothing_is_restored_over_what_is_there(full: FileBackend, tmp_path: Path) -> None:
    await transfer.backup(full, tmp_path / "all.jsonl")
    for path in (tmp_path / "all.jsonl", STORE_0_1):
        with pytest.raises(NotEmpty):
            await transfer.restore(path, full)


# backups of version 0.1


@pytest.mark.parametrize("scheme", ["file", "shelf"])
async def test_a_backup_of_0_1_is_restored(empty: FileBackend, shelf: ShelfBackend, scheme: str) -> None:
    backend: Backend = empty if scheme == "file" else shelf
    restored = await transfer.restore(STORE_0_1, backend)
    assert restored.counts == {"accounts": 4, "events": 13}
    zoe = await backend.account_named("ZOE")
    assert zoe is not None
    assert [key.name for key in zoe.keys] == ["Blue key", "Réd “spare” key"]
    assert [code.spent_at is None for code in zoe.recovery_codes] == [False] + [True] * 9
    assert [event.detail for event in await backend.events_of(zoe.id, 2)] == ["9 left", ""]
    assert await backend.account_named("family@example.com") is None, "two share it"
    assert await all_of(transfer.check(backend)) == []


DAMAGE_0_1: dict[str, tuple[str, str, str]] = {
    "a changed line": ("Blue key", "Red key", "was changed"),
    "no last line": ('{"end"', '{"cats":{}}\n{"end"', "Line|restored"),
    "a time that is none": ('"created_at":"2026', '"created_at":"soon', "cannot be restored"),
    "bytes that are none": ('"mac":"', '"mac":"*', "cannot be restored"),
    "a text that is a number": ('"detail":""', '"detail":7', "cannot be restored|was changed"),
    "a field too much": ('"listed":', '"cat":1,"listed":', "cannot be restored"),
    "two kinds in a line": ('{"accounts":', '{"keys":{},"accounts":', "Line 2 is not"),
}


@pytest.mark.parametrize("damage", DAMAGE_0_1)
async def test_a_damaged_backup_of_0_1_is_refused_and_leaves_nothing(damage: str, empty: FileBackend, tmp_path: Path) -> None:
    old, new, refusal = DAMAGE_0_1[damage]
    text = _bytes(STORE_0_1).decode()
    assert old in text
    _write(tmp_path / "damaged.jsonl", text.replace(old, new, 1))
    with pytest.raises(CorruptBackup, match=refusal):
        await transfer.restore(tmp_path / "damaged.jsonl", empty)
    assert await all_of(empty.dump()) == []


async def test_a_backup_of_0_1_that_was_cut_off_is_refused(empty: FileBackend, tmp_path: Path) -> None:
    _write(tmp_path / "cut.jsonl", "".join(_bytes(STORE_0_1).decode().splitlines(keepends=True)[:-1]))
    with pytest.raises(CorruptBackup, match="cut off"):
        await transfer.restore(tmp_path / "cut.jsonl", empty)
    assert await all_of(empty.dump()) == []


# checking whether a backend is whole


async def test_a_whole_backend_has_no_faults(full: FileBackend, empty: FileBackend) -> None:
    assert await faults(full) == []
    assert await faults(empty) == []


async def test_a_chain_may_begin_at_a_checkpoint(shelf: ShelfBackend) -> None:
    there, events = begun(account(seal=b"seal"), *"12345")
    await shelf.add(there, events)
    there = await change(shelf, there, "6", checkpoint=link(events[2]))
    assert await faults(shelf) == []
    await change(shelf, there, checkpoint=there.head)
    assert await faults(shelf) == []


FIRST, EVENTS = filled(1)
SEAL = "has a seal that is not ours"
FAULTY: dict[str, tuple[list[Record], list[str]]] = {
    "an event that is missing": ([FIRST, EVENTS[1]], ["event 2 of {} comes where 1 should"]),
    "a tail that was cut": ([FIRST, EVENTS[0]], ["{} ends with event 1, where 2 should be its newest", "{} " + SEAL]),
    "no events": ([FIRST], ["{} ends with event 0, where 2 should be its newest"]),
    "a number that was changed": (
        [FIRST, EVENTS[0], replace(EVENTS[1], seq=3)],
        ["event 3 of {} comes where 2 should", "{} ends with event 3, where 2 should be its newest", "{} " + SEAL],
    ),
    "an event that was changed": (
        [FIRST, replace(EVENTS[0], detail="harmless"), EVENTS[1]],
        ["event 1 of {} has a MAC that is not ours"],
    ),
    "a newest event that was replaced": (
        [FIRST, EVENTS[0], event(FIRST.id, link(EVENTS[0]), "harmless")],
        ["{} has another MAC for event 2 than that event itself", "{} " + SEAL],
    ),
    "an event behind the newest": (
        [FIRST, *EVENTS, event(FIRST.id, link(EVENTS[1]), "forged")],
        ["{} ends with event 3, where 2 should be its newest", "{} " + SEAL],
    ),
    "an account that was changed": ([replace(FIRST, seal=b"other"), *EVENTS], ["{} " + SEAL]),
    "an event before the checkpoint": (
        [replace(FIRST, checkpoint=link(EVENTS[0])), *EVENTS],
        ["event 1 of {} comes where 2 should"],
    ),
    "events of nobody": ([FIRST, *EVENTS, event("zoe", detail="1"), event("zoe", link(event("zoe", detail="1")))],
        ["event 1 of account zoe belongs to no account"],
    ),
    "keys": (
        [account("a", seal=b"seal", keys=(key(b""), key(bytes(1024)), key(b"1", sign_count=-1)))],
        ["account a has a key with an id of 0 bytes", "account a has a key with an id of 1024 bytes",
         "account a has a key with a counter below zero"],
    ),
    "a code": (
        [account("a", seal=b"seal", codes=(code(tries_left=-1),))],
        ["account a has a code with fewer tries left than none"],
    ),
    "too many": (
        [account("a", seal=b"seal", keys=tuple(key(b"%d" % n) for n in range(21)), sessions=(session(),) * 51)],
        ["account a has 21 keys", "account a has 51 sessions"],
    ),
    "a key of two": (
        [account(id, seal=b"seal", keys=(key(),)) for id in ("a", "b")],
        ["a credential id is bound twice"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTY)
async def test_what_is_wrong_is_found_and_said_once(shelf: ShelfBackend, name: str) -> None:
    records, expected = FAULTY[name]
    await shelf.load(given([filled(0)[0], *filled(0)[1], *records, account("zzz", seal=b"seal")]))
    assert await faults(shelf) == [fault.format(f"account {FIRST.id}") for fault in expected]


async def test_numbers_and_links_are_checked_without_a_verifier(shelf: ShelfBackend) -> None:
    forged = replace(FIRST, seal=b"other", password_hash="forged")
    await shelf.load(given([forged, EVENTS[0], event(FIRST.id, link(EVENTS[0]), "harmless")]))
    told = await all_of(transfer.check(shelf))
    assert told == [f"account {FIRST.id} has another MAC for event 2 than that event itself"]


async def test_a_chain_of_many_pages_is_checked_once_more_from_its_beginning(shelf: ShelfBackend) -> None:
    there, events = begun(account(seal=b"seal"), *map(str, range(1234)))
    events[3] = replace(events[3], detail="harmless")
    await shelf.load(given([there, *events]))
    assert await faults(shelf) == ["event 4 of account alice has a MAC that is not ours"]


class Hides(ShelfBackend):
    """The names of its index are not those of its accounts."""

    async def account_named(self, name: str) -> Account | None:
        return await super().account_named(name.replace("bob", "alice"))


async def test_an_account_that_is_not_found_by_its_name_is_told(tmp_path: Path) -> None:
    hides = Hides(tmp_path / "hides")
    for id in ("alice", "bob"):
        await hides.add(account(id, seal=b"seal"))
    assert await faults(hides) == ["account bob is not found by its name"]


async def test_a_check_may_run_beside_a_server(full: FileBackend) -> None:
    async def grow() -> None:
        for number in range(50):
            there = account(f"new-{number}", seal=b"seal")
            await full.add(there)
            first, _ = filled(299 - number)
            first = await change(full, first, "third", username=f"renamed {number}")
            await change(full, first, "fourth", checkpoint=first.head)

    growing = asyncio.create_task(grow())
    while not growing.done():
        assert await faults(full) == []
    await growing


# heads that were exported before


async def test_heads_are_written_and_read(full: FileBackend, tmp_path: Path) -> None:
    assert await transfer.write_heads(full, tmp_path / "heads") == 300
    heads = transfer.read_heads(tmp_path / "heads")
    assert heads == {each.id: each.head for each in await all_of(full.accounts())}
    assert await faults(full, heads) == []
    for text in ("", "{}", _bytes(tmp_path / "heads").decode()[:-5]):
        _write(tmp_path / "damaged", text)
        with pytest.raises(CorruptBackup):
            transfer.read_heads(tmp_path / "damaged")


async def test_what_happened_since_an_export_is_no_fault(full: FileBackend) -> None:
    heads = dict(await all_of(transfer.heads(full)))
    first = await change(full, filled(0)[0], "third", "fourth")
    await change(full, first, "fifth", checkpoint=link((await full.events_of(first.id, 2))[0]))
    await full.add(account("new", seal=b"seal"))
    assert await faults(full, heads) == []


async def test_an_account_that_was_put_back_in_time_is_found(shelf: ShelfBackend) -> None:
    was, events = begun(account(seal=b"seal"), "first", "second")
    await shelf.add(was, events)
    await change(shelf, was, "third", "fourth")
    heads = dict(await all_of(transfer.heads(shelf)))
    with shelf._shelf() as everything:
        everything.accounts[was.id], everything.events[was.id] = was, events
    assert await faults(shelf) == [], "nothing shows in it alone"
    assert await faults(shelf, heads) == ["account alice was put back in time: its event 4 was exported before"]


async def test_another_past_than_the_exported_one_is_found(shelf: ShelfBackend) -> None:
    there, events = begun(account(seal=b"seal"), *"1234")
    await shelf.load(given([there, *events]))
    heads = {"alice": ChainLink(seq=2, mac=b"other"), "bob": there.head}
    assert await faults(shelf, heads) == [
        "account alice has another event 2 than was exported before",
        "account bob was exported before, and is not there any more",
    ]


async def test_a_checkpoint_covers_what_was_exported(shelf: ShelfBackend) -> None:
    there, events = begun(account(seal=b"seal"), *"1234")
    await shelf.load(given([replace(there, checkpoint=link(events[2])), events[3]]))
    assert await faults(shelf, {"alice": link(events[0])}) == []
    assert await faults(shelf, {"alice": link(events[2])}) == []
    assert await faults(shelf, {"alice": ChainLink(seq=3, mac=b"other")}) == [
        "account alice has another event 3 than was exported before"
    ]


def _bytes(path: Path) -> bytes:
    return path.read_bytes()


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _mode(path: Path) -> int:
    return path.stat().st_mode


def _names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]

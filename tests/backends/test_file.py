"""The file backend keeps the contract; and what only a file does: shared commits, full disks, strange files, kill -9."""

import asyncio
import contextlib
import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from backends import file, group_commit, migrate, open_backend, sqlite_file
from backends.contract import BackendContract
from backends.contract.samples import (
    MILLISECOND,
    MINUTE,
    NOW,
    account,
    after,
    all_of,
    begun,
    change,
    fill,
    key,
    notification,
    owing,
)
from backends.file import FileBackend
from backends.protocol import Damaged, IncompatibleStore, KeyTaken, Unavailable, UsernameTaken
from backends.records import Account, Attempts

pytestmark = pytest.mark.anyio


@pytest.fixture
def backend_url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/keystead.db"


@pytest.fixture
async def backend(backend_url: str) -> AsyncIterator[FileBackend]:
    await FileBackend.migrate(backend_url)
    backend = await FileBackend.open(backend_url)
    yield backend
    await backend.close()


class TestFileBackend(BackendContract):
    """Every promise of the protocol."""


def attempt(backend: FileBackend, bucket: str) -> Coroutine[Any, Any, Attempts]:
    """The smallest write."""
    return backend.count_attempt(bucket, NOW, MINUTE)


# addresses and files


async def test_an_address_that_no_file_can_have_is_refused() -> None:
    for query in (FileBackend.open, FileBackend.migrate):
        with pytest.raises(IncompatibleStore, match="is no address of a file"):
            await query("file:///a%00b")


@pytest.mark.parametrize("path", ["keystead.db", "with space and ü.db", "50%.db"])
async def test_an_address_names_the_file(tmp_path: Path, path: str) -> None:
    await migrate((tmp_path / path).as_uri())
    backend = await open_backend((tmp_path / path).as_uri())
    await backend.close()
    assert (tmp_path / path).exists()


async def test_a_relative_address_starts_where_the_program_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    await FileBackend.migrate("file:keystead.db")
    backend = await FileBackend.open("file:keystead.db")
    await backend.close()
    assert (tmp_path / "keystead.db").exists()


@pytest.mark.parametrize("url", ["file://keystead.db", "file:", "file:///a.db?mode=ro", "file:///nowhere/at/all/keystead.db"])
async def test_an_address_that_names_no_file_is_refused(url: str) -> None:
    with pytest.raises(IncompatibleStore):
        await FileBackend.open(url)


async def test_the_file_is_readable_by_its_owner_only(backend: FileBackend, tmp_path: Path) -> None:
    await backend.add(account())
    for each in _files(tmp_path):
        assert stat.S_IMODE(each.stat().st_mode) == 0o600, each


async def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path, backend_url: str) -> None:
    with sqlite3.connect(tmp_path / "keystead.db") as db:
        db.execute("CREATE TABLE recipes (name TEXT)")
    db.close()
    before = (tmp_path / "keystead.db").read_bytes()
    for question in (FileBackend.open, FileBackend.migrate):
        with pytest.raises(IncompatibleStore, match="another program"):
            await question(backend_url)
    assert (tmp_path / "keystead.db").read_bytes() == before
    assert [file.name for file in _files(tmp_path)] == ["keystead.db"]


@pytest.mark.parametrize("content", [b"Dear diary, " * 100, b"PK\x03\x04" + bytes(4096)])
async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, backend_url: str, content: bytes) -> None:
    (tmp_path / "keystead.db").write_bytes(content)
    with pytest.raises(IncompatibleStore, match="not a Keystead file"):
        await FileBackend.open(backend_url)
    assert (tmp_path / "keystead.db").read_bytes() == content


async def test_an_sqlite_that_is_too_old_is_refused(tmp_path: Path, backend_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(IncompatibleStore, match=r"3\.37"):
        await FileBackend.open(backend_url)
    assert _files(tmp_path) == []


async def test_a_directory_is_no_file(tmp_path: Path) -> None:
    for question in (FileBackend.open, FileBackend.migrate):
        with pytest.raises(IncompatibleStore, match="a directory"):
            await question(f"file://{tmp_path}")


async def test_a_pipe_is_no_file(tmp_path: Path, backend_url: str) -> None:
    """SQLite would wait for somebody to write into it."""
    os.mkfifo(tmp_path / "keystead.db")
    for question in (FileBackend.open, FileBackend.migrate):
        with pytest.raises(IncompatibleStore, match="a device, a pipe or a socket"):
            await question(backend_url)


async def test_a_file_that_is_missing_is_never_made_anew(tmp_path: Path, backend_url: str) -> None:
    """A path that is mistyped, or a disk that is not mounted: whoever starts there would be told that nobody has an account."""
    with pytest.raises(IncompatibleStore, match=r"There is no file .*keystead\.db.* keystead backend migrate"):
        await FileBackend.open(backend_url)
    assert _files(tmp_path) == []


async def test_an_empty_file_is_no_store_of_nobody(tmp_path: Path, backend_url: str) -> None:
    (tmp_path / "keystead.db").touch()
    with pytest.raises(IncompatibleStore, match="is empty"):
        await FileBackend.open(backend_url)
    assert (tmp_path / "keystead.db").read_bytes() == b""
    assert await FileBackend.migrate(backend_url)


@pytest.mark.parametrize(("left", "said"), [(8192, "8,192 of"), (5000, "5,000 of"), (50, "only 50 bytes")])
async def test_a_file_that_was_cut_off_is_named_for_that(
    tmp_path: Path, backend_url: str, backend: FileBackend, left: int, said: str
) -> None:
    await fill(backend, 20)
    await backend.close()
    os.truncate(tmp_path / "keystead.db", left)
    for question in (FileBackend.open, FileBackend.migrate):
        with pytest.raises(IncompatibleStore, match=rf"was cut off: {said}.*Restore a backup"):
            await question(backend_url)


async def test_a_newer_schema_is_refused(tmp_path: Path, backend_url: str, backend: FileBackend) -> None:
    await backend.close()
    _execute(tmp_path, f"PRAGMA user_version = {len(sqlite_file.MIGRATIONS) + 1}")
    for question in (FileBackend.open, FileBackend.migrate):
        with pytest.raises(IncompatibleStore, match="newer Keystead"):
            await question(backend_url)


async def test_migrating_makes_a_file_that_was_not_there(backend_url: str) -> None:
    assert await FileBackend.migrate(backend_url) == [step.name for step in sqlite_file.MIGRATIONS]
    backend = await FileBackend.open(backend_url)
    assert await all_of(backend.dump()) == []
    await backend.close()


async def test_many_processes_may_make_the_file_at_once(backend_url: str) -> None:
    program = f"import asyncio; from backends.file import FileBackend; asyncio.run(FileBackend.migrate({backend_url!r}))"
    makers = [await asyncio.create_subprocess_exec(sys.executable, "-W", "ignore", "-c", program) for _ in range(6)]
    assert [await maker.wait() for maker in makers] == [0] * 6


def removed(file: Path) -> None:
    file.unlink()


def replaced(file: Path) -> None:
    shutil.copy(file, file.with_name("copy.db"))
    file.with_name("copy.db").rename(file)


def moved(file: Path) -> None:
    file.rename(file.with_name("elsewhere.db"))


@pytest.mark.parametrize("happens", [removed, replaced, moved])
async def test_nothing_is_acknowledged_once_the_file_is_another(
    backend: FileBackend, tmp_path: Path, happens: Callable[[Path], None]
) -> None:
    await backend.add(account())
    await backend.ready()
    happens(tmp_path / "keystead.db")
    for _ in range(2):  # the second time with a new connection
        with pytest.raises(Unavailable, match=r"moved, removed or replaced|unable to open"):
            await backend.commit(account(), *after(account(), "lost"))
    for asked in (backend.ready(), backend.load(_nothing()), backend.purge(NOW), all_of(backend.dump())):
        with pytest.raises(Unavailable):
            await asked


async def test_a_file_that_took_the_place_of_ours_is_not_written(tmp_path: Path, backend_url: str, backend: FileBackend) -> None:
    await backend.add(account())
    moved(tmp_path / "keystead.db")
    await FileBackend.migrate(backend_url)
    other = await FileBackend.open(backend_url)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await backend.add(account("stranger"))
    assert await all_of(other.dump()) == []
    await other.close()


async def test_a_file_that_was_removed_during_a_commit_acknowledges_nothing(backend: FileBackend, tmp_path: Path) -> None:
    def remove(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM attempts")
        (tmp_path / "keystead.db").unlink()

    with pytest.raises(Unavailable, match="removed"):
        await backend._writer.run(remove)


async def test_nothing_is_acknowledged_once_the_log_was_removed_and_a_stop_loses_nothing(
    backend: FileBackend, backend_url: str, tmp_path: Path
) -> None:
    """Somebody tidies up. SQLite goes on writing into a file that has no name any more."""
    await backend.add(account())
    for end in ("-wal", "-shm"):
        (tmp_path / f"keystead.db{end}").unlink()
    for _ in range(2):
        with pytest.raises(Unavailable, match="-wal was removed"):
            await backend.add(account("lost"))
    with pytest.raises(Unavailable, match="-wal was removed"):
        await backend.ready()
    await backend.close()
    again = await FileBackend.open(backend_url)
    assert await again.account_named("alice") == account()
    await again.close()


async def test_a_file_that_was_moved_back_is_ours_again(backend: FileBackend, tmp_path: Path) -> None:
    moved(tmp_path / "keystead.db")
    with pytest.raises(Unavailable):
        await backend.add(account())
    (tmp_path / "elsewhere.db").rename(tmp_path / "keystead.db")
    await backend.add(account())
    await backend.ready()


async def _nothing() -> AsyncIterator[Account]:
    return
    yield


# how records lie in the file


async def test_an_account_can_be_read_without_us(tmp_path: Path, backend: FileBackend) -> None:
    await backend.add(account("zoë", keys=(key(transports=("usb",)),)))
    (row,) = _execute(tmp_path, "SELECT id, version, folded_username, folded_email, document FROM accounts")
    assert row[:4] == ("zoë", 1, "zoë", "zoë@example.com")
    assert '"username":"zoë"' in row[4]
    assert '"transports":["usb"]' in row[4]


async def test_columns_hold_their_types(tmp_path: Path, backend: FileBackend) -> None:
    await backend.add(account())
    with pytest.raises(sqlite3.IntegrityError):
        _execute(tmp_path, "UPDATE accounts SET due_at = 'soon'")


async def test_a_document_that_is_none_is_unavailable(tmp_path: Path, backend: FileBackend) -> None:
    await backend.add(account())
    _execute(tmp_path, "UPDATE accounts SET document = '{\"id\": 5'")
    for asked in (backend.account("alice"), backend.account_named("alice"), all_of(backend.dump()), all_of(backend.accounts())):
        with pytest.raises(Unavailable):
            await asked


@pytest.mark.parametrize("name", ["alice", "alice@example.com", "shared@example.com", "nobody"])
async def test_every_name_costs_one_statement(backend: FileBackend, name: str) -> None:
    for id in ("ben", "cleo"):
        await backend.add(account(id, email="shared@example.com"))
    await backend.add(account())
    statements: list[str] = []
    backend._reader.set_trace_callback(statements.append)
    await backend.account_named(name)
    assert len(statements) == 1


@pytest.mark.parametrize("statement", [
    file._NAMED, file._PAGE, file._OWING, file._EVENTS_OF, file._UPDATE, file._APPEND_IF, file._UNBIND, file._FORGET,
])  # fmt: skip
async def test_no_query_reads_a_whole_table(backend: FileBackend, statement: str) -> None:
    values = {"name": "alice"} if ":name" in statement else (1,) * statement.count("?")
    plan = [row[3] for row in backend._reader.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert not [step for step in plan if step.startswith("SCAN") and "USING" not in step and "subquery" not in step.lower()], plan
    assert not [step for step in plan if "TEMP B-TREE" in step], plan


async def test_what_is_owed_is_found_by_when_it_is_due(backend: FileBackend) -> None:
    plan = [row[3] for row in backend._reader.execute(f"EXPLAIN QUERY PLAN {file._OWING}", (1,))]
    assert plan == ["SEARCH accounts USING INDEX accounts_by_due_at (due_at<?)"]
    await backend.add(account("later", notifications=(notification(due_at=NOW + MILLISECOND),)))
    assert await backend.owing(NOW, 1) == []


async def test_an_account_with_two_keys_of_one_id_is_refused(backend: FileBackend) -> None:
    twice = (key(b"same"), key(b"same", name="Again"))
    with pytest.raises(KeyTaken):
        await backend.add(account(keys=twice))
    await backend.add(account())
    with pytest.raises(KeyTaken):
        await backend.commit(account(), *after(account(), keys=twice))
    assert await backend.account("alice") == account()


async def test_an_event_whose_place_is_taken_stops_its_commit_as_a_whole(tmp_path: Path, backend: FileBackend) -> None:
    await backend.add(account())
    stray = "VALUES ('alice', 2, 'seen', 0, '', '', '', x'', x'')"
    _execute(tmp_path, f"INSERT INTO events {stray}")
    _execute(tmp_path, f"INSERT INTO events {stray.replace('2', '1')}")
    for details in (["one"], ["one", "two"]):
        with pytest.raises(sqlite3.IntegrityError):
            await backend.commit(account(), *after(account(), *details, email="new@example.com"))
    _execute(tmp_path, "DELETE FROM events WHERE seq = 1")
    with pytest.raises(sqlite3.IntegrityError):
        await backend.commit(account(), *after(account(), "one", "two", keys=(key(),)))
    assert await backend.account("alice") == account()
    assert [event.seq for event in await backend.events_of("alice", 9)] == [2]
    assert await backend.rp_ids() == []


# group commit


async def test_what_waits_together_is_committed_together(backend: FileBackend) -> None:
    before = backend.commits
    await asyncio.gather(*(backend.add(*begun(account(str(number)), "made")) for number in range(200)))
    assert len(await all_of(backend.accounts())) == 200
    assert 1 <= backend.commits - before <= 20


async def test_the_refusal_of_one_undoes_nothing_of_the_others(backend: FileBackend) -> None:
    await backend.add(account("first", keys=(key(b"taken"),)))
    added = [backend.add(account(str(n), keys=(key(b"taken" if n % 2 else str(n).encode()),))) for n in range(20)]
    answers = await asyncio.gather(*added, backend.add(account("FIRST")), return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None), KeyTaken] * 10 + [UsernameTaken]
    assert len(await all_of(backend.accounts())) == 11
    assert await backend.rp_ids() == ["example.com"]


async def test_a_commit_that_fails_halfway_leaves_nothing_beside_one_that_does_not(backend: FileBackend) -> None:
    await backend.add(account("first", keys=(key(b"taken"),)))
    await backend.add(account())
    halfway = backend.commit(account(), *after(account(), "one", "two", username="new", keys=(key(b"free"), key(b"taken"))))
    answers = await asyncio.gather(halfway, backend.add(account("new")), return_exceptions=True)
    assert [type(answer) for answer in answers] == [KeyTaken, type(None)]
    assert await backend.account("alice") == account()
    assert await backend.account_named("new") == account("new")
    assert await backend.events_of("alice", 10) == []
    await backend.commit(account("new"), *after(account("new"), keys=(key(b"free"),)))


async def test_a_caller_who_went_away_stops_nobody(backend: FileBackend) -> None:
    gone = asyncio.create_task(backend.add(account("gone")))
    stays = asyncio.create_task(backend.add(account("stays")))
    await asyncio.sleep(0)
    gone.cancel()
    await stays
    assert await backend.account("stays") == account("stays")


async def test_one_backend_can_be_used_from_several_event_loops(backend: FileBackend) -> None:
    def elsewhere() -> int:
        return asyncio.run(attempt(backend, "elsewhere")).count

    assert await asyncio.to_thread(elsewhere) == 1
    assert (await attempt(backend, "elsewhere")).count == 2


async def test_what_is_asked_during_a_commit_is_answered_after_it(backend: FileBackend) -> None:
    gate = threading.Event()
    first = asyncio.create_task(backend._writer.run(lambda db: gate.wait(10), long=True))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(attempt(backend, "second"))
    await asyncio.sleep(0.05)
    assert not second.done()
    gate.set()
    opened, counted = await asyncio.wait_for(asyncio.gather(first, second), 5)
    assert opened
    assert counted.count == 1


async def test_who_waits_for_the_commit_of_an_event_loop_that_is_gone_is_answered(backend: FileBackend) -> None:
    gate = threading.Event()

    def give_up_soon() -> None:
        with contextlib.suppress(TimeoutError):
            asyncio.run(asyncio.wait_for(backend._writer.run(lambda db: gate.wait(10), long=True), 0.05))

    await asyncio.to_thread(give_up_soon)
    waits = asyncio.create_task(attempt(backend, "waits"))
    await asyncio.sleep(0.05)
    gate.set()
    assert (await asyncio.wait_for(waits, 5)).count == 1


@pytest.mark.parametrize("error", [sqlite3.OperationalError("disk I/O error"), sqlite3.DatabaseError("malformed")])
async def test_an_engine_in_trouble_is_unavailable_for_all_and_goes_on(backend: FileBackend, error: Exception) -> None:
    def fail(db: sqlite3.Connection) -> None:
        raise error

    answers = await asyncio.gather(backend.add(account()), backend._writer.run(fail), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable, Unavailable]
    assert await backend.account("alice") is None
    await backend.add(account())
    assert await backend.account("alice") == account()


async def test_a_rollback_of_the_engines_own_names_its_cause(backend: FileBackend) -> None:
    def fail(db: sqlite3.Connection) -> None:
        db.execute("ROLLBACK")  # as it does for a full disk
        raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(Unavailable, match="disk is full"):
        await backend._writer.run(group_commit.all_or_nothing(fail))


class Stuck(sqlite3.Connection):
    def close(self) -> None:
        super().close()
        raise sqlite3.OperationalError("disk I/O error")


async def test_a_connection_that_cannot_even_be_closed_keeps_nobody_waiting(backend: FileBackend) -> None:
    writer = backend._writer
    writer._db = sqlite3.connect(writer._file.path, isolation_level=None, check_same_thread=False, factory=Stuck)
    with pytest.raises(Unavailable):
        await asyncio.wait_for(writer.run(lambda db: db.execute("ROLLBACK"), long=True), 5)
    assert (await asyncio.wait_for(attempt(backend, "after it"), 5)).count == 1


async def test_writes_from_two_event_loops_at_once_are_all_answered(backend: FileBackend) -> None:
    async def ask() -> list[int]:
        return [answer.count for _ in range(50) for answer in await asyncio.gather(*(attempt(backend, "all") for _ in range(4)))]

    async with asyncio.timeout(20):
        here, there = await asyncio.gather(ask(), asyncio.to_thread(lambda: asyncio.run(ask())))
    assert sorted([*here, *there]) == list(range(1, 401))


async def test_only_a_query_that_takes_long_leaves_the_event_loops_thread(backend: FileBackend) -> None:
    def where(db: sqlite3.Connection) -> str:
        return threading.current_thread().name

    here = threading.current_thread().name
    assert await backend._writer.run(where) == here
    assert await backend._writer.run(where, long=True) == "writer of keystead.db"
    assert await backend._writer.run(where) == here


async def test_purging_never_holds_the_event_loop(backend: FileBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    run = backend._writer.run

    def note(query: group_commit.Query[Any], *, long: bool = False) -> Coroutine[Any, Any, Any]:
        asked.append(long)
        return run(query, long=long)

    monkeypatch.setattr(backend._writer, "run", note)
    await attempt(backend, "over")
    assert await backend.purge(NOW + MINUTE) == 1
    assert asked == [False, True]


async def test_long_reads_leave_others_their_turn(backend: FileBackend) -> None:
    await fill(backend, 250)
    for read in (backend.accounts(), backend.dump()):
        turns = 0
        reading = asyncio.create_task(all_of(read))
        while not reading.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns > 3


async def test_a_dump_of_a_file_in_use_is_of_one_moment(backend: FileBackend) -> None:
    await fill(backend, 250)
    before = await all_of(backend.dump())
    dump = backend.dump()
    dumped = [await anext(dump)]
    for found in await all_of(backend.accounts()):
        await change(backend, found, "meanwhile", email="meanwhile@example.com")
    await backend.add(account("zz"))
    dumped += await all_of(dump)
    assert dumped == before


async def test_every_connection_waits_for_the_disk(backend: FileBackend) -> None:
    def settings(db: sqlite3.Connection) -> tuple[int, str]:
        return db.execute("PRAGMA synchronous").fetchone()[0], db.execute("PRAGMA journal_mode").fetchone()[0]

    assert await backend._writer.run(settings, long=True) == (2, "wal")
    with backend._connection() as db:
        assert settings(db) == (2, "wal")


async def test_closing_answers_what_still_waits(backend: FileBackend) -> None:
    asked = [asyncio.create_task(backend.add(account(str(number)))) for number in range(50)]
    await asyncio.sleep(0)
    await backend.close()
    assert await asyncio.gather(*asked) == [None] * 50
    await backend.close()
    with pytest.raises(Unavailable):
        await backend.add(account())
    with pytest.raises(Unavailable):
        await backend.account("1")


async def test_whatever_was_opened_is_closed(backend_url: str, tmp_path: Path) -> None:
    await FileBackend.migrate(backend_url)
    backend = await FileBackend.open(backend_url)
    await fill(backend, 3)
    dump = backend.dump()
    assert isinstance(dump, AsyncGenerator)
    await anext(dump)
    assert len(_opened(tmp_path)) > 2
    await dump.aclose()
    await backend.close()
    assert _opened(tmp_path) == []


@pytest.mark.parametrize("content", [b"Dear diary, " * 100, b""])
async def test_what_could_not_be_opened_is_closed(tmp_path: Path, backend_url: str, content: bytes) -> None:
    (tmp_path / "keystead.db").write_bytes(content)
    if not content:
        _execute(tmp_path, "CREATE TABLE recipes (name TEXT)")
    with pytest.raises(IncompatibleStore):
        await FileBackend.open(backend_url)
    assert _opened(tmp_path) == []


async def test_a_backend_that_was_never_asked_to_write_starts_no_thread(backend: FileBackend) -> None:
    assert await backend.account("alice") is None
    assert not [thread for thread in _threads() if thread.startswith("writer of")]


# faults


@pytest.fixture
def other_writer(tmp_path: Path, backend: FileBackend) -> Iterator[sqlite3.Connection]:
    """Another process, which has begun to write and does not end."""
    db = sqlite3.connect(tmp_path / "keystead.db", isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    yield db
    db.close()


async def test_a_write_waits_for_another_process(backend: FileBackend, other_writer: sqlite3.Connection) -> None:
    waits = asyncio.create_task(backend.add(account()))
    await asyncio.sleep(0.3)
    assert not waits.done()
    assert await backend.account("alice") is None, "reading does not wait"
    other_writer.execute("COMMIT")
    await waits
    assert await backend.account("alice") == account()


async def test_waiting_ends_with_unavailable_for_all_and_recovers(
    backend: FileBackend, other_writer: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "PATIENCE", sqlite_file.PATIENCE / 20)
    began = time.monotonic()
    answers = await asyncio.gather(*(backend.add(account(str(n))) for n in range(20)), return_exceptions=True)
    assert time.monotonic() - began < 5
    assert {type(answer) for answer in answers} == {Unavailable}
    assert "locked" not in str(answers[0])
    other_writer.execute("ROLLBACK")
    await backend.add(account("1"))
    assert [found.id for found in await all_of(backend.accounts())] == ["1"]


FULL_DISK = """
import asyncio, resource, sys
from backends.contract.samples import account, after, all_of, key
from backends.file import FileBackend
from backends.protocol import Unavailable

async def commit(backend, was, turn):
    keys = (*was.keys, key(f"{was.id} {turn}".encode(), public_key=bytes(2000)))
    now, events = after(was, "one", "two", keys=keys, username=f"{was.id}-{turn}")
    try:
        assert await backend.commit(was, now, events)
        return now
    except Unavailable:
        there = await backend.account(was.id)
        assert there in (was, now)
        return there

async def must_be_whole(backend, accounts):
    assert {found.id: found for found in await all_of(backend.accounts())} == {each.id: each for each in accounts}
    for each in accounts:
        assert [event.seq for event in await backend.events_of(each.id, 999)] == list(range(1, each.head.seq + 1))
        assert await backend.account_named(each.username) == each

async def main(url, limit):
    await FileBackend.migrate(url)
    backend = await FileBackend.open(url)
    accounts = [account(id) for id in "abcd"]
    for each in accounts:
        await backend.add(each)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    before, refused = 0, 0
    for turn in range(40):
        committed = await asyncio.gather(*(commit(backend, was, turn) for was in accounts))
        refused += sum(was.version == now.version for was, now in zip(accounts, committed))
        accounts = committed
        await must_be_whole(backend, accounts)
    assert refused > 20, refused
    assert sum(len(each.keys) for each in accounts) > 4, accounts
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    accounts = await asyncio.gather(*(commit(backend, was, "room") for was in accounts))
    await must_be_whole(backend, accounts)
    print(sorted(each.username for each in accounts))
    await backend.close()

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


async def test_a_full_disk_leaves_the_old_or_the_new_as_a_whole_and_recovers(backend_url: str) -> None:
    done = await asyncio.to_thread(_run, FULL_DISK, backend_url, str(200_000))
    assert done.returncode == 0, done.stderr
    again = await FileBackend.open(backend_url)
    assert str([found.username for found in await all_of(again.accounts())]) == done.stdout.strip()
    assert await again.rp_ids() == ["example.com"]
    await again.close()
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


READ_ONLY = """
import asyncio, os, sys
from backends.file import FileBackend
from backends.protocol import Unavailable

async def main(url):
    if os.getuid() == 0:  # who may do anything: become somebody who may not
        os.setgid(65534), os.setuid(65534)
    try:
        await FileBackend.open(url)
    except Unavailable as error:
        print(error)

asyncio.run(main(sys.argv[1]))
"""


async def test_a_read_only_file_is_refused_at_the_start(tmp_path: Path, backend_url: str, backend: FileBackend) -> None:
    await backend.add(account())
    await backend.close()
    (tmp_path / "keystead.db").chmod(0o444)
    _open_the_way_to(tmp_path)
    done = await asyncio.to_thread(_run, READ_ONLY, backend_url)
    assert done.returncode == 0, done.stderr
    assert "cannot be used now" in done.stdout


def test_a_directory_behind_one_that_may_not_be_entered_is_refused_at_the_start(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "inner").mkdir(parents=True)
    _open_the_way_to(tmp_path)
    closed.chmod(0)
    try:
        done = _run(READ_ONLY, f"file://{closed}/inner/keystead.db")
    finally:
        closed.chmod(0o700)
    assert done.returncode == 0, done.stderr
    assert "cannot be used now" in done.stdout


def _open_the_way_to(directory: Path) -> None:
    for each in (directory, *directory.parents):
        if each.name.startswith(("pytest-", "popen-")) or each == directory:
            each.chmod(0o755)


async def test_a_damaged_file_is_unavailable_and_no_crash(tmp_path: Path, backend_url: str, backend: FileBackend) -> None:
    await fill(backend, 200)
    await backend.close()
    with (tmp_path / "keystead.db").open("r+b") as damage:
        damage.seek(40_000)
        damage.write(os.urandom(400_000))
    damaged = await FileBackend.open(backend_url)
    with pytest.raises(Unavailable):
        await all_of(damaged.dump())
    answers = await asyncio.gather(*(damaged.add(account(str(n))) for n in range(20)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {Unavailable}
    await damaged.close()


DAMAGE: dict[str, Callable[[str], bytes]] = {
    "empty": lambda _: b"{}",
    "cut off": lambda text: text[:100].encode(),
    "no text": lambda text: text.encode().replace(b"alice", b"\xff"),
    "no zone": lambda text: text.replace('Z"', '"').encode(),
    "no time": lambda text: text.replace('"at":"', '"at":"on ').encode(),
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_damaged_row_stands_in_nobodys_way(tmp_path: Path, backend: FileBackend, damage: str) -> None:
    for number in range(2 * file.PAGE):
        await backend.add(*owing(f"{number:03}", NOW - MINUTE))
    (last, events), told = owing("z", NOW), list[Damaged]()
    await backend.add(last, events)
    with contextlib.closing(sqlite3.connect(tmp_path / "keystead.db")) as db, db:
        db.create_function("damage", 1, DAMAGE[damage])
        db.execute("UPDATE accounts SET document = CAST(damage(document) AS TEXT) WHERE id != 'z'")
    assert await backend.owing(NOW, 1, damaged=told.append) == [last]
    assert await all_of(backend.accounts(damaged=told.append)) == [last]
    assert await all_of(backend.dump(damaged=told.append)) == [last, *events]
    assert sorted(found.account_id for found in told) == sorted(3 * [f"{number:03}" for number in range(2 * file.PAGE)])
    assert (await backend.account("z"), await backend.account_named("z")) == (last, last)
    damaged = (backend.account("000"), backend.account_named("000"), backend.owing(NOW, 1), all_of(backend.accounts()))
    for query in (*damaged, all_of(backend.dump())):
        with pytest.raises(Damaged, match=r"^The row 000 of .*/keystead.db is no record as it stands: .*") as caught:
            await query
        assert "alice@example.com" not in str(caught.value)


KILLED = """
import asyncio, sys
from backends.contract.samples import account, change, key
from backends.file import FileBackend

async def person(backend, id):
    there = account(id)
    await backend.add(there)
    for turn in range(100_000):
        keys = () if turn % 5 == 4 else (*there.keys, key(f"{id} {turn}".encode()))
        there = await change(backend, there, f"turn {turn}", keys=keys)
        print(id, there.version, len(there.keys), flush=True)

async def main(url):
    await FileBackend.migrate(url)
    backend = await FileBackend.open(url)
    await asyncio.gather(*(person(backend, str(number)) for number in range(8)))

asyncio.run(main(sys.argv[1]))
"""


async def test_what_was_acknowledged_survives_kill_9_as_a_whole(tmp_path: Path) -> None:
    for lines in (1, 40, 500):
        backend_url = f"file://{tmp_path}/{lines}.db"
        done = await asyncio.to_thread(_run, KILLED, backend_url, kill_after=lines)
        told = {line.split()[0]: int(line.split()[1]) for line in done.stdout.splitlines(keepends=True) if line.endswith("\n")}
        backend = await FileBackend.open(backend_url)
        accounts = await all_of(backend.accounts())
        assert done.stdout.count("\n") >= lines, done.stderr
        assert {there.id for there in accounts} >= set(told)
        for there in accounts:
            assert 0 <= there.version - told.get(there.id, 1) <= 1  # one more may have been under way
            assert there.head.seq == there.version - 1
            assert [each.seq for each in await backend.events_of(there.id, 10_000)] == list(range(1, there.version))
            assert len(there.keys) == there.head.seq % 5
        bound = {each.id for there in accounts for each in there.keys}
        assert {row[0] for row in _execute(tmp_path, "SELECT id FROM credentials", f"{lines}.db")} == bound
        await backend.close()


def test_a_batch_has_a_bound() -> None:
    assert 16 <= group_commit.BATCH <= 1024


def _execute(tmp_path: Path, statement: str, name: str = "keystead.db") -> list[tuple[Any, ...]]:
    db = sqlite3.connect(tmp_path / name, isolation_level=None)
    try:
        return db.execute(statement).fetchall()
    finally:
        db.close()


def _files(directory: Path) -> list[Path]:
    return list(directory.iterdir())


def _opened(directory: Path) -> list[str]:
    """What of this directory this process has open."""
    links = (os.path.realpath(link) for link in Path("/proc/self/fd").iterdir())
    return [link for link in links if link.startswith(str(directory))]


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def _run(program: str, *arguments: str, kill_after: int = 0) -> subprocess.CompletedProcess[str]:
    """A process of its own; with `kill_after`, one that is killed with SIGKILL after that many lines."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout
        assert process.stderr
        first = [process.stdout.readline() for _ in range(kill_after)]
        if kill_after:
            process.kill()
        out = "".join(first) + process.stdout.read()  # `communicate` would lose what `readline` has read ahead
        error = process.stderr.read()
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)

"""The file backend keeps the contract; and what only a file does: shared commits, full disks, strange files, kill -9."""

import asyncio
import contextlib
import os
import resource
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from backends import group_commit, open_backend, sqlite_file
from backends.file import FileBackend
from backends.protocol import KeyTaken, NotOurs, Unavailable, UsernameTaken
from backends.specimens import NOW, account, all_of, fill, key, session

pytest.register_assert_rewrite("backends.contract")
from backends.contract import BackendContract  # noqa: E402 - its asserts are rewritten first

pytestmark = pytest.mark.anyio


@pytest.fixture
def backend_url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/keystead.db"


@pytest.fixture
async def backend(backend_url: str) -> AsyncIterator[FileBackend]:
    backend = await FileBackend.open(backend_url)
    yield backend
    await backend.close()


class TestFileBackend(BackendContract):
    """Every promise of the protocol."""


# addresses and files


@pytest.mark.parametrize("path", ["keystead.db", "with space and ü.db", "50%.db"])
async def test_an_address_names_the_file(tmp_path: Path, path: str) -> None:
    backend = await open_backend((tmp_path / path).as_uri())
    await backend.close()
    assert (tmp_path / path).exists()


async def test_a_relative_address_starts_where_the_program_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    backend = await FileBackend.open("file:keystead.db")
    await backend.close()
    assert (tmp_path / "keystead.db").exists()


@pytest.mark.parametrize("url", ["file://keystead.db", "file:", "file:///a.db?mode=ro", "file:///nowhere/at/all/keystead.db"])
async def test_an_address_that_names_no_file_is_refused(url: str) -> None:
    with pytest.raises(NotOurs):
        await FileBackend.open(url)


async def test_the_file_is_readable_by_its_owner_only(backend: FileBackend, tmp_path: Path) -> None:
    await backend.add_account(account())
    for file in _files(tmp_path):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


async def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path, backend_url: str) -> None:
    with sqlite3.connect(tmp_path / "keystead.db") as db:
        db.execute("CREATE TABLE recipes (name TEXT)")
    db.close()
    before = (tmp_path / "keystead.db").read_bytes()
    for question in (FileBackend.open, FileBackend.migrate):
        with pytest.raises(NotOurs, match="another program"):
            await question(backend_url)
    assert (tmp_path / "keystead.db").read_bytes() == before
    assert [file.name for file in _files(tmp_path)] == ["keystead.db"]


@pytest.mark.parametrize("content", [b"Dear diary, " * 100, b"PK\x03\x04" + bytes(4096)])
async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, backend_url: str, content: bytes) -> None:
    (tmp_path / "keystead.db").write_bytes(content)
    with pytest.raises(NotOurs, match="not a Keystead file"):
        await FileBackend.open(backend_url)
    assert (tmp_path / "keystead.db").read_bytes() == content


async def test_an_sqlite_that_is_too_old_is_refused(tmp_path: Path, backend_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(NotOurs, match=r"3\.37"):
        await FileBackend.open(backend_url)
    assert _files(tmp_path) == []


async def test_a_newer_schema_is_refused(tmp_path: Path, backend_url: str, backend: FileBackend) -> None:
    await backend.close()
    _execute(tmp_path, f"PRAGMA user_version = {len(sqlite_file.MIGRATIONS) + 1}")
    for question in (FileBackend.open, FileBackend.migrate):
        with pytest.raises(NotOurs, match="newer Keystead"):
            await question(backend_url)


async def test_an_older_schema_is_refused_until_it_is_migrated(
    backend_url: str, backend: FileBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(backend)
    before = await all_of(backend.dump())
    await backend.close()
    later = (*sqlite_file.MIGRATIONS, ("Count the cats", "CREATE TABLE cats (n INTEGER) STRICT; CREATE INDEX by_n ON cats (n)"))
    monkeypatch.setattr(sqlite_file, "MIGRATIONS", later)
    with pytest.raises(NotOurs, match="keystead backend migrate"):
        await FileBackend.open(backend_url)
    assert await FileBackend.migrate(backend_url) == ["Count the cats"]
    assert await FileBackend.migrate(backend_url) == []
    migrated = await FileBackend.open(backend_url)
    assert await all_of(migrated.dump()) == before
    await migrated.close()


async def test_domains_of_keys_that_were_bound_before_they_were_counted_are_known(
    backend_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_file, "MIGRATIONS", sqlite_file.MIGRATIONS[:1])
        before = await FileBackend.open(backend_url)
        for id, domain in ((b"1", "old.example"), (b"2", "new.example"), (b"3", "old.example")):
            await before.add_key(key(id, rp_id=domain))
        await before.close()
    assert await FileBackend.migrate(backend_url) == ["Count the keys of each domain"]
    migrated = await FileBackend.open(backend_url)
    assert await migrated.rp_ids() == ["new.example", "old.example"]
    assert await migrated.remove_key("alice", b"1")
    assert await migrated.remove_key("alice", b"2")
    assert await migrated.rp_ids() == ["old.example"]
    await migrated.close()


async def test_a_migration_that_fails_changes_nothing(
    tmp_path: Path, backend_url: str, backend: FileBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await backend.add_account(account())
    await backend.close()
    broken = (*sqlite_file.MIGRATIONS, ("Break", "CREATE TABLE cats (n INTEGER) STRICT; CREATE TABLE accounts (n INTEGER)"))
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_file, "MIGRATIONS", broken)
        with pytest.raises(Unavailable):
            await FileBackend.migrate(backend_url)
    again = await FileBackend.open(backend_url)
    assert await again.account("alice") == account()
    await again.close()
    assert _execute(tmp_path, "SELECT count(*) FROM sqlite_master WHERE name = 'cats'") == [(0,)]


async def test_migrating_makes_a_file_that_was_not_there(backend_url: str) -> None:
    assert await FileBackend.migrate(backend_url) == [name for name, _ in sqlite_file.MIGRATIONS]
    backend = await FileBackend.open(backend_url)
    assert await all_of(backend.dump()) == []
    await backend.close()


async def test_many_processes_may_make_the_file_at_once(backend_url: str) -> None:
    program = f"import asyncio; from backends.file import FileBackend; asyncio.run(FileBackend.open({backend_url!r}))"
    makers = [await asyncio.create_subprocess_exec(sys.executable, "-W", "ignore", "-c", program) for _ in range(6)]
    assert [await maker.wait() for maker in makers] == [0] * 6


async def test_a_file_that_was_removed_under_us_is_not_ready(backend: FileBackend, tmp_path: Path) -> None:
    await backend.ready()
    (tmp_path / "keystead.db").unlink()
    with pytest.raises(Unavailable, match="moved or removed"):
        await backend.ready()


# group commit


async def test_what_waits_together_is_committed_together(backend: FileBackend) -> None:
    await backend.add_account(account())
    before = backend.commits
    await asyncio.gather(*(backend.add_key(key(str(number).encode())) for number in range(200)))
    assert len(await backend.keys_of("alice")) == 200
    assert 1 <= backend.commits - before <= 20


async def test_the_refusal_of_one_undoes_nothing_of_the_others(backend: FileBackend) -> None:
    await backend.add_key(key(b"taken"))
    asked = [backend.add_key(key(b"taken" if number % 2 else str(number).encode())) for number in range(20)]
    answers = await asyncio.gather(*asked, backend.add_account(account()), return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None), KeyTaken] * 10 + [type(None)]
    assert len(await backend.keys_of("alice")) == 11
    with pytest.raises(UsernameTaken):
        await backend.add_account(account())


async def test_a_question_that_fails_halfway_leaves_nothing(backend: FileBackend) -> None:
    await backend.put_recovery_codes("alice", [b"old"], NOW)
    twice = backend.put_recovery_codes("alice", [b"new", b"same", b"same"], NOW)
    answers = await asyncio.gather(twice, backend.add_account(account()), return_exceptions=True)
    assert isinstance(answers[0], sqlite3.IntegrityError)
    assert [code.digest for code in await backend.recovery_codes_of("alice")] == [b"old"]
    assert await backend.account("alice") == account()


async def test_a_caller_who_went_away_stops_nobody(backend: FileBackend) -> None:
    gone = asyncio.create_task(backend.add_account(account("gone")))
    stays = asyncio.create_task(backend.add_account(account("stays")))
    await asyncio.sleep(0)
    gone.cancel()
    await stays
    assert await backend.account("stays") == account("stays")


async def test_one_backend_can_be_asked_from_several_event_loops(backend: FileBackend) -> None:
    def elsewhere() -> bool:
        return asyncio.run(backend.spend_once("elsewhere", NOW))

    assert await asyncio.to_thread(elsewhere)
    assert not await backend.spend_once("elsewhere", NOW)


async def test_what_is_asked_during_a_commit_is_answered_after_it(backend: FileBackend) -> None:
    gate = threading.Event()
    first = asyncio.create_task(backend._writer.ask(lambda db: gate.wait(10), long=True))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(backend.spend_once("second", NOW))
    await asyncio.sleep(0.05)
    assert not second.done()
    gate.set()
    assert all(await asyncio.wait_for(asyncio.gather(first, second), 5))


async def test_who_waits_for_the_commit_of_an_event_loop_that_is_gone_is_answered(backend: FileBackend) -> None:
    gate = threading.Event()

    def give_up_soon() -> None:
        with contextlib.suppress(TimeoutError):
            asyncio.run(asyncio.wait_for(backend._writer.ask(lambda db: gate.wait(10), long=True), 0.05))

    await asyncio.to_thread(give_up_soon)
    waits = asyncio.create_task(backend.spend_once("waits", NOW))
    await asyncio.sleep(0.05)
    gate.set()
    assert await asyncio.wait_for(waits, 5)


async def test_an_engine_in_trouble_answers_unavailable_and_goes_on(backend: FileBackend) -> None:
    await backend.add_account(account())
    trouble = backend._writer.ask(lambda db: db.execute("SELECT * FROM nowhere"))
    answers = await asyncio.gather(backend.add_key(key()), trouble, return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable, Unavailable]
    assert await backend.keys_of("alice") == []
    await backend.add_key(key())
    assert await backend.keys_of("alice") == [key()]


class Stuck(sqlite3.Connection):
    def close(self) -> None:
        super().close()
        raise sqlite3.OperationalError("disk I/O error")


async def test_a_connection_that_cannot_even_be_closed_keeps_nobody_waiting(backend: FileBackend) -> None:
    writer = backend._writer
    writer._db = sqlite3.connect(writer._path, isolation_level=None, check_same_thread=False, factory=Stuck)
    with pytest.raises(Unavailable):
        await asyncio.wait_for(writer.ask(lambda db: db.execute("ROLLBACK"), long=True), 5)
    assert await asyncio.wait_for(backend.spend_once("after it", NOW), 5)


async def test_writes_from_two_event_loops_at_once_are_all_answered(backend: FileBackend) -> None:
    async def ask(where: str) -> list[bool]:
        return [answer for n in range(50) for answer in await asyncio.gather(*(spend(f"{where} {n} {m}") for m in range(4)))]

    def spend(id: str) -> Coroutine[Any, Any, bool]:
        return backend.spend_once(id, NOW)

    async with asyncio.timeout(20):
        answers = await asyncio.gather(ask("here"), asyncio.to_thread(lambda: asyncio.run(ask("there"))))
    assert [*answers[0], *answers[1]] == [True] * 400


async def test_only_a_question_that_takes_long_leaves_the_event_loops_thread(backend: FileBackend) -> None:
    def where(db: sqlite3.Connection) -> str:
        return threading.current_thread().name

    here = threading.current_thread().name
    assert await backend._writer.ask(where) == here
    assert await backend._writer.ask(where, long=True) == "writer of keystead.db"
    assert await backend._writer.ask(where) == here


async def test_a_sweep_never_holds_the_event_loop(backend: FileBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    ask = backend._writer.ask

    def note(question: group_commit.Question[Any], *, long: bool = False) -> Coroutine[Any, Any, Any]:
        asked.append(long)
        return ask(question, long=long)

    monkeypatch.setattr(backend._writer, "ask", note)
    await backend.spend_once("over", NOW)
    assert await backend.sweep(NOW) == 1
    assert asked == [False, True, True, True, True]


async def test_closing_answers_what_still_waits(backend: FileBackend) -> None:
    asked = [asyncio.create_task(backend.add_account(account(str(number)))) for number in range(50)]
    await asyncio.sleep(0)
    await backend.close()
    assert await asyncio.gather(*asked) == [None] * 50
    await backend.close()
    with pytest.raises(Unavailable):
        await backend.add_account(account())
    with pytest.raises(Unavailable):
        await backend.account("1")


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
    waits = asyncio.create_task(backend.add_account(account()))
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
    answers = await asyncio.gather(*(backend.add_account(account(str(n))) for n in range(20)), return_exceptions=True)
    assert time.monotonic() - began < 5
    assert {type(answer) for answer in answers} == {Unavailable}
    assert "locked" not in str(answers[0])
    other_writer.execute("ROLLBACK")
    await backend.add_account(account("1"))
    assert [found.id for found in await all_of(backend.accounts())] == ["1"]


FULL_DISK = """
import asyncio, resource, sys
from backends.specimens import all_of
from backends.file import FileBackend
from backends.protocol import Unavailable
from backends.specimens import account, key

async def main(url, limit):
    backend = await FileBackend.open(url)
    await backend.add_account(account())
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    bound, refused = [], 0
    for number in range(200):
        asked = [key(f"{number} {n}".encode(), public_key=bytes(2000)) for n in range(4)]
        answers = await asyncio.gather(*(backend.add_key(each) for each in asked), return_exceptions=True)
        assert all(answer is None or isinstance(answer, Unavailable) for answer in answers), answers
        bound += [each.id for each, answer in zip(asked, answers) if answer is None]
        refused += sum(answer is not None for answer in answers)
    assert refused > 100, refused
    assert len(bound) > 10, bound
    assert await backend.account("alice") == account()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await backend.add_key(key(b"there is room again"))
    assert {each.id for each in await backend.keys_of("alice")} == {*bound, b"there is room again"}
    await backend.close()

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


async def test_a_full_disk_refuses_leaves_nothing_half_written_and_recovers(backend_url: str) -> None:
    done = await asyncio.to_thread(_run, FULL_DISK, backend_url, str(400_000))
    assert done.returncode == 0, done.stderr
    again = await FileBackend.open(backend_url)
    assert b"there is room again" in {each.id for each in await again.keys_of("alice")}
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
    await backend.add_account(account())
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
    with (tmp_path / "keystead.db").open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(40_000))
    damaged = await FileBackend.open(backend_url)
    with pytest.raises(Unavailable):
        await all_of(damaged.dump())
    with pytest.raises(Unavailable):
        await damaged.add_account(account())
    await damaged.close()


KILLED = """
import asyncio, sys
from backends.file import FileBackend
from backends.specimens import account, key, sealed

async def person(backend, number):
    for turn in range(100_000):
        id = f"{number} {turn}"
        await asyncio.gather(backend.add_key(key(id.encode())), backend.add_event(id, sealed('', id)))
        print("bound", id, flush=True)
        if turn % 2:
            assert await backend.remove_key("alice", id.encode())
            print("unbound", id, flush=True)

async def main(url):
    backend = await FileBackend.open(url)
    await asyncio.gather(*(person(backend, number) for number in range(8)))

asyncio.run(main(sys.argv[1]))
"""


async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    for number in range(3):
        backend_url = f"file://{tmp_path}/{number}.db"
        done = await asyncio.to_thread(_run, KILLED, backend_url, kill_after=0.8)
        told = [line.partition(" ")[::2] for line in done.stdout.splitlines(keepends=True) if line.endswith("\n")]
        unbound = {id.strip() for what, id in told if what == "unbound"}
        bound = {id.strip() for what, id in told if what == "bound"}
        assert len(bound) > 20
        backend = await FileBackend.open(backend_url)
        there = {each.id.decode() for each in await backend.keys_of("alice")}
        in_flight = {id for id in bound - unbound if int(id.split()[1]) % 2}  # its removal may have been under way
        assert bound - unbound - in_flight <= there
        assert not unbound & there
        for id in bound:
            assert len(await backend.events_of(id, 10)) == 1
        await backend.close()


async def test_a_record_of_every_kind_is_laid_out_as_its_table_is(tmp_path: Path, backend: FileBackend) -> None:
    await backend.put_session(session())
    with pytest.raises(sqlite3.IntegrityError):
        _execute(tmp_path, "UPDATE sessions SET expires_at = 'soon'")


def test_a_batch_has_a_bound() -> None:
    assert 16 <= group_commit.BATCH <= 1024


def _execute(tmp_path: Path, statement: str) -> list[tuple[int, ...]]:
    db = sqlite3.connect(tmp_path / "keystead.db", isolation_level=None)
    try:
        return db.execute(statement).fetchall()
    finally:
        db.close()


def _files(directory: Path) -> list[Path]:
    return list(directory.iterdir())


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def _run(program: str, *arguments: str, kill_after: float | None = None) -> subprocess.CompletedProcess[str]:
    """A process of its own; with `kill_after`, one that is killed with SIGKILL that many seconds after its first line."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=pipe, stderr=pipe, text=True) as process:
        first = ""
        if kill_after is not None and process.stdout is not None:
            first = process.stdout.readline()
            threading.Timer(kill_after, process.kill).start()
        out, error = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, first + out, error)

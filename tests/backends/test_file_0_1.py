"""A file of version 0.1 becomes one of today, with everything that people would miss, or stays as it was.

`store_0_1.sql` was made by 0.1's own code (commit 033f786) through its own pages: zoe has two keys, and has used one of ten
recovery codes; Änne and ben share an address, and ben's account is frozen; never has never logged on. `store_0_1.jsonl` is
its backup, made by 0.1 too.
"""

import hashlib
import hmac
import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from backends import sqlite_0_1, sqlite_file
from backends.contract.samples import all_of, change, key
from backends.file import FileBackend
from backends.protocol import IncompatibleStore, Unavailable
from backends.records import Account, ChainLink, Event
from backends.sqlite_schema import Migration

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
SECRET = "a secret of the store that version 0.1 left behind"
ONE_RECORD = "Make each account one record"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keystead.db"


@pytest.fixture
def url(path: Path) -> str:
    return path.as_uri()


@pytest.fixture
def store_0_1(path: Path) -> Path:
    db = sqlite3.connect(path)
    db.executescript((HERE / "store_0_1.sql").read_text())
    db.close()
    return path


def backup_0_1() -> Iterator[tuple[str, dict[str, Any]]]:
    for line in (HERE / "store_0_1.jsonl").read_text().splitlines()[1:-1]:
        yield from json.loads(line).items()


async def migrated(url: str) -> FileBackend:
    assert (await FileBackend.migrate(url))[-1] == ONE_RECORD
    return await FileBackend.open(url)


async def named(backend: FileBackend, name: str) -> Account:
    found = await backend.account_named(name)
    assert found is not None
    return found


def everything(path: Path) -> list[str]:
    db = sqlite3.connect(path)
    try:
        return list(db.iterdump())
    finally:
        db.close()


async def test_a_file_of_0_1_is_refused_until_it_is_migrated(store_0_1: Path, url: str) -> None:
    before = everything(store_0_1)
    with pytest.raises(IncompatibleStore, match="keystead backend migrate"):
        await FileBackend.open(url)
    assert everything(store_0_1) == before
    assert await FileBackend.migrate(url) == [ONE_RECORD]
    assert await FileBackend.migrate(url) == []


@pytest.mark.usefixtures("store_0_1")
async def test_accounts_keep_what_they_were(url: str) -> None:
    backend = await migrated(url)
    assert [found.username for found in await all_of(backend.accounts())] == ["ben", "never", "zoe", "Änne"]
    anne, ben = await named(backend, "ÄNNE"), await named(backend, "ben")
    assert (anne.email, anne.listed, anne.frozen_at) == ("family@example.com", True, None)
    assert (ben.email, ben.listed, ben.frozen_at) == (
        "Family@example.com",
        False,
        datetime(2026, 11, 24, 22, 7, 24, 535000, UTC),
    )
    assert await backend.account_named("family@example.com") is None
    zoe = await named(backend, "zoe@example.com")
    assert zoe.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$7cW4wH1Z1df0L+VfAP78hw$")
    assert zoe.created_at == zoe.password_at == datetime(2026, 11, 24, 22, 7, 23, 542000, UTC)
    assert {found.version for found in await all_of(backend.accounts())} == {1}
    await backend.close()


@pytest.mark.usefixtures("store_0_1")
async def test_keys_and_recovery_codes_are_inside_their_account(url: str) -> None:
    backend = await migrated(url)
    zoe = await named(backend, "zoe")
    assert [(found.name, found.sign_count, found.transports) for found in zoe.keys] == [
        ("Blue key", 1, ("usb",)),
        ("Réd “spare” key", 0, ("nfc", "usb")),
    ]
    assert [found.used_at for found in zoe.keys] == [datetime(2026, 11, 24, 22, 7, 24, 103000, UTC), None]
    assert {found.suspended_at for found in zoe.keys} == {None}
    assert zoe.keys[0].id.hex().startswith("a7d83f6bca143f80")
    assert [bool(code.spent_at) for code in zoe.recovery_codes] == [True] + [False] * 9
    assert zoe.recovery_codes[1].digest.hex().startswith("827300e53d1dfa69")
    assert (zoe.sessions, zoe.codes, zoe.nonces, zoe.notifications) == ((), (), (), ())
    assert [found.keys for found in await all_of(backend.accounts()) if found != zoe] == [(), (), ()]
    await backend.close()


@pytest.mark.usefixtures("store_0_1")
async def test_events_stay_sealed_and_lead_to_the_head(url: str) -> None:
    backend = await migrated(url)
    heads = {}
    for there in await all_of(backend.accounts()):
        before = ChainLink()
        for each in await backend.events_of(there.id, 100):
            assert (each.seq, each.state) == (before.seq + 1, b"")
            assert hmac.compare_digest(each.mac, _mac_0_1(each, before.mac))
            before = ChainLink(seq=each.seq, mac=each.mac)
        assert there.head == before
        assert (there.checkpoint, there.seal) == (ChainLink(), b"")
        heads[there.username] = there.head.seq
    assert heads == {"zoe": 8, "Änne": 1, "ben": 4, "never": 0}
    await backend.close()


def _mac_0_1(event: Event, before: bytes) -> bytes:
    """As 0.1 made it: `webapp/events.py` at commit 033f786."""
    fields = (event.account_id, str(event.seq), event.kind, event.at.isoformat(), event.address, event.browser, event.detail)
    text = "".join(f"{len(field)}:{field}" for field in ("keystead event", before.hex(), *fields))
    return hmac.digest(SECRET.encode(), text.encode(), hashlib.sha256)


@pytest.mark.usefixtures("store_0_1")
async def test_a_migrated_account_goes_on_as_any_other(url: str) -> None:
    backend = await migrated(url)
    zoe, never = await named(backend, "zoe"), await named(backend, "never")
    assert await backend.rp_ids() == ["localhost"]
    never = await change(backend, never, "bound", keys=(key(b"new", rp_id="new.example"),))
    assert await backend.rp_ids() == ["localhost", "new.example"]
    zoe = await change(backend, zoe, "unbound", keys=())
    assert await backend.rp_ids() == ["new.example"]
    await change(backend, zoe, "another address", email="never@example.com")
    assert await backend.account_named("never@example.com") is None
    assert [each.seq for each in await backend.events_of(zoe.id, 3)] == [8, 9, 10]
    assert await backend.remove(never)
    await backend.close()


async def test_a_migrated_file_is_laid_out_as_a_new_one(store_0_1: Path, url: str, tmp_path: Path) -> None:
    await (await migrated(url)).close()
    sqlite_file.prepare(tmp_path / "new.db", migrate=True)
    assert _layout(store_0_1) == _layout(tmp_path / "new.db")


def _layout(path: Path) -> set[str]:
    return {" ".join(statement.split()) for statement in everything(path) if statement.startswith("CREATE")}


def _rows(path: Path) -> list[str]:
    """All but attempts, which no backup has."""
    return sorted(statement for statement in everything(path) if statement.startswith("INSERT") and "attempts" not in statement)


async def test_a_file_of_the_very_first_schema_is_migrated_too(
    store_0_1: Path, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = await migrated(url)
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_0_1, "MIGRATIONS", sqlite_0_1.MIGRATIONS[:1])
        sqlite_file.make_0_1(tmp_path / "first.db", backup_0_1())
    backend = await migrated((tmp_path / "first.db").as_uri())
    assert await all_of(backend.dump()) == await all_of(expected.dump())
    assert await backend.rp_ids() == ["localhost"]
    await backend.close()
    await expected.close()


async def test_a_file_can_be_made_from_a_backup_of_0_1(store_0_1: Path, path: Path, url: str, tmp_path: Path) -> None:
    made = tmp_path / "made.db"
    sqlite_file.make_0_1(made, backup_0_1())
    assert _rows(made) == _rows(store_0_1)
    with pytest.raises(FileExistsError):
        sqlite_file.make_0_1(made)


@pytest.mark.parametrize(("kind", "changes"), [
    ("accounts", {"username": 5}), ("accounts", {"username": None}), ("accounts", {"created_at": "yesterday"}),
    ("accounts", {"password": "…"}), ("keys", {"id": "%"}), ("keys", {"sign_count": 2**80}), ("keys", {"name": {}}),
    ("keys", {"id": None}), ("attempts", {}), ("sqlite_master", {}), ("accounts; DROP TABLE accounts", {}),
])  # fmt: skip
async def test_what_is_no_record_of_0_1_makes_no_file_that_could_be_migrated(
    path: Path, url: str, kind: str, changes: dict[str, Any]
) -> None:
    valid = dict(backup_0_1())
    with pytest.raises(ValueError, match=r"version 0\.1"):
        sqlite_file.make_0_1(path, [("accounts", valid["accounts"]), (kind, valid.get(kind, {}) | changes)])
    assert everything(path) == ["BEGIN TRANSACTION;", "COMMIT;"]


# an interrupted migration


async def test_an_account_that_has_no_place_today_is_named_and_nothing_is_changed(store_0_1: Path, url: str) -> None:
    _execute(store_0_1, "UPDATE accounts SET email = replace(hex(zeroblob(160)), '0', 'a') || '@x' WHERE username = 'zoe'")
    before = everything(store_0_1)
    with pytest.raises(IncompatibleStore, match="hlh7PIZp4KH4eLa_JuOeQg"):
        await FileBackend.migrate(url)
    assert everything(store_0_1) == before
    _execute(store_0_1, "UPDATE accounts SET email = 'zoe@example.com' WHERE username = 'zoe'")
    await (await migrated(url)).close()


async def test_a_step_that_fails_leaves_the_old_file(store_0_1: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = everything(store_0_1)
    *others, last = sqlite_file.MIGRATIONS
    broken = Migration(last.name, (*last.steps, "CREATE TABLE cats (n INTEGER) STRICT; CREATE TABLE accounts (n INTEGER)"))
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_file, "MIGRATIONS", (*others, broken))
        with pytest.raises(Unavailable):
            await FileBackend.migrate(url)
    assert everything(store_0_1) == before
    await (await migrated(url)).close()


async def test_a_later_schema_is_added_to_the_records(store_0_1: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = await migrated(url)
    before = await all_of(backend.dump())
    await backend.close()
    cats = Migration("Count the cats", ("CREATE TABLE cats (n INTEGER) STRICT; CREATE INDEX by_n ON cats (n)",))
    monkeypatch.setattr(sqlite_file, "MIGRATIONS", (*sqlite_file.MIGRATIONS, cats))
    with pytest.raises(IncompatibleStore, match="keystead backend migrate"):
        await FileBackend.open(url)
    assert await FileBackend.migrate(url) == ["Count the cats"]
    backend = await FileBackend.open(url)
    assert await all_of(backend.dump()) == before
    await backend.close()


async def test_keys_and_codes_of_nobody_are_left_behind_and_events_of_nobody_are_kept(store_0_1: Path, url: str) -> None:
    _execute(store_0_1, "DELETE FROM accounts WHERE username = 'zoe'")
    backend = await migrated(url)
    assert await backend.rp_ids() == []
    assert len(await backend.events_of("hlh7PIZp4KH4eLa_JuOeQg", 100)) == 8
    assert [found.username for found in await all_of(backend.accounts())] == ["ben", "never", "Änne"]
    await backend.close()


def _execute(path: Path, statement: str) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(statement)
    db.close()

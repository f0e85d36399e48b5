"""The Mongo backend keeps the contract; and what only a server does: passwords, strangers' databases, outages, kill -9.

`tests/mongo_server.py` says which server this is.
"""

import asyncio
import logging
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from urllib.parse import urlsplit

import pymongo
import pytest
from bson import ObjectId
from pymongo import AsyncMongoClient, MongoClient
from pymongo.asynchronous.collection import AsyncCollection

from backends import mongo, open_backend
from backends.mongo import MongoBackend
from backends.protocol import KeyTaken, NotOurs, Unavailable
from backends.records import Record
from backends.specimens import MINUTE, NOW, account, all_of, code, fill, given, key, sealed, session
from tests import mongo_server
from tests.mongo_server import MongoServer

pytest.register_assert_rewrite("backends.contract")
from backends.contract import BackendContract  # noqa: E402 - its asserts are rewritten first

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server_address() -> Iterator[str]:
    with mongo_server.running() as address:
        yield address


@pytest.fixture
def backend_url(server_address: str) -> Iterator[str]:
    url = mongo_server.database(server_address)
    yield url
    with MongoClient[dict[str, object]](url) as client:
        client.drop_database(client.get_default_database())


@pytest.fixture
async def backend(backend_url: str) -> AsyncIterator[MongoBackend]:
    backend = await MongoBackend.open(backend_url)
    yield backend
    await backend.close()


class TestMongoBackend(BackendContract):
    """Every promise of the protocol."""


@pytest.fixture
def own_server() -> Iterator[MongoServer]:
    """A server of the test's own, to be killed."""
    server = MongoServer().start()
    with mongo_server.outage():
        yield server
    server.stop()


# addresses


SECRET = "s3-" + "cret"  # in two parts: a traceback shows the lines of a test


@pytest.mark.parametrize("url", ["mongodb://", "mongodb://{}/et@127.0.0.1/x", "mongodb://{}@127.0.0.1:port/x", "mongodb://{}@/x"])
async def test_an_address_that_is_none_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(NotOurs, match="no address of a MongoDB") as refusal:
        await open_backend(url.format(f"alice:{SECRET}"))
    assert SECRET not in "".join(traceback.format_exception(refusal.value))


async def test_a_wrong_password_is_refused_and_not_repeated(backend_url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(NotOurs, match="password") as refusal:
        await MongoBackend.open(backend_url.replace("mongodb://", f"mongodb://alice:{SECRET}@"))
    assert SECRET not in "".join(traceback.format_exception(refusal.value)) + caplog.text


@pytest.mark.parametrize("scheme", ["mongodb", "mongodb+srv"])
async def test_a_server_that_is_not_there_is_unavailable_soon_and_its_password_not_told(
    scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    host = f"127.0.0.1:{mongo_server.free_port()}" if scheme == "mongodb" else "nowhere.invalid.example"
    began = time.monotonic()
    with mongo_server.outage(), pytest.raises(Unavailable) as outage:
        await MongoBackend.open(f"{scheme}://alice:{SECRET}@{host}/x?timeoutMS=700")
    assert time.monotonic() - began < 10
    assert SECRET not in "".join(traceback.format_exception(outage.value)) + caplog.text


async def test_no_option_of_the_address_weakens_what_is_promised(backend_url: str) -> None:
    backend = await MongoBackend.open(f"{backend_url}?w=1&journal=false&readPreference=secondary&tz_aware=false")
    await backend.add_account(account())
    assert await backend.account("alice") == account()
    assert backend.promises == {"w": "majority", "j": True, "mode": "primary", "tz_aware": True}
    await backend.close()


# the database


async def test_another_programs_collections_are_refused_and_left_alone(backend_url: str) -> None:
    async with AsyncMongoClient[dict[str, object]](backend_url) as client:
        db = client.get_default_database()
        await db.sessions.insert_one({"of": "another program"})
        for question in (MongoBackend.open, MongoBackend.migrate):
            with pytest.raises(NotOurs, match="another program"):
                await question(backend_url)
        assert await db.list_collection_names() == ["sessions"]


async def test_collections_of_other_names_are_none_of_our_business(backend_url: str) -> None:
    async with AsyncMongoClient[dict[str, object]](backend_url) as client:
        await client.get_default_database().recipes.insert_one({"of": "another program"})
    backend = await MongoBackend.open(backend_url)
    await backend.ready()
    await backend.close()


async def test_a_newer_schema_is_refused(backend_url: str, backend: MongoBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongo, "MIGRATIONS", ())
    for question in (MongoBackend.open, MongoBackend.migrate):
        with pytest.raises(NotOurs, match="newer Keystead"):
            await question(backend_url)


async def test_an_older_schema_is_refused_until_it_is_migrated(
    backend_url: str, backend: MongoBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(backend)
    before = await all_of(backend.dump())
    tried: list[str] = []

    async def count_cats(db: mongo.Database) -> None:
        await db.cats.update_one({"_id": 1}, {"$set": {"count": 0}}, upsert=True)
        tried.append("interrupted" if not tried else "done")
        if len(tried) == 1:
            raise pymongo.errors.AutoReconnect

    monkeypatch.setattr(mongo, "MIGRATIONS", (*mongo.MIGRATIONS, ("Count the cats", count_cats)))
    with pytest.raises(NotOurs, match="keystead backend migrate"):
        await MongoBackend.open(backend_url)
    with pytest.raises(Unavailable):
        await MongoBackend.migrate(backend_url)
    assert await MongoBackend.migrate(backend_url) == ["Count the cats"]
    assert await MongoBackend.migrate(backend_url) == []
    assert tried == ["interrupted", "done"]
    migrated = await MongoBackend.open(backend_url)
    assert await all_of(migrated.dump()) == before
    await migrated.close()


async def test_many_may_make_the_database_at_once(backend_url: str) -> None:
    opened = await asyncio.gather(*(MongoBackend.open(backend_url) for _ in range(6)))
    for backend in opened:
        await backend.close()
    assert len(opened) == 6


async def test_an_index_that_was_dropped_is_there_again_after_opening(backend_url: str, backend: MongoBackend) -> None:
    async with AsyncMongoClient[dict[str, object]](backend_url) as client:
        accounts = client.get_default_database().accounts
        await accounts.drop_indexes()
        await (await MongoBackend.open(backend_url)).close()
        assert {"folded_1", "created_at_1__id_1"} <= set(await accounts.index_information())


async def test_the_broom_waits_longer_than_clocks_differ(backend_url: str, backend: MongoBackend) -> None:
    async with AsyncMongoClient[dict[str, object]](backend_url) as client:
        db = client.get_default_database()
        for name in ("codes", "sessions", "spent", "attempts"):
            brooms = [index["expireAfterSeconds"] for index in (await db[name].index_information()).values() if len(index) > 2]
            assert brooms == [3600]
        for name in ("accounts", "keys", "recovery_codes", "events"):
            assert not any("expireAfterSeconds" in index for index in (await db[name].index_information()).values())


async def test_the_drivers_own_retry_is_not_somebody_else(backend: MongoBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that was killed may have done what the driver, which saw no answer, asks again."""
    with monkeypatch.context() as patch:
        same = ObjectId()
        patch.setattr(mongo, "ObjectId", lambda: same)
        await backend.add_key(key())
        await backend.add_key(key())
        assert await backend.spend_once("a", NOW + MINUTE)
        assert await backend.spend_once("a", NOW + MINUTE)
    with pytest.raises(KeyTaken):
        await backend.add_key(key())
    assert not await backend.spend_once("a", NOW + MINUTE)


# loads that did not end


async def test_a_database_with_half_a_load_is_not_ready(backend: MongoBackend) -> None:
    await backend.begin_load()
    await backend.load_page([account("half")])
    with pytest.raises(Unavailable, match="load them again"):
        await backend.ready()
    assert await backend.load(given([account("whole")])) == 1
    await backend.ready()
    assert [found.id for found in await all_of(backend.accounts())] == ["whole"]


async def test_of_two_loads_at_once_the_first_fails(backend: MongoBackend) -> None:
    async def records() -> AsyncIterator[Record]:
        yield account("first")
        await backend.load(given([account("second")]))

    with pytest.raises(Unavailable, match="Somebody else"):
        await backend.load(records())


# outages


async def test_what_was_acknowledged_survives_kill_9_of_the_server(own_server: MongoServer) -> None:
    backend = await MongoBackend.open(own_server.url("timeoutMS=2000&serverSelectionTimeoutMS=2000"))
    bound: set[bytes] = set()
    unbound: set[bytes] = set()
    over = asyncio.Event()

    async def person(number: int) -> None:
        turn = 0
        while not over.is_set():
            id = f"{number} {turn}".encode()
            turn += 1
            try:
                await backend.add_key(key(id))
                bound.add(id)
                await backend.add_event(f"{number}", sealed(id.decode(), f"{number}"))
                if turn % 2:
                    # False, when the server was killed between the removal and its answer: gone it is, either way.
                    await backend.remove_key("alice", id)
                    unbound.add(id)
            except Unavailable:
                bound.discard(id) if turn % 2 else None  # its removal may have been done

    people = [asyncio.create_task(person(number)) for number in range(8)]
    for _ in range(3):
        await asyncio.sleep(0.5)
        own_server.kill()
        await asyncio.sleep(0.1)
        await asyncio.to_thread(own_server.start)
        await asyncio.sleep(0.5)
    over.set()
    await asyncio.gather(*people)
    there = {each.id for each in await backend.keys_of("alice")}
    assert len(bound) > 50
    assert bound - unbound <= there
    assert not unbound & there
    for number in range(8):
        events = await backend.events_of(str(number), 10_000)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert [event.mac for event in events] == [str(seq).encode() for seq in range(len(events))]
    await backend.close()


async def test_an_outage_is_unavailable_soon_and_the_same_backend_recovers(own_server: MongoServer) -> None:
    backend = await MongoBackend.open(own_server.url("timeoutMS=800"))
    await backend.add_account(account())
    own_server.kill()
    began = time.monotonic()
    questions = [backend.ready(), backend.account("alice"), backend.add_key(key()), all_of(backend.accounts())]
    answers = await asyncio.gather(*questions, return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable] * 4
    assert time.monotonic() - began < 10
    await asyncio.to_thread(own_server.start)
    end = time.monotonic() + 15
    while time.monotonic() < end:
        try:
            await backend.ready()
            break
        except Unavailable:
            continue
    assert await backend.account("alice") == account()
    await backend.add_key(key())
    await backend.close()


class Line:
    """A way to the server. Nothing moves on it, neither an answer nor an end, while `moves` is not set.

    `drops`: the next command of this name does not get through; its connection is gone.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.drops = ""
        self.moves = asyncio.Event()
        self.moves.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Line":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        self._tasks |= {asyncio.create_task(self._move(reader, back)), asyncio.create_task(self._move(there, writer))}

    async def _move(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await self.moves.wait()
                if self.drops and b"\2" + self.drops.encode() + b"\0" in data:  # a field of text, in BSON
                    self.drops = ""
                    return
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()


async def test_a_server_that_stalls_is_a_time_out_and_no_hang(own_server: MongoServer) -> None:
    async with Line(own_server.port) as line:
        backend = await MongoBackend.open(
            mongo_server.database(f"mongodb://127.0.0.1:{line.port}/", "directConnection=true&timeoutMS=600")
        )
        await backend.add_account(account())
        line.moves.clear()
        for question in (backend.account("alice"), backend.add_key(key()), backend.ready()):
            began = time.monotonic()
            with pytest.raises(Unavailable):
                await question
            assert time.monotonic() - began < 10
        line.moves.set()
        end = time.monotonic() + 15
        found = None
        while found is None and time.monotonic() < end:
            try:
                found = await backend.account("alice")
            except Unavailable:
                continue
        assert found == account()
        await backend.close()


QUESTIONS: list[tuple[str, Callable[[MongoBackend], Awaitable[object]], object]] = [
    ("find", lambda backend: backend.account("alice"), account()),
    ("insert", lambda backend: backend.spend_once("a", NOW + MINUTE), True),
    ("update", lambda backend: backend.record_account(account(), account(email="new@example.com")), True),
    ("findAndModify", lambda backend: backend.spend_try("alice", "bind", NOW), code(tries_left=4)),
    ("delete", lambda backend: backend.remove_session("alice", "a"), True),
    ("delete", lambda backend: backend.remove_sessions_of("alice", keep="b"), 1),
    ("delete", lambda backend: backend.sweep(NOW + 10 * MINUTE), 3),
]
"""A command, what asks it of the server, and the answer. The last two are none that the driver asks again by itself."""


@pytest.mark.parametrize(("command", "ask", "answer"), QUESTIONS)
async def test_a_connection_that_is_gone_is_not_noticed(
    server_address: str, backend_url: str, command: str, ask: Callable[[MongoBackend], Awaitable[object]], answer: object
) -> None:
    async with Line(urlsplit(server_address).port or 0) as line:
        way = backend_url.replace(server_address, f"mongodb://127.0.0.1:{line.port}/")
        backend = await MongoBackend.open(f"{way}?directConnection=true")
        await backend.add_account(account())
        await backend.put_code(code())
        for id in ("a", "b"):
            await backend.put_session(session(id))
        line.drops = command
        assert await ask(backend) == answer
        assert line.drops == ""
        await backend.close()


async def test_what_took_too_long_is_not_asked_again(own_server: MongoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    delete_many = AsyncCollection.delete_many

    def counted(collection: mongo.Collection, there: mongo.Document) -> Awaitable[object]:
        asked.append(there)
        return delete_many(collection, there)

    monkeypatch.setattr(AsyncCollection, "delete_many", counted)
    async with Line(own_server.port) as line:
        backend = await MongoBackend.open(f"mongodb://127.0.0.1:{line.port}/?directConnection=true&timeoutMS=600")
        line.moves.clear()
        with pytest.raises(Unavailable):
            await backend.remove_sessions_of("alice")
        assert len(asked) == 1
        line.moves.set()
        await backend.close()

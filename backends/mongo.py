"""Records in MongoDB, for any number of machines.

Each racing question is one operation on one document, which the server makes atomic on a stand-alone server, a replica set
and a sharded cluster alike: no transactions. Every write waits until a majority has it in its journal. The address may
hold a password, so that neither it nor anything made of it may reach an error or a log.
"""

import asyncio
import functools
import random
from collections import defaultdict
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, ParamSpec, Self, TypeVar
from urllib.parse import parse_qsl, urlsplit

import pymongo
from bson import ObjectId
from bson.codec_options import CodecOptions
from pymongo import ASCENDING, DESCENDING, AsyncMongoClient, IndexModel, ReadPreference, ReturnDocument, UpdateOne, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.cursor import AsyncCursor
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import AutoReconnect, ConfigurationError, DuplicateKeyError, InvalidURI, OperationFailure, PyMongoError

from backends.kinds import ACCOUNTS, CODES, EVENTS, KEYS, KINDS, RECOVERY_CODES, SESSIONS, Codec, Form, Kind, R, kind_of
from backends.protocol import AlreadySpent, CounterBehind, KeyTaken, NotEmpty, NotOurs, Seal, Unavailable, UsernameTaken, fold
from backends.records import Account, Attempts, Bearer, Event, Record, RecoveryCode, SecurityKey, Session, Use, VerificationCode

T = TypeVar("T")
P = ParamSpec("P")
Document = dict[str, Any]
Collection = AsyncCollection[Document]
Database = AsyncDatabase[Document]

PAGE = 1000
TRIES = 300
"""How often somebody else may be first with an account's next event, or with a bucket's window, before we give up."""
BROOM = timedelta(hours=1)
"""How long after its end a TTL index deletes something: a server whose clock is ahead must not delete what still lives."""

LIMITS: Mapping[str, Any] = {"timeoutms": 5000, "serverselectiontimeoutms": 5000, "connecttimeoutms": 5000}
"""Unless the address says otherwise: `timeoutMS` bounds a whole question, waiting for a server and a retry included."""
LOADING = timedelta(minutes=1)

CODEC = Codec(to={Form.TEXTS: list}, back={Form.TEXTS: tuple})

INDEXES: dict[str, list[IndexModel]] = {
    "accounts": [IndexModel("folded", unique=True), IndexModel([("created_at", ASCENDING), ("_id", ASCENDING)])],
    "keys": [IndexModel([("account_id", ASCENDING), ("bound_at", ASCENDING), ("_id", ASCENDING)]), IndexModel("rp_id")],
    "events": [IndexModel([("account_id", ASCENDING), ("seq", ASCENDING)], unique=True)],
    "sessions": [
        IndexModel([("account_id", ASCENDING), ("begun_at", ASCENDING), ("_id", ASCENDING)]),
        IndexModel("token_hash"),
        IndexModel("expires_at", expireAfterSeconds=int(BROOM.total_seconds())),
    ],
    "codes": [IndexModel("expires_at", expireAfterSeconds=int(BROOM.total_seconds()))],
    "spent": [IndexModel("expires_at", expireAfterSeconds=int(BROOM.total_seconds()))],
    "attempts": [IndexModel("resets_at", expireAfterSeconds=int(BROOM.total_seconds()))],
}

ORDERS: dict[str, tuple[str, ...]] = {
    "accounts": ("created_at", "_id"),
    "keys": ("account_id", "bound_at", "_id"),
    "recovery_codes": ("_id",),
    "events": ("account_id", "seq"),
    "sessions": ("account_id", "begun_at", "_id"),
    "codes": ("_id",),
    "spent": ("_id",),
}
"""In which order a collection is read as a whole; each is one of its indexes."""


async def _make_indexes(db: Database) -> None:
    with pymongo.timeout(LOADING.total_seconds()):  # a new one over many records takes its time
        for name, indexes in INDEXES.items():
            await db[name].create_indexes(indexes)


MIGRATIONS: tuple[tuple[str, Callable[[Database], Awaitable[None]]], ...] = (
    ("Make the indexes", _make_indexes),
    ("Find keys by their domain", _make_indexes),
)
"""What each schema adds to the one before it. A step may be run again after it was interrupted. Never edited once released."""


def _asked(question: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """The driver's errors as ours. The text names the kind of error only: what it says could hold the address."""

    @functools.wraps(question)
    async def ask(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await question(*args, **kwargs)
        except DuplicateKeyError:
            raise
        except PyMongoError as error:
            raise Unavailable(f"MongoDB does not answer now ({type(error).__name__}).") from error

    return ask


class MongoBackend:
    """Records in one MongoDB database. Make it with `open`."""

    def __init__(self, client: AsyncMongoClient[Document], db: Database) -> None:
        self._client = client
        self._db = db

    @classmethod
    async def open(cls, url: str) -> Self:
        """The backend in the database that `mongodb://…/name` or `mongodb+srv://…/name` names (`keystead` if it names none).

        NotOurs if it holds another program's collections of our names, or another schema than this version's, or refuses
        our password; Unavailable if there is no answer now.
        """
        backend = cls._connect(url)
        try:
            await backend._prepare(migrate=False)
        except BaseException:
            await backend.close()
            raise
        return backend

    @classmethod
    async def migrate(cls, url: str) -> list[str]:
        """Bring the database to this version's schema; the names of the steps that were missing."""
        backend = cls._connect(url)
        try:
            return await backend._prepare(migrate=True)
        finally:
            await backend.close()

    @classmethod
    def _connect(cls, url: str) -> Self:
        given = {name.lower() for name, _ in parse_qsl(urlsplit(url).query)}
        limits = {name: value for name, value in LIMITS.items() if name not in given}
        try:
            client: AsyncMongoClient[Document] = AsyncMongoClient(url, appname="keystead", **limits)
            database = client.get_default_database("keystead")
        except (InvalidURI, ConfigurationError, ValueError, TypeError) as error:
            kind = type(error).__name__
            text = f"This is no address of a MongoDB database ({kind}). A username or password in it must be percent-encoded."
            raise NotOurs(text) from None
        # Said here, where no option of the address can weaken it.
        db: Database = database.with_options(
            codec_options=CodecOptions(tz_aware=True),
            read_preference=ReadPreference.PRIMARY,
            write_concern=WriteConcern("majority", j=True),
        )
        return cls(client, db)

    @property
    def promises(self) -> dict[str, object]:
        """What this connection asks of the server, whatever its address said."""
        mode, codec = self._db.read_preference.mongos_mode, self._db.codec_options
        return self._db.write_concern.document | {"mode": mode, "tz_aware": codec.tz_aware}

    async def close(self) -> None:
        await self._client.close()

    # accounts

    @_asked
    async def add_account(self, account: Account) -> None:
        if not await self._insert("accounts", _document(account)):
            raise UsernameTaken(account.username)

    @_asked
    async def account(self, account_id: str) -> Account | None:
        return _record(ACCOUNTS, await self._db.accounts.find_one({"_id": account_id}))

    @_asked
    async def account_named(self, username: str) -> Account | None:
        return _record(ACCOUNTS, await self._db.accounts.find_one({"folded": fold(username)}))

    async def accounts(self) -> AsyncIterator[Account]:
        async for document in self._documents("accounts"):
            yield CODEC.record(ACCOUNTS, _values(ACCOUNTS, document))

    @_asked
    async def record_account(self, was: Account, now: Account) -> bool:
        return await self._did_update("accounts", _document(was), _document(now))

    # verification codes

    @_asked
    async def put_code(self, code: VerificationCode) -> None:
        await self._put("codes", _document(code))

    @_asked
    async def code(self, account_id: str, purpose: str, now: datetime) -> VerificationCode | None:
        found = await self._db.codes.find_one({"_id": _code_id(account_id, purpose), "expires_at": {"$gt": now}})
        return _record(CODES, found)

    @_asked
    async def spend_try(self, account_id: str, purpose: str, now: datetime) -> VerificationCode | None:
        spent = await self._db.codes.find_one_and_update(
            {"_id": _code_id(account_id, purpose), "expires_at": {"$gt": now}, "tries_left": {"$gt": 0}},
            {"$inc": {"tries_left": -1}},
            return_document=ReturnDocument.AFTER,
        )
        return _record(CODES, spent)

    @_asked
    async def take_code(self, account_id: str, purpose: str, digest: bytes) -> bool:
        return await self._did_delete("codes", {"_id": _code_id(account_id, purpose), "digest": digest})

    @_asked
    async def record_sent(self, account_id: str, purpose: str, digest: bytes, at: datetime) -> bool:
        there = {"_id": _code_id(account_id, purpose), "digest": digest, "expires_at": {"$gt": at}}
        return await self._did_update("codes", there, {"sent_at": at})

    # security keys

    @_asked
    async def add_key(self, key: SecurityKey) -> None:
        if not await self._insert("keys", _document(key)):
            raise KeyTaken

    @_asked
    async def keys_of(self, account_id: str) -> list[SecurityKey]:
        found = await self._db["keys"].find({"account_id": account_id}).to_list()
        keys = [CODEC.record(KEYS, _values(KEYS, document)) for document in found]
        return sorted(keys, key=lambda key: (key.bound_at, key.id))  # MongoDB would sort the shorter of two ids first

    @_asked
    async def record_use(self, use: Use) -> None:
        if not await self._insert("spent", {"_id": use.ceremony.id, "expires_at": use.ceremony.expires_at}):
            raise AlreadySpent
        asked: Document = {"_id": use.key_id, "sign_count": {"$lt": use.sign_count} if use.sign_count else 0}
        if not await self._did_update("keys", asked, {"sign_count": use.sign_count, "used_at": use.at}):
            raise CounterBehind

    @_asked
    async def rp_ids(self) -> list[str]:
        return sorted(await self._db["keys"].distinct("rp_id"))

    @_asked
    async def rename_key(self, account_id: str, key_id: bytes, name: str) -> bool:
        return await self._did_update("keys", {"_id": key_id, "account_id": account_id}, {"name": name})

    @_asked
    async def remove_key(self, account_id: str, key_id: bytes) -> bool:
        return await self._did_delete("keys", {"_id": key_id, "account_id": account_id})

    # sessions

    @_asked
    async def put_session(self, session: Session) -> None:
        await self._put("sessions", _document(session))

    @_asked
    async def session(self, token_hash: bytes, now: datetime) -> Session | None:
        return _record(SESSIONS, await self._db.sessions.find_one({"token_hash": token_hash, "expires_at": {"$gt": now}}))

    async def bearer(self, token_hash: bytes, now: datetime) -> Bearer | None:
        session = await self.session(token_hash, now)
        account = await self.account(session.account_id) if session else None
        if session is None or account is None:
            return None
        return Bearer(session=session, account=account, keys=await self.keys_of(account.id))

    @_asked
    async def sessions_of(self, account_id: str, now: datetime) -> list[Session]:
        found = self._db.sessions.find({"account_id": account_id, "expires_at": {"$gt": now}})
        documents = await found.sort([("begun_at", ASCENDING), ("_id", ASCENDING)]).to_list()
        return [CODEC.record(SESSIONS, _values(SESSIONS, document)) for document in documents]

    @_asked
    async def record_session(self, token_hash: bytes, session: Session) -> bool:
        return await self._did_update("sessions", {"_id": session.id, "token_hash": token_hash}, _document(session))

    async def record_logon(self, token_hash: bytes, session: Session, seal: Seal, use: Use | None = None) -> Event | None:
        if use:
            await self.record_use(use)
        if not await self.record_session(token_hash, session):
            return None
        return await self.add_event(session.account_id, seal)

    @_asked
    async def record_seen(self, token_hash: bytes, at: datetime, expires_at: datetime) -> bool:
        # By _id, because a sharded cluster updates one document by its shard key only (before MongoDB 7.1).
        there = await self._db.sessions.find_one({"token_hash": token_hash}, {"_id": 1})
        if there is None:
            return False
        live = {"_id": there["_id"], "token_hash": token_hash, "expires_at": {"$gt": at}}
        return await self._did_update("sessions", live, {"seen_at": at, "expires_at": expires_at})

    @_asked
    async def remove_session(self, account_id: str, session_id: str) -> bool:
        return await self._did_delete("sessions", {"_id": session_id, "account_id": account_id})

    @_asked
    async def remove_sessions_of(self, account_id: str, keep: str | None = None) -> int:
        return await self._delete_all("sessions", {"account_id": account_id, "_id": {"$ne": keep}})

    # what works once

    @_asked
    async def spend_once(self, id: str, expires_at: datetime) -> bool:
        return await self._insert("spent", {"_id": id, "expires_at": expires_at})

    # recovery codes: an account's set is one document, so that it is replaced in one step

    @_asked
    async def put_recovery_codes(self, account_id: str, digests: list[bytes], at: datetime) -> None:
        codes = [{"digest": digest, "made_at": at, "spent_at": None} for digest in digests]
        await self._put("recovery_codes", {"_id": account_id, "codes": codes})

    @_asked
    async def recovery_codes_of(self, account_id: str) -> list[RecoveryCode]:
        found = await self._db.recovery_codes.find_one({"_id": account_id})
        return [] if found is None else list(_recovery_codes(found))

    @_asked
    async def spend_recovery_code(self, account_id: str, digest: bytes, at: datetime) -> bool:
        unspent = {"_id": account_id, "codes": {"$elemMatch": {"digest": digest, "spent_at": None}}}
        return await self._did_update("recovery_codes", unspent, {"codes.$.spent_at": at})

    # attempts

    @_asked
    async def count_attempt(self, bucket: str, now: datetime, window: timedelta, cost: int = 1) -> Attempts:
        for _ in range(TRIES):
            counted = await self._count(bucket, now, cost)
            if counted is not None:
                return Attempts(count=counted["count"], resets_at=counted["resets_at"])
            if cost <= 0:
                return Attempts(count=0, resets_at=now)
            await self._begin_window(bucket, now, window)
        raise Unavailable("Too many others are counting.")

    async def _count(self, bucket: str, now: datetime, cost: int) -> Document | None:
        """The bucket's window after counting; None if there is none now."""
        window: Document = {"_id": bucket, "resets_at": {"$gt": now}}
        if cost == 0:
            return await self._db.attempts.find_one(window)
        change = [{"$set": {"count": {"$max": [0, {"$add": ["$count", cost]}]}}}]
        return await self._db.attempts.find_one_and_update(window, change, return_document=ReturnDocument.AFTER)

    async def _begin_window(self, bucket: str, now: datetime, window: timedelta) -> None:
        ended = {"_id": bucket, "resets_at": {"$lte": now}}
        try:
            await self._db.attempts.update_one(ended, {"$set": {"count": 0, "resets_at": now + window}}, upsert=True)
        except DuplicateKeyError:
            return  # somebody else has just begun it

    @_asked
    async def forget_attempts(self, bucket: str) -> None:
        await self._db.attempts.delete_one({"_id": bucket})

    # events

    @_asked
    async def add_event(self, account_id: str, seal: Seal) -> Event:
        for tried in range(TRIES):
            last = await self._db.events.find_one({"account_id": account_id}, sort=[("seq", DESCENDING)])
            event = seal(_record(EVENTS, last))
            if await self._insert("events", {"_id": ObjectId()} | _document(event)):
                return event
            await asyncio.sleep(random.uniform(0, 0.002 * min(tried, 25)))  # noqa: S311  (so as not to meet again)
        raise Unavailable("Too many others are adding events.")

    @_asked
    async def events_of(self, account_id: str, limit: int, before: int | None = None) -> list[Event]:
        asked: Document = {"account_id": account_id} | ({} if before is None else {"seq": {"$lt": before}})
        newest_first = await self._db.events.find(asked).sort("seq", DESCENDING).limit(limit).to_list()
        return [CODEC.record(EVENTS, _values(EVENTS, document)) for document in newest_first[::-1]]

    # the whole

    @_asked
    async def ready(self) -> None:
        if "load" in await self._notes():
            raise Unavailable("Records were being loaded, and not all of them are there: load them again.")

    @_asked
    async def engine_time(self) -> datetime | None:
        answer: Document = await self._db.command("hello", codec_options=CodecOptions(tz_aware=True))
        found = answer.get("localTime")
        return found if isinstance(found, datetime) else None

    @_asked
    async def sweep(self, now: datetime) -> int:
        ends = {"codes": "expires_at", "sessions": "expires_at", "spent": "expires_at", "attempts": "resets_at"}
        return sum([await self._delete_all(name, {end: {"$lte": now}}) for name, end in ends.items()])

    async def dump(self) -> AsyncIterator[Record]:
        for kind in KINDS:
            async for document in self._documents(kind.name):
                if kind is RECOVERY_CODES:
                    for code in _recovery_codes(document):
                        yield code
                else:
                    yield CODEC.record(kind, _values(kind, document))

    async def load(self, records: AsyncIterable[Record]) -> int:
        mark = await self.begin_load()
        loaded = 0
        page: list[Record] = []
        async for record in records:
            page.append(record)
            if len(page) >= PAGE:
                loaded += await self.load_page(page)
                page = []
        loaded += await self.load_page(page)
        await self.finish_load(mark)
        return loaded

    @_asked
    async def begin_load(self) -> ObjectId:
        """Mark the database as incomplete, and clear away what an interrupted load left."""
        left = await self._db.keystead.find_one({"_id": "load"})
        if left is None and await self._holds([kind.name for kind in KINDS]):
            raise NotEmpty("The database holds records already.")
        mark = ObjectId()
        await self._put("keystead", {"_id": "load", "mark": mark})
        with pymongo.timeout(LOADING.total_seconds()):
            for kind in KINDS:
                await self._db[kind.name].delete_many({})
        return mark

    @_asked
    async def load_page(self, page: list[Record]) -> int:
        with pymongo.timeout(LOADING.total_seconds()):
            for name, documents in _by_collection(page).items():
                if name == RECOVERY_CODES.name:
                    await self._db[name].bulk_write(_pushes(documents), ordered=False)
                else:
                    await self._db[name].insert_many(documents, ordered=False)
        return len(page)

    @_asked
    async def finish_load(self, mark: ObjectId) -> None:
        if not await self._did_delete("keystead", {"_id": "load", "mark": mark}):
            raise Unavailable("Somebody else began to load records into this database.")

    # asking

    @_asked
    async def _notes(self) -> set[str]:
        """What the database has put down about itself: its `schema`, and that a `load` has begun and not ended."""
        return {document["_id"] async for document in self._db.keystead.find({})}

    async def _insert(self, name: str, document: Document) -> bool:
        """False if its identity exists. A retry by the driver that meets its own first try is not somebody else."""
        mark = ObjectId()
        try:
            await self._db[name].insert_one(document | {"mark": mark})
        except DuplicateKeyError:
            return await self._db[name].find_one({"_id": document["_id"], "mark": mark}, {"_id": 1}) is not None
        return True

    async def _put(self, name: str, document: Document) -> None:
        for _ in range(TRIES):
            try:
                await self._db[name].replace_one({"_id": document["_id"]}, document, upsert=True)
            except DuplicateKeyError:  # two first ones at once: now there is one to replace
                continue
            return
        raise Unavailable("Too many others are writing the same.")

    async def _did_update(self, name: str, there: Document, new: Document) -> bool:
        """Compare and set. Setting what was there already counts: it was there."""
        changes = {field: value for field, value in new.items() if field != "_id"}
        updated = await self._db[name].update_one(there, {"$set": changes})
        return updated.matched_count == 1

    async def _did_delete(self, name: str, there: Document) -> bool:
        deleted = await self._db[name].delete_one(there)
        return deleted.deleted_count == 1

    async def _delete_all(self, name: str, there: Document) -> int:
        """How many there were. The driver asks a second time by itself only for what changes one document.

        If only the answer was lost, the second count misses what the first try deleted.
        """
        try:
            deleted = await self._db[name].delete_many(there)
        except AutoReconnect as error:
            if error.timeout:
                raise
            deleted = await self._db[name].delete_many(there)
        return deleted.deleted_count

    async def _holds(self, names: Iterable[str]) -> bool:
        return any([await self._db[name].find_one({}, {"_id": 1}) is not None for name in names])

    async def _documents(self, name: str) -> AsyncIterator[Document]:
        """A whole collection in its order, page by page."""
        await self._notes()  # within one question's time: a page, which is allowed more, must not wait for a server
        cursor = self._db[name].find({}).sort([(field, ASCENDING) for field in ORDERS[name]]).batch_size(PAGE)
        try:
            while page := await self._page(cursor):
                for document in page:
                    yield document
        finally:
            await cursor.close()

    @_asked
    async def _page(self, cursor: AsyncCursor[Document]) -> list[Document]:
        # The first page's time is also what the server grants the cursor for all its work, its pauses not counted.
        with pymongo.timeout(LOADING.total_seconds()):
            return await cursor.to_list(PAGE)

    # the schema

    @_asked
    async def _prepare(self, migrate: bool) -> list[str]:
        """See to it that the database is ours and of this schema; the names of the steps that this took."""
        try:
            found = await self._db.keystead.find_one({"_id": "schema"})
        except OperationFailure as error:
            if error.code not in (13, 18):  # Unauthorized, AuthenticationFailed
                raise
            raise NotOurs("MongoDB refuses the username or the password in the address, or gives it no rights here.") from None
        if found is None and await self._holds(ORDERS):
            raise NotOurs(f"The database {self._db.name} holds another program's collections of the names that Keystead uses.")
        schema = 0 if found is None else int(found["version"])
        _check_schema(schema, migrate)
        steps = MIGRATIONS[schema:]
        for number, (_, step) in enumerate(steps, start=schema + 1):
            await step(self._db)
            await self._put("keystead", {"_id": "schema", "version": number})
        if not steps:
            await _make_indexes(self._db)  # somebody may have dropped one: uniqueness hangs on them
        return [name for name, _ in steps]


def _check_schema(schema: int, migrate: bool) -> None:
    known = len(MIGRATIONS)
    if schema > known:
        raise NotOurs(f"The database was made by a newer Keystead (schema {schema}; this one knows {known}): install that one.")
    if 0 < schema < known and not migrate:
        raise NotOurs(f"The database is of an older Keystead (schema {schema} of {known}). Run: keystead backend migrate")


# documents: a record's fields by their names, except that its identity is `_id`


def _document(record: Record) -> Document:
    document = CODEC.values(record)
    if isinstance(record, VerificationCode):
        document["_id"] = _code_id(record.account_id, record.purpose)
    if isinstance(record, Account):
        document["folded"] = fold(record.username)
    if "id" in document:
        document["_id"] = document.pop("id")
    return document


def _code_id(account_id: str, purpose: str) -> Document:
    return {"account_id": account_id, "purpose": purpose}


def _values(kind: Kind[Any], document: Document) -> list[Any]:
    return [document["_id" if field == "id" else field] for field in kind.fields]


def _record(kind: Kind[R], document: Document | None) -> R | None:
    return None if document is None else CODEC.record(kind, _values(kind, document))


def _recovery_codes(document: Document) -> Iterable[RecoveryCode]:
    for code in document["codes"]:
        yield CODEC.record(RECOVERY_CODES, _values(RECOVERY_CODES, code | {"account_id": document["_id"]}))


def _by_collection(page: list[Record]) -> dict[str, list[Document]]:
    found: dict[str, list[Document]] = defaultdict(list)
    for record in page:
        found[kind_of(record).name].append(_document(record))
    return found


def _pushes(codes: list[Document]) -> list[UpdateOne]:
    """Recovery codes as additions to their accounts' sets."""
    sets: dict[str, list[Document]] = defaultdict(list)
    for code in codes:
        sets[code.pop("account_id")].append(code)
    return [UpdateOne({"_id": id}, {"$push": {"codes": {"$each": each}}}, upsert=True) for id, each in sets.items()]

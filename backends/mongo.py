"""Records in MongoDB, for any number of machines.

An account is one document, and a commit replaces it by compare-and-set, which the server makes atomic on a stand-alone server,
a replica set and a sharded cluster alike: no transactions. Every write waits until a majority has it in its journal. What is
committed with the document but stands elsewhere, claims before it and events after it, must never be lost or doubled by a
process that is killed in between: `mongo_claims` says how the first is kept, `_did_store` the second.
"""

import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Self

import msgspec
import pymongo
from bson import ObjectId
from bson.codec_options import CodecOptions
from pymongo import ASCENDING, DESCENDING, ReturnDocument
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError

from backends import mongo_connection, mongo_documents, mongo_schema, mongo_transfer
from backends.mongo_claims import Claims, Patience
from backends.mongo_connection import DUPLICATE, LOADING, TRIES, Client, Database, delete_all, or_unavailable
from backends.mongo_documents import BESIDE, IS_PLACE, LOADED, NO_NAME, Document, Stored, claims, holder, is_account
from backends.protocol import (
    MAX_NAME,
    KeyTaken,
    OnDamaged,
    Unavailable,
    UsernameTaken,
    credentials,
    fold,
    readable,
    refuse,
)  # fmt: skip
from backends.records import Account, Attempts, Event, Record

PAGE = 100
"""How many accounts are read at once, for somebody who may look at the first of them only."""
REMEMBERED = 2000


class MongoBackend:
    """Records in one MongoDB database. Make it with `open`."""

    def __init__(self, client: Client, db: Database) -> None:
        self._client = client
        self._db = db
        self._claims = Claims(db)
        self._remembered: dict[tuple[str, int], Stored] = {}
        """By id and version, what stood beside the accounts that were read or committed here last."""

    @classmethod
    async def open(cls, url: str) -> Self:
        """The backend in the database that `mongodb://…/name` or `mongodb+srv://…/name` names (`keystead` if it names none).

        IncompatibleStore if `migrate` has not made it, if it holds another program's collections of our names, or another schema
        than this version's, or refuses our password; Unavailable if there is no answer now.
        """
        backend = cls(*mongo_connection.connect(url))
        try:
            await backend._prepare(migrate=False)
        except BaseException:
            await backend.close()
            raise
        return backend

    @classmethod
    async def migrate(cls, url: str) -> list[str]:
        """Bring the database to this version's schema; the names of the steps that were missing."""
        backend = cls(*mongo_connection.connect(url))
        try:
            return await backend._prepare(migrate=True)
        finally:
            await backend.close()

    @or_unavailable
    async def _prepare(self, *, migrate: bool) -> list[str]:
        return await mongo_schema.prepare(self._db, migrate=migrate)

    @property
    def promises(self) -> dict[str, object]:
        """What this connection asks of the server, whatever its address said."""
        reads = {"mode": self._db.read_preference.mongos_mode, "read": self._db.read_concern.level}
        return self._db.write_concern.document | reads | {"tz_aware": self._db.codec_options.tz_aware}

    async def close(self) -> None:
        await self._client.close()

    # accounts

    @or_unavailable
    async def account(self, account_id: str) -> Account | None:
        found = self._records(await self._db.accounts.find({"_id": account_id}).to_list())
        return found[0] if found else None

    @or_unavailable
    async def account_named(self, name: str) -> Account | None:
        if len(name) > MAX_NAME:
            return None
        by_name, by_address = mongo_documents.name_claim(fold(name)), mongo_documents.address_claim(fold(name))
        holders = await self._claims.holders([by_name, by_address])
        if by_name in holders and (found := await self._listing(by_name, holders[by_name])):
            return found[0]
        found = await self._listing(by_address, holders.get(by_address, []))  # also of nobody, so that a name costs the same
        return found[0] if len(found) == 1 else None

    async def _listing(self, claim: str, ids: list[str]) -> list[Account]:
        """Two at most of these accounts that list the claim: one that does not has lost it, or is about to have it.

        One whose claims are damaged may have listed it.
        """
        lists = {"$or": [{"claims": claim}, {"claims": NO_NAME, "$nor": [IS_PLACE]}]}
        return self._records(await self._db.accounts.find({"_id": {"$in": ids}, **lists}).limit(2).to_list())

    async def accounts(self, after: str = "", *, damaged: OnDamaged = refuse) -> AsyncIterator[Account]:
        last = fold(after)
        while page := await self._named_after(last):
            for account in readable(page, _whole, damaged):
                yield account
            last = page[-1]["folded"]
        list(readable(await self._nameless(), _whole, damaged))  # each is named as damaged, and none is whole

    @or_unavailable
    async def _named_after(self, folded: str) -> list[Document]:
        names = {"folded": {"$gt": folded}, "folded.0": {"$exists": False}}
        return await self._db.accounts.find(names).sort("folded", ASCENDING).limit(PAGE).to_list()

    @or_unavailable
    async def _nameless(self) -> list[Document]:
        """Some of the damaged accounts that no order of names has."""
        names = [{"folded": {"$not": {"$type": "string"}}}, {"folded.0": {"$exists": True}}]
        return await self._db.accounts.find({"$or": names, "$nor": [IS_PLACE]}).limit(PAGE).to_list()

    @or_unavailable
    async def owing(self, now: datetime, limit: int, *, damaged: OnDamaged = refuse) -> list[Account]:
        found: list[Account] = []
        async with self._db.accounts.find({"due_at": {"$lte": now}}).sort("due_at", ASCENDING).batch_size(limit) as due:
            while len(found) < limit and (page := await due.to_list(limit - len(found))):
                found += readable(page, self._record, damaged)
        return found

    @or_unavailable
    async def size(self) -> int:
        return int(await self._db.accounts.estimated_document_count())

    @or_unavailable
    async def rp_ids(self) -> list[str]:
        return sorted(await self._db.claims.distinct("rp_id", {"rp_id": {"$gte": ""}}))

    def _records(self, documents: Iterable[Document]) -> list[Account]:
        return [self._record(document) for document in documents if is_account(document)]

    def _record(self, document: Document) -> Account:
        account, beside = mongo_documents.whole(document)
        self._remember(account.id, beside)
        return account

    # changing accounts

    @or_unavailable
    async def add(self, account: Account, events: Sequence[Event] = ()) -> None:
        """An empty document keeps its place while it claims: so there is something to fence, as `mongo_claims` explains."""
        _must_differ(account)
        born, mark = ObjectId(), ObjectId()
        document = mongo_documents.account_document(account, born, mark, events)
        try:
            for _ in range(TRIES):
                base = await self._reserved(account.id, born, mark)
                if base is None or await self._did_replace(base, document, claims(account)):
                    return await self._stand(account.id, mongo_documents.stored(document))
        except (UsernameTaken, KeyTaken):
            await self._db.accounts.delete_one({"_id": account.id, "reserved": born})
            raise
        raise Unavailable("Too many others are adding this account.")

    async def _reserved(self, account_id: str, born: ObjectId, mark: ObjectId) -> ObjectId | None:
        """The mark of the empty document that keeps the place for us; None if the account with our `mark` is there already."""
        patience = Patience()
        for _ in range(TRIES):
            base = ObjectId()
            with contextlib.suppress(DuplicateKeyError):
                await self._db.accounts.insert_one({"_id": account_id, "reserved": born, "mark": base})
                return base
            found = await self._beside(account_id)
            if found is None:
                continue
            there = found.get("mark")
            if there == mark:
                return None
            if is_account(found):
                raise UsernameTaken(account_id)
            if found["reserved"] == born and isinstance(there, ObjectId):
                return there
            if "born" in found or not await patience.waited(there):
                await self._take_place(found, born)
        raise Unavailable("Too many others are adding this account.")

    async def _take_place(self, found: Document, born: ObjectId) -> None:
        """Of an account that is being removed, or whose addition does not go on."""
        if "born" in found:
            await delete_all(self._db.events, {"account_id": found["_id"], "born": found["born"]})
        ours = {"$set": {"reserved": born, "mark": ObjectId()}, "$unset": {"born": ""}}
        await self._db.accounts.update_one({"_id": found["_id"], "mark": found.get("mark")}, ours)

    @or_unavailable
    async def commit(self, was: Account, now: Account, events: Sequence[Event] = ()) -> bool:
        _must_differ(now)
        wanted, mark = dict(claims(now).items() - claims(was).items()), ObjectId()
        found = await self._replaced(was, mark, lambda born: mongo_documents.account_document(now, born, mark, events), wanted)
        if found is None:
            return False
        await self._stand(now.id, mongo_documents.stored(found))
        with contextlib.suppress(PyMongoError):  # the commit stands: what is left is not seen, and deleted later
            await self._forget(was, now, found["born"])
        return True

    async def _forget(self, was: Account, now: Account, born: ObjectId) -> None:
        """Delete what the commit gave up."""
        if now.checkpoint != was.checkpoint:
            old: Document = {"account_id": now.id, "born": born, "seq": {"$lte": now.checkpoint.seq}}
            await delete_all(self._db.events, old)
        if given_up := claims(was).keys() - claims(now).keys():
            await self._claims.release(given_up, now.id)

    @or_unavailable
    async def remove(self, account: Account) -> bool:
        mark = ObjectId()
        place: Document = {"_id": account.id, "reserved": mark, "mark": mark}
        found = await self._replaced(account, mark, lambda born: place | {"born": born}, {})
        if found is None:
            return False
        with contextlib.suppress(PyMongoError):  # it is removed: what is left is not seen, and `purge` deletes it
            await self._claims.release(claims(account), account.id)
            await self._finish_removal(found)
        return True

    async def _finish_removal(self, place: Document) -> None:
        if "born" in place:
            await delete_all(self._db.events, {"account_id": place["_id"], "born": place["born"]})
        await self._db.accounts.delete_one({"_id": place["_id"], "mark": place.get("mark")})

    async def _replaced(
        self, was: Account, mark: ObjectId, make: Callable[[ObjectId], Document], wanted: Mapping[str, str | None]
    ) -> Document | None:
        """The document that is made for the account, once it is in the place of the one of `was`; None if that is another's.

        A commit that is under way elsewhere, or whose process was killed, may not have appended its events: they stand before
        they are replaced. So whoever finds a document finds in it all events that do not stand.
        """
        there = self._remembered.pop((was.id, was.version), None)
        for _ in range(TRIES):
            if there is None:
                found = await self._beside(was.id)
                if found is not None and found.get("mark") == mark:  # the driver retried what had been done
                    return make(found["born"])
                there = mongo_documents.stored(found) if found and is_account(found) else None
            if there is None or there.version != was.version:
                return None
            await self._append(there.pending)
            document = make(there.born)
            if await self._did_replace(there.mark, document, wanted):
                return document
            there = None  # changed meanwhile, or only fenced
        raise Unavailable("Too many others are changing this account.")

    async def _did_replace(self, base: ObjectId, document: Document, wanted: Mapping[str, str | None]) -> bool:
        """False if the stored document is not at the mark `base`; UsernameTaken or KeyTaken if another account has a claim."""
        mine = holder(document["_id"], base)
        taken = await self._claims.take(wanted, mine) if wanted else None
        if taken is None:
            replaced = await self._db.accounts.replace_one({"_id": document["_id"], "mark": base}, document)
            if replaced.matched_count:
                return True
        with contextlib.suppress(PyMongoError):  # what is left is void
            await self._claims.give_back(wanted, mine)
        if taken is not None:
            raise mongo_documents.taken(taken)
        return False

    async def _beside(self, account_id: str) -> Document | None:
        return await self._db.accounts.find_one({"_id": account_id}, BESIDE)

    # events

    @or_unavailable
    async def events_of(self, account_id: str, limit: int, before: int | None = None) -> list[Event]:
        found = await self._beside(account_id)
        if limit <= 0 or (found is not None and not is_account(found)):
            return []
        there = mongo_documents.stored(found) if found else None
        if there is not None:
            await self._stand(account_id, self._remember(account_id, there))
        asked = _events_of(account_id, there) if before is None else _events_of(account_id, there, {"$lt": before})
        newest_first = await self._db.events.find(asked).sort("seq", DESCENDING).limit(limit).to_list()
        return [mongo_documents.event(document) for document in newest_first[::-1]]

    async def _stand(self, account_id: str, there: Stored) -> None:
        """See to it that the pending events stand, and remember it."""
        await self._append(there.pending)
        self._remember(account_id, msgspec.structs.replace(there, pending=[]))

    async def _append(self, events: list[Document]) -> None:
        """Insert those that do not stand yet, in their order, so that no reader meets a gap."""
        insertions = [mongo_documents.insertion(event) for event in events]
        for _ in range(TRIES if insertions else 0):
            try:
                await self._db.events.bulk_write(insertions, ordered=True)
            except BulkWriteError as error:
                if any(each["code"] != DUPLICATE for each in error.details["writeErrors"]):
                    raise
                continue  # somebody inserted the same at the same time: now it is there
            return
        if insertions:
            raise Unavailable("Too many others are appending the same.")

    def _remember(self, account_id: str, there: Stored) -> Stored:
        """What is known now: of what was once seen to stand, nothing is pending."""
        known = self._remembered.pop((account_id, there.version), None)
        if known is not None and known.born == there.born and not known.pending:
            there = msgspec.structs.replace(there, pending=[])
        self._remembered[account_id, there.version] = there
        if len(self._remembered) > REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        return there

    # attempts

    @or_unavailable
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
        with contextlib.suppress(DuplicateKeyError):  # somebody else has just begun it
            await self._db.attempts.update_one(ended, {"$set": {"count": 0, "resets_at": now + window}}, upsert=True)

    @or_unavailable
    async def forget_attempts(self, bucket: str) -> None:
        await self._db.attempts.delete_one({"_id": bucket})

    # the whole

    @or_unavailable
    async def ready(self) -> None:
        if "load" in await mongo_schema.notes(self._db):
            raise Unavailable("Records were being loaded, and not all of them are there: load them again.")

    @or_unavailable
    async def engine_time(self) -> datetime | None:
        answer: Document = await self._db.command("hello", codec_options=CodecOptions(tz_aware=True))
        found = answer.get("localTime")
        return found if isinstance(found, datetime) else None

    @or_unavailable
    async def purge(self, now: datetime) -> int:
        ended = await delete_all(self._db.attempts, {"resets_at": {"$not": {"$gt": now}}})  # also what never would
        with pymongo.timeout(LOADING.total_seconds()):
            places = await self._db.accounts.find(IS_PLACE).to_list()
            for place in places:
                await self._finish_removal(place)  # of one that is being added as well: whoever adds it begins anew
            return ended + len(places) + await self._claims.purge()

    def dump(self, *, damaged: OnDamaged = refuse) -> AsyncIterator[Record]:
        return mongo_transfer.dump(self._db, damaged)

    async def load(self, records: AsyncIterable[Record]) -> int:
        return await mongo_transfer.load(self._db, records)


def _must_differ(account: Account) -> None:
    """KeyTaken if two keys have the same id."""
    if len(credentials(account)) < len(account.keys):
        raise KeyTaken


def _whole(document: Document) -> Account:
    """Not remembered: whoever reads all of them changes few."""
    return mongo_documents.whole(document)[0]


def _events_of(account_id: str, there: Stored | None, bounds: Mapping[str, int] = MappingProxyType({})) -> Document:
    """Those of an account's own events that it has not forgotten; of nobody's, if there is no such account."""
    born, forgotten = (there.born, there.checkpoint.seq) if there else (LOADED, 0)
    return {"account_id": account_id, "born": born, "seq": {"$gt": forgotten, **bounds}}

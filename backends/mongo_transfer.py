"""Every record out of a database, and into an empty one.

A dump is not one transaction: each account comes as it was at some time during it, with just the events that it had then. A load
that did not end is marked in the database, which nobody may serve from until another has ended.
"""

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator

import pymongo
from bson import ObjectId
from pymongo import ASCENDING
from pymongo.asynchronous.cursor import AsyncCursor

from backends import mongo_documents, mongo_schema
from backends.mongo_claims import Claims
from backends.mongo_connection import LOADING, TRIES, Database, delete_all, or_unavailable, put
from backends.mongo_documents import IS_PLACE, LOADED, Document, claims, is_account
from backends.protocol import Damaged, NotEmpty, OnDamaged, Unavailable
from backends.records import Account, Event, Record

PAGE = 1000
"""How many documents are read or written at once."""


async def dump(db: Database, damaged: OnDamaged) -> AsyncIterator[Record]:
    await mongo_schema.notes(db)  # within one query's time: a page, which is allowed more, must not wait for a server
    last: str | None = None
    page: list[Document] | None = None
    while page is None or len(page) == PAGE:
        page = await _page(db.accounts.find(_between("_id", last, None)).sort("_id", ASCENDING).limit(PAGE))
        upto = page[-1]["_id"] if len(page) == PAGE else None
        async for document, events in _merged(page, _groups(db, last, upto)):
            for record in await _readable(db, document, events, damaged):
                yield record
        last = upto


async def _merged(
    accounts: list[Document], groups: AsyncIterator[list[Document]]
) -> AsyncIterator[tuple[Document | None, list[Document]]]:
    """These accounts by id, each with its events; and events of nobody where their account would be."""
    waiting = deque(accounts)
    async for events in groups:
        account_id = events[0]["account_id"]
        while waiting and waiting[0]["_id"] < account_id:
            yield waiting.popleft(), []
        yield waiting.popleft() if waiting and waiting[0]["_id"] == account_id else None, events
    for document in waiting:
        yield document, []


async def _groups(db: Database, after: str | None, upto: str | None) -> AsyncIterator[list[Document]]:
    """The events of each of these accounts, by the accounts' ids."""
    cursor = db.events.find(_between("account_id", after, upto)).sort([("account_id", ASCENDING), ("seq", ASCENDING)])
    cursor = cursor.batch_size(PAGE)
    group: list[Document] = []
    try:
        while page := await _page(cursor, PAGE):
            for document in page:
                if group and group[0]["account_id"] != document["account_id"]:
                    yield group
                    group = []
                group.append(document)
    finally:
        await cursor.close()
    if group:
        yield group


@or_unavailable
async def _page(cursor: AsyncCursor[Document], length: int | None = None) -> list[Document]:
    # The first page's time is also what the server grants the cursor for all its work, its pauses not counted.
    with pymongo.timeout(LOADING.total_seconds()):
        return await cursor.to_list(length)


def _between(field: str, after: str | None, upto: str | None) -> Document:
    """Of text: what is none, no order has, and no query asks for."""
    return {field: ({"$gte": ""} if after is None else {"$gt": after}) | ({} if upto is None else {"$lte": upto})}


async def _readable(db: Database, document: Document | None, events: list[Document], damaged: OnDamaged) -> list[Record]:
    try:
        return await _consistent(db, document, events)
    except Damaged as found:
        damaged(found)
        return []


@or_unavailable
async def _consistent(db: Database, document: Document | None, events: list[Document]) -> list[Record]:
    """An account and its events as they were at one time: the account was read before them, and may have changed since."""
    records = _records(document, events)
    for _ in range(TRIES):
        if document is None or _ends_at_head(records):
            break
        again = await db.accounts.find_one({"_id": document["_id"]})
        if again is not None and again.get("mark") == document["mark"]:
            break  # it is as it is
        events = await db.events.find({"account_id": document["_id"]}).to_list()
        document, records = again, _records(again, events) if again else []
    return records


def _records(document: Document | None, events: list[Document]) -> list[Record]:
    """An account and its own events, those included that are pending; without an account, events of nobody."""
    if document is not None and not is_account(document):
        return []
    if document is None:
        return _own(events, LOADED, 0)
    account, there = mongo_documents.whole(document)
    return [account, *_own([*there.pending, *events], there.born, there.checkpoint.seq)]


def _own(events: list[Document], born: ObjectId, forgotten: int) -> list[Record]:
    found = [(mongo_documents.whose(each, each["account_id"]), each) for each in events]
    own = {whose.seq: each for whose, each in found if whose.born == born and whose.seq > forgotten}
    return [mongo_documents.event(own[seq]) for seq in sorted(own)]


def _ends_at_head(records: list[Record]) -> bool:
    match records:
        case [Account(head=head, checkpoint=checkpoint)]:
            return head == checkpoint
        case [Account(head=head), *_, Event(seq=seq)]:
            return seq == head.seq
    return True


# in


async def load(db: Database, records: AsyncIterable[Record]) -> int:
    mark = await begin_load(db)
    loaded = 0
    page: list[Record] = []
    async for record in records:
        page.append(record)
        if len(page) >= PAGE:
            loaded += await load_page(db, page)
            page = []
    loaded += await load_page(db, page)
    await _finish_load(db, mark)
    return loaded


@or_unavailable
async def begin_load(db: Database) -> ObjectId:
    """Mark the database as incomplete, and clear away what an interrupted load left."""
    if "load" not in await mongo_schema.notes(db) and await _holds_records(db):
        raise NotEmpty("The database holds records already.")
    mark = ObjectId()
    await put(db.keystead, {"_id": "load", "mark": mark})
    with pymongo.timeout(LOADING.total_seconds()):
        for name in ("accounts", "claims", "events"):
            await delete_all(db[name], {})
    return mark


async def _holds_records(db: Database) -> bool:
    account = await db.accounts.find_one({"$nor": [IS_PLACE]}, {"_id": 1})
    return account is not None or await mongo_schema.holds(db, ["events"])


@or_unavailable
async def load_page(db: Database, page: list[Record]) -> int:
    accounts = [record for record in page if isinstance(record, Account)]
    events = [mongo_documents.event_document(record, LOADED) for record in page if isinstance(record, Event)]
    with pymongo.timeout(LOADING.total_seconds()):
        await _claim(db, accounts)
        if accounts:
            documents = [mongo_documents.account_document(account, LOADED, ObjectId()) for account in accounts]
            await db.accounts.insert_many(documents, ordered=False)
        if events:
            await db.events.insert_many(events, ordered=False)
    return len(page)


async def _claim(db: Database, accounts: list[Account]) -> None:
    """UsernameTaken or KeyTaken if two accounts want the same, which no dump of ours holds."""
    holders = await Claims(db).holders(await mongo_schema.store_claims(db, accounts))
    for account in accounts:
        for claim in claims(account).keys() & holders.keys():
            if account.id not in holders[claim]:
                raise mongo_documents.taken(claim)


@or_unavailable
async def _finish_load(db: Database, mark: ObjectId) -> None:
    ended = await db.keystead.delete_one({"_id": "load", "mark": mark})
    if not ended.deleted_count:
        raise Unavailable("Somebody else began to load records into this database.")

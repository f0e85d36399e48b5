"""The layout of the database, and how one of an earlier version is brought to it.

A migration is not one transaction: each step may be interrupted anywhere and run again, by several at once, and the schema's
number moves on after it. Until the last one the database is refused to whoever wants to serve from it.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Annotated

import msgspec
import pymongo
from bson import ObjectId
from pymongo import ASCENDING, DESCENDING, IndexModel, ReplaceOne
from pymongo.errors import BulkWriteError, OperationFailure

from backends import mongo_documents
from backends.mongo_connection import DUPLICATE, LOADING, Collection, Database, delete_all, or_unavailable, put
from backends.mongo_documents import LOADED, Document, claim_document, claims, holder, is_shared, sharing
from backends.protocol import MAX_NAME, IncompatibleStore
from backends.records import Account, ChainLink

EXPIRE_AFTER = timedelta(hours=1)
"""How long after its end a TTL index deletes something: a server whose clock is ahead must not delete what still counts."""
PAGE = 1000

INDEXES: dict[str, list[IndexModel]] = {
    "accounts": [IndexModel("folded"), IndexModel("due_at", sparse=True), IndexModel("reserved", sparse=True)],
    "claims": [IndexModel("rp_id", sparse=True)],
    "events": [IndexModel([("account_id", ASCENDING), ("seq", ASCENDING)])],
    "attempts": [IndexModel("resets_at", expireAfterSeconds=int(EXPIRE_AFTER.total_seconds()))],
}
"""None is unique but `_id`: on a cluster no other could be. (`keystead` holds what the database says of itself.)"""


class _Schema(msgspec.Struct, frozen=True):
    version: Annotated[int, msgspec.Meta(ge=1)]


async def prepare(db: Database, *, migrate: bool) -> list[str]:
    """See to it that the database is ours and of this schema; the names of the steps that this took."""
    schema = await _schema(db)
    _check(db, schema, migrate)
    steps = MIGRATIONS[schema:]
    if schema:
        for number, (_, step) in enumerate(steps, start=schema + 1):
            await step(db)
            await put(db.keystead, {"_id": "schema", "version": number})
    await _make_indexes(db)  # also where there was nothing to do: somebody may have dropped one
    if not schema:
        await put(db.keystead, {"_id": "schema", "version": len(MIGRATIONS)})
    return [name for name, _ in steps]


async def _schema(db: Database) -> int:
    """Its number, 0 where there is nothing; IncompatibleStore if what is there is not ours, or not for us."""
    try:
        found = await db.keystead.find_one({"_id": "schema"})
        if found is None and await holds(db, INDEXES):
            found = await db.keystead.find_one({"_id": "schema"})  # somebody may have made it just now
            if found is None:
                raise IncompatibleStore(f"The database {db.name} holds another program's collections of our names.")
    except OperationFailure as error:
        if error.code not in (13, 18):  # Unauthorized, AuthenticationFailed
            raise
        text = "MongoDB refuses the username or the password in the address, or gives it no rights here."
        raise IncompatibleStore(text) from None
    try:
        return 0 if found is None else msgspec.convert(found, _Schema, strict=False).version
    except msgspec.ValidationError as error:
        raise IncompatibleStore(f"The document schema of {db.name}.keystead is none as it stands: {error}.") from None


def _check(db: Database, schema: int, migrate: bool) -> None:
    known = len(MIGRATIONS)
    if schema > known:
        text = f"The database was made by a newer Keystead (schema {schema}; this one knows {known}): install that one."
        raise IncompatibleStore(text)
    if 0 < schema < known and not migrate:
        text = f"The database is of an older Keystead (schema {schema} of {known}). Run: keystead backend migrate"
        raise IncompatibleStore(text)
    if not schema and not migrate:
        text = (
            f"The database {db.name} holds no records of Keystead. If it should, see that KEYSTEAD_BACKEND names the right one. "
        )
        raise IncompatibleStore(f"{text}A new one is made by: keystead backend migrate")


@or_unavailable
async def notes(db: Database) -> set[str]:
    """What the database says of itself: its `schema`, and that a `load` has begun and not ended."""
    return {document["_id"] async for document in db.keystead.find({})}


async def holds(db: Database, names: Iterable[str]) -> bool:
    """Whether any of these collections holds a document."""
    return any([await db[name].find_one({}, {"_id": 1}) is not None for name in names])


async def _make_indexes(db: Database) -> None:
    with pymongo.timeout(LOADING.total_seconds()):  # a new one over many documents takes its time
        for name, indexes in INDEXES.items():
            await db[name].create_indexes(indexes)


async def store_claims(db: Database, accounts: Iterable[Account]) -> list[str]:
    """Claim what loaded accounts hold, unless it is claimed; which were, of those that only one may have."""
    found: dict[str, Document] = {}
    again: list[str] = []
    for account in accounts:
        for claim, rp_id in claims(account).items():
            if claim in found and not is_shared(claim):
                again.append(claim)
            else:
                found.setdefault(claim, claim_document(claim, rp_id))["holders"].append(holder(account.id, LOADED))
    there = await _insert(db.claims, list(found.values()))
    shares = [sharing(claim, holder) for claim in there if is_shared(claim) for holder in found[claim]["holders"]]
    if shares:
        await db.claims.bulk_write(shares, ordered=False)
    return again + [claim for claim in there if not is_shared(claim)]


async def _insert(collection: Collection, documents: list[Document]) -> list[str]:
    """The ids of those that were not inserted because they are there."""
    if not documents:
        return []
    try:
        await collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        failed = error.details["writeErrors"]
        if any(each["code"] != DUPLICATE for each in failed):
            raise
        return [documents[each["index"]]["_id"] for each in failed]
    return []


# from version 0.1: schemas 1 and 2, which had a collection for each kind of record


async def _nothing(_: Database) -> None:
    """Made what the steps below replace."""


async def _gather_accounts(db: Database) -> None:
    """Put an account's keys, recovery codes and newest event into its document."""
    async for page in _old_accounts(db):
        _check_names(page)  # before anything is changed
    await _drop_index(db.accounts, "folded_1")  # was unique, which only claims are now
    await _drop_index(db.accounts, "created_at_1__id_1")
    async for page in _old_accounts(db):
        with pymongo.timeout(LOADING.total_seconds()):
            accounts = await _gathered(db, page)
            await store_claims(db, accounts)
            await db.accounts.bulk_write([_replacement(account) for account in accounts], ordered=False)


def _check_names(page: list[Document]) -> None:
    for each in page:
        if max(len(each["username"]), len(each["email"])) > MAX_NAME:
            raise IncompatibleStore(
                f"Account {each['_id']} has a username or an e-mail address of more than {MAX_NAME} characters. "
                "Shorten it with version 0.1 (keystead account email), then migrate again. Nothing was changed."
            )


async def _old_accounts(db: Database) -> AsyncIterator[list[Document]]:
    there: Document = {"version": {"$exists": False}, "reserved": {"$exists": False}}
    while page := await db.accounts.find(there).sort("_id", ASCENDING).limit(PAGE).to_list():
        yield page
        there["_id"] = {"$gt": page[-1]["_id"]}


async def _gathered(db: Database, page: list[Document]) -> list[Account]:
    ids = {"$in": [each["_id"] for each in page]}
    codes = {each["_id"]: each["codes"] for each in await db.recovery_codes.find({"_id": ids}).to_list()}
    keys: dict[str, list[Document]] = defaultdict(list)
    for key in sorted(await db["keys"].find({"account_id": ids}).to_list(), key=lambda key: (key["bound_at"], key["_id"])):
        keys[key["account_id"]].append(key | {"id": key["_id"]})
    return [
        mongo_documents.account(
            each | {"keys": keys[each["_id"]], "recovery_codes": codes.get(each["_id"], []), "head": await _head(db, each["_id"])}
        )
        for each in page
    ]


async def _head(db: Database, account_id: str) -> Document:
    newest = await db.events.find_one({"account_id": account_id}, sort=[("seq", DESCENDING)])
    link = ChainLink(seq=newest["seq"], mac=newest["mac"]) if newest else ChainLink()
    return dict(msgspec.to_builtins(link, builtin_types=(bytes,)))


def _replacement(account: Account) -> ReplaceOne[Document]:
    document = mongo_documents.account_document(account, LOADED, ObjectId())
    return ReplaceOne({"_id": account.id, "version": {"$exists": False}}, document)


async def _name_events(db: Database) -> None:
    """Give each event an `_id` that is its account's and its place's, instead of a random one and a unique index."""
    await _drop_index(db.events, "account_id_1_seq_1")
    while page := await db.events.find({"_id": {"$type": "objectId"}}).limit(PAGE).to_list():
        with pymongo.timeout(LOADING.total_seconds()):
            await _insert(db.events, [mongo_documents.event_document(mongo_documents.event(each), LOADED) for each in page])
            await delete_all(db.events, {"_id": {"$in": [each["_id"] for each in page]}})


async def _drop_index(collection: Collection, name: str) -> None:
    try:
        await collection.drop_index(name)
    except OperationFailure as error:
        if error.code not in (26, 27):  # NamespaceNotFound, IndexNotFound
            raise


async def _drop_what_was_gathered(db: Database) -> None:
    for name in ("keys", "recovery_codes", "sessions", "codes", "spent"):
        await db[name].drop()


MIGRATIONS: tuple[tuple[str, Callable[[Database], Awaitable[None]]], ...] = (
    ("Make the indexes", _nothing),
    ("Find keys by their domain", _nothing),
    ("Make each account one document", _gather_accounts),
    ("Name events by their account and place", _name_events),
    ("Drop what accounts hold now", _drop_what_was_gathered),
)
"""What each schema adds to the one before it. A step may be run again after it was interrupted. Never edited once released."""

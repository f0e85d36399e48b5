"""Records as MongoDB's documents, and back; and what an account claims for itself among all accounts.

A document holds the fields of its record under their own names, and beside them what the backend finds and guards it by. It
never holds anything else that a record would need: whoever decodes one gets the record as it was committed.
"""

from base64 import urlsafe_b64encode
from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from bson import ObjectId
from pymongo import UpdateOne

from backends.protocol import Damaged, KeyTaken, UsernameTaken, credentials, due_at, fold
from backends.records import Account, Event

Document = dict[str, Any]
LOADED = ObjectId(bytes(12))
"""Instead of a mark of its own, for what was loaded or migrated. No account's document is ever at this mark."""

_BSON = (datetime, bytes)


class Stored(msgspec.Struct, frozen=True):
    """What an account's document holds beside the record.

    `mark` is new with each write: whoever knows it knows the document, and replaces just that one. `born` is the same for as
    long as the account is there, and its events carry it: those of an account that had the same id before are not its own.
    `pending` are the documents of the last commit's events, which may not stand among the events yet.
    """

    born: ObjectId
    mark: ObjectId
    version: int
    pending: list[Document]


R = TypeVar("R", Account, Event, Stored)


def account_document(account: Account, born: ObjectId, mark: ObjectId, events: Iterable[Event] = ()) -> Document:
    fields: Document = msgspec.to_builtins(account, builtin_types=_BSON)
    del fields["id"]
    document = {"_id": account.id, **fields, "version": account.version, "born": born, "mark": mark}
    document |= {"folded": fold(account.username), "claims": list(claims(account))}
    document["pending"] = [event_document(event, born) for event in events]
    due = due_at(account)
    return document if due is None else document | {"due_at": due}


def account(document: Document) -> Account:
    return _record(document | {"id": document["_id"]}, Account, document["_id"])


def stored(document: Document) -> Stored:
    return _record(document, Stored, document["_id"])


def forgotten(document: Document | None) -> int:
    """The `seq` of the account's checkpoint: events up to it count as deleted, even if they are still there."""
    return int((document or {}).get("checkpoint", {}).get("seq", 0))


BESIDE = ["born", "mark", "version", "pending", "checkpoint", "reserved"]
"""The fields that `stored`, `forgotten` and `is_account` look at."""


def is_account(document: Document | None) -> bool:
    """Not if it only keeps the place of an account that is being added or removed."""
    return document is not None and "reserved" not in document


def event_document(event: Event, born: ObjectId) -> Document:
    # The same for the same event, so that it is inserted once; and unique within the shard that has all of an account's events.
    id = f"{event.account_id}:{born}:{event.seq}"
    return {"_id": id, "born": born, **msgspec.to_builtins(event, builtin_types=_BSON)}


def event(document: Document) -> Event:
    return _record(document, Event, document["account_id"])


def _record(document: Document, kind: type[R], account_id: str) -> R:
    """Damaged if somebody has changed the document to what is no record."""
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise Damaged(f"The document {document['_id']} is no record as it stands: {error}.", account_id) from None


def insertion(document: Document) -> UpdateOne:
    """Insert an event, unless it stands already."""
    there = {field: document[field] for field in ("_id", "account_id")}  # account_id is the shard key
    rest = {field: value for field, value in document.items() if field not in there}
    return UpdateOne(there, {"$setOnInsert": rest}, upsert=True)


# claims


def claims(account: Account) -> dict[str, str | None]:
    """The ids of what the account claims, and the domain of a key; the same for equal names, and for equal keys."""
    names: dict[str, str | None] = {name_claim(fold(account.username)): None}
    if account.email:
        names[address_claim(fold(account.email))] = None
    return names | {key_claim(id): rp_id for id, rp_id in credentials(account).items()}


def name_claim(folded: str) -> str:
    return f"name:{folded}"


def address_claim(folded: str) -> str:
    return f"address:{folded}"


def key_claim(id: bytes) -> str:
    return f"key:{urlsafe_b64encode(id).decode().rstrip('=')}"


def is_shared(claim: str) -> bool:
    """Whether several accounts may have it: an address."""
    return claim.startswith("address:")


def claim_document(claim: str, rp_id: str | None, *holders: Document) -> Document:
    return {"_id": claim, "holders": [*holders]} | ({} if rp_id is None else {"rp_id": rp_id})


def sharing(claim: str, holder: Document) -> UpdateOne:
    """Add a holder to an address."""
    return UpdateOne({"_id": claim}, {"$addToSet": {"holders": holder}}, upsert=True)


def holder(account_id: str, base: ObjectId) -> Document:
    """Whose claim it is: the account's, or that of its commit that is to replace the document with the mark `base`."""
    return {"account_id": account_id, "base": base}


def taken(claim: str) -> UsernameTaken | KeyTaken:
    """What to raise when somebody else has it."""
    return KeyTaken() if claim.startswith("key:") else UsernameTaken(claim.removeprefix("name:"))

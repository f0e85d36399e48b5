"""Records as MongoDB's documents, and back; and what an account claims for itself among all accounts.

A document holds the fields of its record under their own names, and beside them what the backend finds and guards it by. It
never holds anything else that a record would need: whoever decodes one gets the record as it was committed.
"""

from base64 import urlsafe_b64encode
from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from bson import ObjectId, Regex
from pymongo import UpdateOne

from backends.protocol import Damaged, KeyTaken, UsernameTaken, credentials, due_at, fold
from backends.records import Account, ChainLink, Event

Document = dict[str, Any]
LOADED = ObjectId(bytes(12))
"""Instead of a mark of its own, for what was loaded or migrated. No account's document is ever at this mark."""

_BSON = (datetime, bytes)


class Listed(msgspec.Struct, frozen=True):
    """What an account's document is found by, whoever else stores or reads it: `claims` holds that to the name `folded`."""

    folded: str
    claims: list[str]


class Stored(Listed, frozen=True):
    """What an account's document holds beside the record.

    `mark` is new with each write: whoever knows it knows the document, and replaces just that one. `born` is the same for as
    long as the account is there, and its events carry it: those of an account that had the same id before are not its own.
    `pending` are the documents of the last commit's events, which may not stand among the events yet; those up to `checkpoint`
    count as deleted, even if they are still there. Only a document that keeps a place is `reserved`.
    """

    born: ObjectId
    mark: ObjectId
    version: int
    pending: list[Document]
    checkpoint: ChainLink = ChainLink()
    reserved: None = None


class Whose(msgspec.Struct, frozen=True):
    """Whose event a document holds, and which of them."""

    account_id: str
    born: ObjectId
    seq: int


class _EventDocument(Event, frozen=True, kw_only=True, rename={"id": "_id"}):
    id: str
    born: ObjectId


class _Pending(msgspec.Struct, frozen=True):
    pending: list[_EventDocument]


class _Holder(msgspec.Struct, frozen=True):
    account_id: str
    base: ObjectId


class _Claim(msgspec.Struct, frozen=True):
    holders: list[_Holder]


R = TypeVar("R", Account, Event, Listed, Stored, Whose, _Pending, _Claim)


def account_document(account: Account, born: ObjectId, mark: ObjectId, events: Iterable[Event] = ()) -> Document:
    fields: Document = msgspec.to_builtins(account, builtin_types=_BSON)
    del fields["id"]
    document = {"_id": account.id, **fields, "version": account.version, "born": born, "mark": mark}
    document |= {"folded": fold(account.username), "claims": list(claims(account))}
    document["pending"] = [event_document(event, born) for event in events]
    due = due_at(account)
    return document if due is None else document | {"due_at": due}


# whether a document is whole: each of these raises Damaged if somebody has changed what it looks at


def whole(document: Document) -> tuple[Account, Stored]:
    """All that an account's document holds."""
    return account(document), stored(document)


def account(document: Document) -> Account:
    return _record(document | {"id": document["_id"]}, Account, document["_id"])


def stored(document: Document) -> Stored:
    found, id = _record(document, Stored, document["_id"]), document["_id"]
    _check_claims(found, id)
    for each in _record(document, _Pending, id).pending if found.pending else ():
        if (each.account_id, each.id) != (id, _event_id(id, found.born, each.seq)):
            raise _damaged(id, "An event is another's - at `$.pending`", id)
    return found


BESIDE = list(Stored.__struct_fields__)
"""The fields that `stored` and `is_account` look at."""
LISTED = ["folded", "claims", "mark", "version", "reserved"]
"""The fields that `may_list` looks at; and the mark."""
IS_PLACE: Document = {"reserved": {"$exists": True}, "version": {"$exists": False}}
NO_NAME: Document = {"$not": Regex("^name:")}
"""As `claims`: those that nobody is found by, and that are no list."""


def is_account(document: Document | None) -> bool:
    """Not if it only keeps the place of an account that is being added or removed."""
    return document is not None and ("reserved" not in document or "version" in document)


def may_list(document: Document | None, claim: str) -> bool:
    """Whether it is an account's that lists the claim, or that may have done before somebody changed it."""
    if document is None or not is_account(document):
        return False
    try:
        found = _record(document, Listed, document["_id"])
        _check_claims(found, document["_id"])
    except Damaged:
        return True
    return claim in found.claims


def _check_claims(found: Listed, account_id: str) -> None:
    if name_claim(found.folded) not in found.claims:
        raise _damaged(account_id, "Its own name is missing - at `$.claims`", account_id)


def event_document(event: Event, born: ObjectId) -> Document:
    id = _event_id(event.account_id, born, event.seq)
    return {"_id": id, "born": born, **msgspec.to_builtins(event, builtin_types=_BSON)}


def _event_id(account_id: str, born: ObjectId, seq: int) -> str:
    # The same for the same event, so that it is inserted once; and unique within the shard that has all of an account's events.
    return f"{account_id}:{born}:{seq}"


def event(document: Document) -> Event:
    return _record(document, Event, document["account_id"])


def whose(document: Document, account_id: str) -> Whose:
    """What stands in an event's document that is stored with this account."""
    return _record(document, Whose, account_id)


def _record(document: Document, kind: type[R], account_id: str, called: str = "") -> R:
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise _damaged(called or document.get("_id"), str(error), account_id) from None


def _damaged(id: object, why: str, account_id: str) -> Damaged:
    return Damaged(f"The document {id} is no record as it stands: {why}.", account_id)


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


def holders(claim: Document) -> list[Document]:
    """Who has it: one account, unless it is shared. Damaged if somebody has changed it to what is no claim.

    Of what is claimed that tells the kind only: it stands in the log, and may be an e-mail address.
    """
    called = f"{claim['_id'].partition(':')[0]}:…"
    found = _record(claim, _Claim, "", called).holders
    if len(found) != 1 and not is_shared(claim["_id"]):
        raise _damaged(called, f"Expected one holder, got {len(found)} - at `$.holders`", "")
    return list(claim["holders"])


def taken(claim: str) -> UsernameTaken | KeyTaken:
    """What to raise when somebody else has it."""
    return KeyTaken() if claim.startswith("key:") else UsernameTaken(claim.removeprefix("name:"))

"""What must be unique over all accounts: usernames and credential ids, each claimed by one account before it stores them.

Never may two accounts list one claim, however late a commit comes and whoever was killed: `Claims` says how that is kept. So a
claim is never taken over because of its age alone: a process can stand still for any time between its claim and its commit.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta

from bson import ObjectId
from pymongo import ASCENDING
from pymongo.errors import DuplicateKeyError, WriteError

from backends.mongo_connection import TRIES, Database
from backends.mongo_documents import LISTED, Document, claim_document, holders, is_shared, may_list
from backends.protocol import Damaged, Unavailable

PATIENCE = timedelta(seconds=0.25)
LONGEST = timedelta(seconds=4)
PURGED = 500
"""How many claims a purge looks at."""


class Patience:
    """How long to wait for what somebody else began: from anew whenever it changes, but longer each time.

    What is fenced too early does no harm but begins anew: those who wait longer each time let somebody be first.
    """

    def __init__(self) -> None:
        self._seen: object = None
        self._wait = PATIENCE.total_seconds() / 2
        self._until = 0.0

    async def waited(self, seen: object) -> bool:
        """False, without waiting, once it has stayed the same for long enough."""
        if seen != self._seen:
            self._seen, self._wait = seen, min(2 * self._wait, LONGEST.total_seconds())
            self._until = time.monotonic() + self._wait
        if time.monotonic() >= self._until:
            return False
        await asyncio.sleep(random.uniform(0.005, 0.025))  # noqa: S311 - so as not to meet again; nothing secret
        return True


class Claims:
    """The claims of one database.

    A claim names its holder: an account, and the mark of the document (`base`) that the holder's commit is about to replace. What
    makes it valid is not the claim but the account's document, which lists it. Whoever wants what is claimed but not listed first
    *fences*: it gives the holder's document another mark, so that a commit still under way cannot succeed (it begins anew, and
    finds the claim gone). Only then it reads whether the claim is listed, and takes it over by compare-and-set on its holder. So
    a claim that a crash left behind stops nobody for longer than `Patience`, and a fence that came too soon costs a retry.

    An address is claimed in the same way, but by several: that finds its accounts without asking every shard.
    """

    def __init__(self, db: Database) -> None:
        self._accounts = db.accounts
        self._claims = db.claims
        self._purged_to = ""

    async def take(self, wanted: Mapping[str, str | None], holder: Document) -> str | None:
        """Claim all of it for the holder; None, or else the first that another account has."""
        for claim in sorted(wanted, key=_turn):
            if is_shared(claim):
                await self._share(claim, holder)
            elif not await self._take(claim_document(claim, wanted[claim], holder)):
                return claim
        return None

    async def _share(self, claim: str, holder: Document) -> None:
        for _ in range(TRIES):
            try:
                await self._claims.update_one({"_id": claim}, {"$addToSet": {"holders": holder}}, upsert=True)
            except DuplicateKeyError:  # two first ones at once: now there is one to update
                continue
            except WriteError:
                await self.holders([claim])  # raises Damaged, if that is why
                raise
            return
        raise Unavailable("Too many others are writing the same.")

    async def _take(self, claim: Document) -> bool:
        """False if another account lists it, or if nobody knows whose it is."""
        (mine,), patience = claim["holders"], Patience()
        for _ in range(TRIES):
            found = await self._inserted_or_found(claim)
            if found is None:
                return True
            try:
                (other,) = holders(found)
            except Damaged:
                return False
            if other == mine:  # maybe by a commit of this account from the same document
                return True
            ours = other["account_id"] == mine["account_id"]
            if not ours and await self._is_under_way(claim["_id"], other) and await patience.waited(other):
                continue
            if not await self._is_void(claim["_id"], other):
                return bool(ours)
            if await self._did_take_over(found, claim):
                return True
        raise Unavailable("Too many others claim the same.")

    async def _inserted_or_found(self, claim: Document) -> Document | None:
        """None if it was inserted, else the one that is there."""
        for _ in range(TRIES):
            try:
                await self._claims.insert_one(claim)
            except DuplicateKeyError:
                if found := await self._claims.find_one({"_id": claim["_id"]}):
                    return found
                continue  # it was deleted meanwhile
            return None
        raise Unavailable("Too many others claim the same.")

    async def _did_take_over(self, found: Document, claim: Document) -> bool:
        changes = {field: value for field, value in claim.items() if field != "_id"}
        taken = await self._claims.update_one({"_id": found["_id"], "holders": found["holders"]}, {"$set": changes})
        return taken.matched_count == 1

    async def _is_under_way(self, claim: str, holder: Document) -> bool:
        """Whether the holder's commit may still come, as far as one can see."""
        there = await self._accounts.find_one({"_id": holder["account_id"]}, LISTED)
        return there is not None and there.get("mark") == holder["base"] and not may_list(there, claim)

    async def _is_void(self, claim: str, holder: Document) -> bool:
        """Whether the holder's account does not list it; then no commit from `base` can make it do so any more.

        Of one that somebody has damaged nobody knows: nothing is void that it may have listed.

        The fence is written even where it seems needless: what is read before could be what a former primary remembers; after a
        write that the majority accepted it cannot.
        """
        there = {"_id": holder["account_id"]}
        await self._accounts.update_one(there | {"mark": holder["base"]}, {"$set": {"mark": ObjectId()}})
        return not may_list(await self._accounts.find_one(there, LISTED), claim)

    async def _did_clear(self, claim: str, holder: Document) -> bool:
        """Delete a claim if it is void."""
        if not await self._is_void(claim, holder):
            return False
        if is_shared(claim):
            await self._claims.update_one({"_id": claim}, {"$pull": {"holders": holder}})
            await self._claims.delete_one({"_id": claim, "holders": {"$size": 0}})
        else:
            await self._claims.delete_one({"_id": claim, "holders": [holder]})
        return True

    async def give_back(self, claims: Iterable[str], holder: Document) -> None:
        """After a commit that did not happen. One from the same document may have happened: what is listed stays."""
        for claim in claims:
            await self._did_clear(claim, holder)

    async def release(self, claims: Iterable[str], account_id: str) -> None:
        """Delete those of these claims that the account holds, and does not list any more."""
        found = await self._claims.find({"_id": {"$in": list(claims)}}).to_list()
        for claim, holder in _pairs(found):
            if holder["account_id"] == account_id:
                await self._did_clear(claim, holder)

    async def holders(self, claims: Iterable[str]) -> dict[str, list[str]]:
        """Which accounts hold each claim that is there, whether or not they list it; Damaged if one is none any more."""
        found = await self._claims.find({"_id": {"$in": list(claims)}}).to_list()
        return {each["_id"]: [holder["account_id"] for holder in holders(each)] for each in found}

    async def purge(self) -> int:
        """Delete what crashes left among the next claims, going round; how many they were."""
        page = await self._claims.find({"_id": {"$gt": self._purged_to}}).sort("_id", ASCENDING).limit(PURGED).to_list()
        self._purged_to = page[-1]["_id"] if len(page) == PURGED else ""
        pairs = _pairs(page)
        ids = list({holder["account_id"] for _, holder in pairs})
        there = {each["_id"]: each for each in await self._accounts.find({"_id": {"$in": ids}}, LISTED).to_list()}
        suspect = [(claim, holder) for claim, holder in pairs if not may_list(there.get(holder["account_id"]), claim)]
        return sum([await self._did_clear(claim, holder) for claim, holder in suspect])


def _pairs(found: list[Document]) -> list[tuple[str, Document]]:
    """Each claim with each of its holders, but for claims that are damaged."""
    pairs: list[tuple[str, Document]] = []
    for each in found:
        with contextlib.suppress(Damaged):
            pairs += [(each["_id"], holder) for holder in holders(each)]
    return pairs


def _turn(claim: str) -> tuple[bool, str]:
    """Names come before keys; and for everybody in the same order, so that two never wait for each other."""
    return claim.startswith("key:"), claim

"""How this program talks to a MongoDB server: what it asks of the connection, how long it waits, and the driver's errors as ours.

The address may hold a password, so neither it nor anything made of it may reach an error or a log.
"""

import functools
from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar
from urllib.parse import parse_qsl, urlsplit

from bson.codec_options import CodecOptions
from pymongo import AsyncMongoClient, ReadPreference, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import AutoReconnect, ConfigurationError, DuplicateKeyError, InvalidURI, PyMongoError
from pymongo.read_concern import ReadConcern

from backends.mongo_documents import Document
from backends.protocol import IncompatibleStore, Unavailable

T = TypeVar("T")
P = ParamSpec("P")
Collection = AsyncCollection[Document]
Database = AsyncDatabase[Document]
Client = AsyncMongoClient[Document]

LIMITS: Mapping[str, Any] = {"timeoutms": 5000, "serverselectiontimeoutms": 5000, "connecttimeoutms": 5000}
"""Unless the address says otherwise: `timeoutMS` bounds a whole operation, waiting for a server and a retry included."""
LOADING = timedelta(minutes=1)
"""The same for what reads or writes many documents at once."""
TRIES = 300
"""How often somebody else may be first, before we give up."""
DUPLICATE = 11000
"""The server's code for an `_id` that is there."""


def connect(url: str) -> tuple[Client, Database]:
    """The database that `mongodb://…/name` or `mongodb+srv://…/name` names, `keystead` if it names none; no query is made."""
    try:
        given = {name.lower() for name, _ in parse_qsl(urlsplit(url).query)}
        limits = {name: value for name, value in LIMITS.items() if name not in given}
        client: Client = AsyncMongoClient(url, appname="keystead", **limits)
        database = client.get_default_database("keystead")
    except (InvalidURI, ConfigurationError, ValueError, TypeError) as error:
        kind = type(error).__name__
        text = f"This is no address of a MongoDB database ({kind}). A username or password in it must be percent-encoded."
        raise IncompatibleStore(text) from None
    except OSError as error:
        text = f"A file that the address of the database names, such as tlsCAFile, cannot be read: {error.strerror}."
        raise IncompatibleStore(text) from None
    # Here, where no option of the address can weaken it.
    return client, database.with_options(
        codec_options=CodecOptions(tz_aware=True),
        read_preference=ReadPreference.PRIMARY,
        read_concern=ReadConcern("majority"),  # what is read is never rolled back: `pending` events are inserted from it
        write_concern=WriteConcern("majority", j=True),
    )


def or_unavailable(query: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """The driver's errors as Unavailable. The text names the kind of error only: what it says could hold the address."""

    @functools.wraps(query)
    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await query(*args, **kwargs)
        except PyMongoError as error:
            raise Unavailable(f"MongoDB does not answer now ({type(error).__name__}).") from error

    return run


async def put(collection: Collection, document: Document) -> None:
    """Store it in the place of the one with its `_id`, if there is one."""
    for _ in range(TRIES):
        try:
            await collection.replace_one({"_id": document["_id"]}, document, upsert=True)
        except DuplicateKeyError:  # two first ones at once: now there is one to replace
            continue
        return
    raise Unavailable("Too many others are writing the same.")


async def delete_all(collection: Collection, there: Document) -> int:
    """How many there were. The driver retries by itself only what changes one document.

    If only the answer was lost, the second count misses what the first try deleted.
    """
    try:
        deleted = await collection.delete_many(there)
    except AutoReconnect as error:
        if error.timeout:
            raise
        deleted = await collection.delete_many(there)
    return deleted.deleted_count

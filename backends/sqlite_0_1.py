"""The file of version 0.1: its tables, how its records become one record for each account, and how to make one for a backup.

Sessions, verification codes and used links of 0.1 are not carried over: what its browsers and mails hold names no account.
It never has more than one account in memory.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from backends.protocol import MAX_NAME, IncompatibleStore, fold
from backends.records import Account, ChainLink, RecoveryCode, SecurityKey
from backends.sqlite_schema import Migration, from_milliseconds, milliseconds

_TABLES_0_1 = """
CREATE TABLE accounts (
    id TEXT PRIMARY KEY, username TEXT NOT NULL, email TEXT NOT NULL, password_hash TEXT NOT NULL,
    created_at INTEGER NOT NULL, password_at INTEGER NOT NULL, listed INTEGER NOT NULL, frozen_at INTEGER,
    folded TEXT NOT NULL UNIQUE
) STRICT;
CREATE INDEX accounts_by_age ON accounts (created_at, id);

CREATE TABLE keys (
    id BLOB NOT NULL UNIQUE, account_id TEXT NOT NULL, name TEXT NOT NULL, public_key BLOB NOT NULL,
    sign_count INTEGER NOT NULL, aaguid BLOB NOT NULL, attestation TEXT NOT NULL, transports TEXT NOT NULL,
    rp_id TEXT NOT NULL, bound_at INTEGER NOT NULL, used_at INTEGER,
    PRIMARY KEY (account_id, bound_at, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE recovery_codes (
    place INTEGER PRIMARY KEY, account_id TEXT NOT NULL, digest BLOB NOT NULL,
    made_at INTEGER NOT NULL, spent_at INTEGER,
    UNIQUE (account_id, digest)
) STRICT;

CREATE TABLE events (
    account_id TEXT NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, at INTEGER NOT NULL,
    address TEXT NOT NULL, browser TEXT NOT NULL, detail TEXT NOT NULL, mac BLOB NOT NULL,
    PRIMARY KEY (account_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id TEXT PRIMARY KEY, token_hash BLOB NOT NULL UNIQUE, account_id TEXT NOT NULL, stage TEXT NOT NULL,
    begun_at INTEGER NOT NULL, seen_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
    address TEXT NOT NULL, browser TEXT NOT NULL, proof TEXT, proven_at INTEGER
) STRICT;
CREATE INDEX sessions_of ON sessions (account_id, begun_at, id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE codes (
    account_id TEXT NOT NULL, purpose TEXT NOT NULL, session_id TEXT NOT NULL, email TEXT NOT NULL,
    salt BLOB NOT NULL, digest BLOB NOT NULL, tries_left INTEGER NOT NULL,
    made_at INTEGER NOT NULL, sent_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, purpose)
) STRICT, WITHOUT ROWID;

CREATE TABLE spent (id TEXT PRIMARY KEY, expires_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE attempts (
    bucket TEXT PRIMARY KEY, count INTEGER NOT NULL, resets_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""

_KEYS_OF_EACH_DOMAIN = """
CREATE TABLE rp_ids (rp_id TEXT PRIMARY KEY, keys INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO rp_ids SELECT rp_id, count(*) FROM keys GROUP BY rp_id;
CREATE TRIGGER key_added AFTER INSERT ON keys BEGIN
    INSERT INTO rp_ids VALUES (new.rp_id, 1) ON CONFLICT (rp_id) DO UPDATE SET keys = keys + 1;
END;
CREATE TRIGGER key_removed AFTER DELETE ON keys BEGIN
    UPDATE rp_ids SET keys = keys - 1 WHERE rp_id = old.rp_id;
    DELETE FROM rp_ids WHERE keys = 0;
END;
"""

MIGRATIONS = (
    Migration("Make the tables", (_TABLES_0_1,)),
    Migration("Count the keys of each domain", (_KEYS_OF_EACH_DOMAIN,)),
)

# What is not carried over goes first. Events stay where they are; only those sealed from now on have a state.
MAKE_ROOM = """
DROP TABLE sessions;
DROP TABLE codes;
DROP TABLE spent;
DROP TRIGGER key_added;
DROP TRIGGER key_removed;
DROP TABLE rp_ids;
DROP INDEX accounts_by_age;
ALTER TABLE accounts RENAME TO accounts_0_1;
ALTER TABLE events ADD COLUMN state BLOB NOT NULL DEFAULT x'';
"""

# In the order of the table: at random, each row would find its page gone from the cache.
CREDENTIALS_AND_DROP = """
INSERT INTO credentials (id, account_id, rp_id)
    SELECT k.id, k.account_id, k.rp_id FROM keys k JOIN accounts_0_1 a ON a.id = k.account_id ORDER BY k.id;
DROP TABLE keys;
DROP TABLE recovery_codes;
DROP TABLE accounts_0_1;
"""


def copy_accounts(db: sqlite3.Connection) -> None:
    """Every account of 0.1 as one row, its keys and recovery codes inside it."""
    # Written as the record is today: a later step that changes documents must find nothing to do in these.
    accounts = db.execute("SELECT folded, id, username, email, password_hash, created_at, password_at, listed, frozen_at "
                          "FROM accounts_0_1 ORDER BY id")  # fmt: skip
    insert = "INSERT INTO accounts (id, version, folded_username, folded_email, document) VALUES (?, ?, ?, ?, ?)"
    for folded, *row in accounts:
        account = _account(db, row)
        document = msgspec.json.encode(account).decode()
        db.execute(insert, (account.id, account.version, folded, _folded_email(account), document))


def _folded_email(account: Account) -> str:
    if max(len(account.username), len(account.email)) > MAX_NAME:
        raise IncompatibleStore(
            f"Account {account.id} has a username or an e-mail address of more than {MAX_NAME} characters. "
            "Shorten it with version 0.1 (keystead account email), then migrate again. Nothing was changed."
        )
    return fold(account.email)


def _account(db: sqlite3.Connection, row: Sequence[Any]) -> Account:
    id, username, email, password_hash, created_at, password_at, listed, frozen_at = row
    return Account(
        id=id,
        username=username,
        email=email,
        password_hash=password_hash,
        created_at=from_milliseconds(created_at),
        password_at=from_milliseconds(password_at),
        listed=bool(listed),
        frozen_at=_time(frozen_at),
        keys=_keys(db, id),
        recovery_codes=_recovery_codes(db, id),
        head=_head(db, id),
    )


def _keys(db: sqlite3.Connection, account_id: str) -> tuple[SecurityKey, ...]:
    statement = """SELECT id, name, public_key, sign_count, aaguid, attestation, transports, rp_id, bound_at, used_at
        FROM keys WHERE account_id = ? ORDER BY bound_at, id"""
    return tuple(
        SecurityKey(
            id=id,
            name=name,
            public_key=public_key,
            sign_count=sign_count,
            aaguid=aaguid,
            attestation=attestation,
            transports=msgspec.json.decode(transports, type=tuple[str, ...]),
            rp_id=rp_id,
            bound_at=from_milliseconds(bound_at),
            used_at=_time(used_at),
        )
        for id, name, public_key, sign_count, aaguid, attestation, transports, rp_id, bound_at, used_at in db.execute(
            statement, (account_id,)
        )
    )


def _recovery_codes(db: sqlite3.Connection, account_id: str) -> tuple[RecoveryCode, ...]:
    codes = db.execute("SELECT digest, made_at, spent_at FROM recovery_codes WHERE account_id = ? ORDER BY place", (account_id,))
    return tuple(
        RecoveryCode(digest=digest, made_at=from_milliseconds(made_at), spent_at=_time(spent_at))
        for digest, made_at, spent_at in codes
    )


def _head(db: sqlite3.Connection, account_id: str) -> ChainLink:
    newest = db.execute("SELECT seq, mac FROM events WHERE account_id = ? ORDER BY seq DESC LIMIT 1", (account_id,)).fetchone()
    return ChainLink(seq=newest[0], mac=newest[1]) if newest else ChainLink()


def _time(number: int | None) -> datetime | None:
    return None if number is None else from_milliseconds(number)


# records of 0.1, as they stand in its backups

_NO_RECORD = (
    ValueError, TypeError, OverflowError, msgspec.ValidationError, sqlite3.IntegrityError, sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)  # fmt: skip
KINDS = ("accounts", "keys", "recovery_codes", "events", "sessions", "codes", "spent")


def insert(db: sqlite3.Connection, records: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """Each record of a 0.1 backup, by its kind and its fields, into the tables of 0.1; ValueError if it is none."""
    types = {kind: _types(db, kind) for kind in KINDS}
    for kind, values in records:
        if kind not in types or values.keys() != types[kind].keys():
            raise ValueError(f"Not a record of version 0.1: {kind}.")
        try:
            _insert(db, kind, {name: _value(types[kind][name], value) for name, value in values.items()})
        except _NO_RECORD as error:
            raise ValueError(f"Not a record of version 0.1: {kind}.") from error


def _types(db: sqlite3.Connection, kind: str) -> dict[str, str]:
    """The fields that such a record has, and the types of their columns; the rest of the columns is derived."""
    columns = db.execute("SELECT name, type FROM pragma_table_info(?)", (kind,))
    return {name: type for name, type in columns if name not in ("folded", "place")}


def _value(type: str, value: Any) -> Any:
    """Times are ISO text, bytes are base64, and transports a list."""
    if isinstance(value, list):
        return json.dumps(value)
    if isinstance(value, str) and type == "INTEGER":
        return milliseconds(datetime.fromisoformat(value))
    if isinstance(value, str) and type == "BLOB":
        return msgspec.convert(value, bytes)
    return value


def _insert(db: sqlite3.Connection, kind: str, values: dict[str, Any]) -> None:
    if kind == "accounts":
        values["folded"] = fold(values["username"])
    columns, places = ", ".join(values), ", ".join("?" * len(values))
    db.execute(f"INSERT INTO {kind} ({columns}) VALUES ({places})", tuple(values.values()))  # noqa: S608  (the table's own, as `insert` has seen)

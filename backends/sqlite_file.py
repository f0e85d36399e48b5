"""The SQLite file under the file backend: its address, its schema, how it is opened, and its errors as ours.

A file that is not ours, or of another schema than this version's, is refused before anything of it is touched.
"""

import contextlib
import os
import random
import sqlite3
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from backends.protocol import NotOurs, Unavailable

APPLICATION_ID = 0x4B657973  # "Keys"
OLDEST_SQLITE = (3, 37, 0)
"""Tables that are STRICT about their types."""
_BEGIN = "BEGIN IMMEDIATE"
PATIENCE = timedelta(seconds=10)
"""How long a write waits for other processes' writes before it says Unavailable."""

MIGRATIONS: tuple[tuple[str, str], ...] = (
    (
        "Make the tables",
        """
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
        """,
    ),
    (
        "Count the keys of each domain",
        # An index would answer the same, and take as much room as the keys.
        """
        CREATE TABLE rp_ids (rp_id TEXT PRIMARY KEY, keys INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        INSERT INTO rp_ids SELECT rp_id, count(*) FROM keys GROUP BY rp_id;
        CREATE TRIGGER key_added AFTER INSERT ON keys BEGIN
            INSERT INTO rp_ids VALUES (new.rp_id, 1) ON CONFLICT (rp_id) DO UPDATE SET keys = keys + 1;
        END;
        CREATE TRIGGER key_removed AFTER DELETE ON keys BEGIN
            UPDATE rp_ids SET keys = keys - 1 WHERE rp_id = old.rp_id;
            DELETE FROM rp_ids WHERE keys = 0;
        END;
        """,
    ),
)
"""What each schema adds to the one before it. A step that was ever released is never edited; a new one is added."""


def path(url: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc or not parts.path or parts.query or parts.fragment:
        raise NotOurs(f"{url} is no address of a file: write file:///absolute/path.db or file:relative.db.")
    return Path(unquote(parts.path)).absolute()


def connect(path: Path, timeout: float = 1) -> sqlite3.Connection:
    # mode=rw: a file that vanished is an error, and never a new, empty one. The close of another process's last connection
    # and the recovery after a crash lock even readers out for a moment, hence their time-out.
    address = f"file:{quote(str(path))}?mode=rw"
    db = sqlite3.connect(address, uri=True, isolation_level=None, timeout=timeout, check_same_thread=False, cached_statements=256)
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA journal_size_limit = 67108864")
    return db


def _is_locked(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _tries() -> Iterator[float]:
    """How long to sleep before each next try for the lock: SQLite's own waiting grows to 100 ms and starves the unlucky."""
    end, longest = time.monotonic() + PATIENCE.total_seconds(), 0.0001
    while time.monotonic() < end:
        yield random.uniform(longest / 2, longest)  # noqa: S311  (processes must not wake in step; nothing secret)
        longest = min(longest * 1.2, 0.0005)


def _did_get(db: sqlite3.Connection, statement: str) -> bool:
    """False: another process has the lock."""
    try:
        db.execute(statement)
    except sqlite3.OperationalError as error:
        if not _is_locked(error):
            raise
        return False
    return True


def _patiently(db: sqlite3.Connection, statement: str) -> None:
    """Execute it as soon as other processes let us; Unavailable if they do not."""
    for pause in _tries():
        if _did_get(db, statement):
            return
        time.sleep(pause)
    raise Unavailable("Another process has been writing to the file for too long.")


def begin(db: sqlite3.Connection) -> None:
    _patiently(db, _BEGIN)


def has_begun(db: sqlite3.Connection) -> bool:
    """The same without any patience: False if another process writes."""
    return _did_get(db, _BEGIN)


@contextlib.contextmanager
def telling(path: Path) -> Iterator[None]:
    """The engine's own errors as ours. What the engine says of a wrong statement stays as it is: that is our mistake."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if type(error) not in (sqlite3.OperationalError, sqlite3.DatabaseError):
            raise
        raise unavailable(path, error) from error


def unavailable(path: Path, error: Exception) -> Unavailable:
    return error if isinstance(error, Unavailable) else Unavailable(f"{path} cannot be used now: {error}")


@contextlib.contextmanager
def or_taken(taken: Exception) -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorcode not in (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY):
            raise
        raise taken from error


def inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def prepare(path: Path, *, migrate: bool = False) -> list[str]:
    """See to it that the file is ours and of this schema; the names of the steps that this took."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise NotOurs(f"This Python has SQLite {sqlite3.sqlite_version}, and 3.37 is needed. MongoDB would do.")
    _make(path)
    with contextlib.closing(_connect_to_ours(path)) as db:
        _patiently(db, "PRAGMA journal_mode = WAL")
        begin(db)
        schema = _number(db, "user_version")
        _check_schema(path, schema, migrate)
        steps = MIGRATIONS[schema:]
        for _, script in steps:
            for statement in _statements(script):
                db.execute(statement)
        if steps:  # else nothing is written, yet to have begun has shown that the file can be written
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        db.execute("COMMIT")
        return [name for name, _ in steps]


def _statements(script: str) -> Iterator[str]:
    """Its statements one by one, within our transaction: `executescript` would commit. A trigger has semicolons of its own."""
    statement = ""
    for piece in script.split(";"):
        statement += f"{piece};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _make(path: Path) -> None:
    try:
        if not path.parent.is_dir():
            raise NotOurs(f"There is no directory {path.parent} to keep the file in.")
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        if not os.access(path, os.W_OK):  # SQLite would open it, and fail at the first write only
            raise Unavailable(f"{path} cannot be used now: this user may not write it.") from None
    except OSError as error:
        raise unavailable(path, error) from error


def _connect_to_ours(path: Path) -> sqlite3.Connection:
    """Refuse what is not ours before anything of it is touched, its journal mode included."""
    try:
        db = connect(path)
        ours = _number(db, "application_id") == APPLICATION_ID or not _number(db, "schema_version")
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_NOTADB:
            raise
        raise NotOurs(f"{path} is not a Keystead file, nor any SQLite file.") from error
    if not ours:
        db.close()
        raise NotOurs(f"{path} is another program's SQLite file, and was left alone.")
    return db


def _check_schema(path: Path, schema: int, migrate: bool) -> None:
    if schema > len(MIGRATIONS):
        raise NotOurs(
            f"{path} was made by a newer Keystead (schema {schema}; this one knows {len(MIGRATIONS)}): install that one."
        )
    if 0 < schema < len(MIGRATIONS) and not migrate:
        raise NotOurs(f"{path} is of an older Keystead (schema {schema} of {len(MIGRATIONS)}). Run: keystead backend migrate")


def _number(db: sqlite3.Connection, pragma: str) -> int:
    return int(db.execute(f"PRAGMA {pragma}").fetchone()[0])

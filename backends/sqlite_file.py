"""The SQLite file under the file backend: its address, its schema, how it is opened, and its errors as ours.

A file that is not ours, or of another schema than this version's, is refused before anything of it is touched.
"""

import contextlib
import os
import random
import sqlite3
import stat
import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

from backends import sqlite_0_1, sqlite_schema
from backends.protocol import IncompatibleStore, Unavailable
from backends.sqlite_schema import Migration

APPLICATION_ID = 0x4B657973  # "Keys"
OLDEST_SQLITE = (3, 37, 0)
"""Tables that are STRICT about their types."""
_BEGIN = "BEGIN IMMEDIATE"
_MAGIC, _HEADER = b"SQLite format 3\0", 100
PATIENCE = timedelta(seconds=10)
"""How long a write waits for other processes' writes before it says Unavailable."""

_ONE_RECORD_EACH = """
CREATE TABLE accounts (
    id TEXT PRIMARY KEY, version INTEGER NOT NULL, folded_username TEXT NOT NULL UNIQUE, folded_email TEXT NOT NULL,
    due_at INTEGER, document TEXT NOT NULL
) STRICT;

CREATE TABLE credentials (id BLOB PRIMARY KEY, account_id TEXT NOT NULL, rp_id TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE rp_ids (rp_id TEXT PRIMARY KEY, keys INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TRIGGER credential_added AFTER INSERT ON credentials BEGIN
    INSERT INTO rp_ids VALUES (new.rp_id, 1) ON CONFLICT (rp_id) DO UPDATE SET keys = keys + 1;
END;
CREATE TRIGGER credential_removed AFTER DELETE ON credentials BEGIN
    UPDATE rp_ids SET keys = keys - 1 WHERE rp_id = old.rp_id;
    DELETE FROM rp_ids WHERE keys = 0;
END;
"""

_INDEXES = """
CREATE INDEX accounts_by_email ON accounts (folded_email);
CREATE INDEX accounts_by_due_at ON accounts (due_at) WHERE due_at IS NOT NULL;
"""

MIGRATIONS: tuple[Migration, ...] = (
    *sqlite_0_1.MIGRATIONS,
    Migration(
        "Make each account one record",
        (sqlite_0_1.MAKE_ROOM, _ONE_RECORD_EACH, sqlite_0_1.copy_accounts, sqlite_0_1.CREDENTIALS_AND_DROP, _INDEXES),
    ),
)
"""What each schema adds to the one before it."""


def path(url: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc or not parts.path or parts.query or parts.fragment or "%00" in parts.path:
        raise IncompatibleStore(f"{url} is no address of a file: write file:///absolute/path.db or file:relative.db.")
    return Path(unquote(parts.path)).absolute()


class File:
    """The file that was opened at a path, which may be moved, removed or replaced while it is in use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._text = str(path)
        self._inode = _inode(self._text)
        self._log: tuple[int, int] | None = None

    @classmethod
    def opened(cls, path: Path) -> Self:
        """Once it is `prepare`d."""
        file = cls(path)
        file.check()
        return file

    def connect(self, timeout: float = 1) -> sqlite3.Connection:
        db = connect(self.path, timeout)
        self._log = self._log or _inode(f"{self._text}-wal")
        return db

    def check(self) -> None:
        """Unavailable if the path names another file by now, or none: what is written to ours would be lost with it.

        So it would with the log, which is there, and the same, while anybody has the file open.
        """
        if self._inode is None or _inode(self._text) != self._inode:
            raise Unavailable(f"{self.path} was moved, removed or replaced while it was in use.")
        if self._log and _inode(f"{self._text}-wal") != self._log:
            raise Unavailable(f"{self.path}-wal was removed while it was in use: stop whatever has it open, then start it again.")

    def or_unavailable(self) -> contextlib.AbstractContextManager[None]:
        return or_unavailable(self.path)

    def unavailable(self, error: Exception) -> Unavailable:
        return unavailable(self.path, error)


def _inode(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116  (for each write: a Path takes longer)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def connect(path: Path, timeout: float = 1) -> sqlite3.Connection:
    # mode=rw: a file that vanished is an error, and never a new, empty one. The close of another process's last connection
    # and the recovery after a crash lock even readers out for a moment, hence their time-out.
    address = f"file:{quote(str(path))}?mode=rw"
    db = sqlite3.connect(address, uri=True, isolation_level=None, timeout=timeout, check_same_thread=False, cached_statements=256)
    try:
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA journal_size_limit = 67108864")
    except BaseException:
        db.close()
        raise
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


def is_the_engines(error: Exception) -> bool:
    """Whether it is the engine's own trouble (a full disk, a damaged file), and not that of one statement."""
    return type(error) in (sqlite3.OperationalError, sqlite3.DatabaseError)


class or_unavailable:  # noqa: N801  (a block, as contextlib.suppress is one; ten for each logon, and a generator costs thrice that)
    """The engine's own errors as ours. What the engine says of a wrong statement stays as it is: that is our mistake."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and (is_the_engines(error)):
            raise unavailable(self._path, error) from error


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


def prepare(path: Path, *, migrate: bool = False) -> list[str]:
    """See to it that the file is ours and of this schema; the names of the steps that this took."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise IncompatibleStore(f"This Python has SQLite {sqlite3.sqlite_version}, and 3.37 is needed. MongoDB would do.")
    if migrate:
        _make(path)
    _check_file(path, may_be_empty=migrate)
    with _or_incompatible(path), contextlib.closing(connect(path)) as db:
        _check_ours(db, path)
        _patiently(db, "PRAGMA journal_mode = WAL")
        db.execute("PRAGMA cache_size = -16384")
        begin(db)
        schema = _number(db, "user_version")
        _check_schema(path, schema, migrate)
        missing = MIGRATIONS[schema:]
        sqlite_schema.apply(db, missing)
        if missing:  # else nothing is written, yet to have begun has shown that the file can be written
            _stamp(db, len(MIGRATIONS))
        db.execute("COMMIT")
        return [step.name for step in missing]


def make_0_1(path: Path, records: Iterable[tuple[str, dict[str, Any]]] = ()) -> None:
    """A file as version 0.1 left it, for `prepare(path, migrate=True)`; FileExistsError if there is one.

    `records` are those of a 0.1 backup: kind (`accounts`, `keys`, …) and fields, as parsed from a line. ValueError if one of
    them is none.
    """
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with or_unavailable(path), contextlib.closing(connect(path)) as db:
        db.execute(_BEGIN)
        sqlite_schema.apply(db, sqlite_0_1.MIGRATIONS)
        sqlite_0_1.insert(db, records)
        _stamp(db, len(sqlite_0_1.MIGRATIONS))
        db.execute("COMMIT")


def _stamp(db: sqlite3.Connection, schema: int) -> None:
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {schema}")


def _make(path: Path) -> None:
    """Unless it is there."""
    try:
        if not path.parent.is_dir():
            raise IncompatibleStore(f"There is no directory {path.parent} to keep the file in.")
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise unavailable(path, error) from error


def _check_file(path: Path, *, may_be_empty: bool) -> None:
    """Before SQLite opens it, whose words for most of this are the same. A file that is missed is never made anew."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise IncompatibleStore(
            f"There is no file {path}. If there was one, see that its disk is mounted and that the address names it. "
            "A new one is made by: keystead backend migrate"
        ) from None
    except OSError as error:
        raise unavailable(path, error) from error
    if stat.S_ISDIR(status.st_mode):
        raise IncompatibleStore(f"{path} is a directory: name a file in it.")
    if not stat.S_ISREG(status.st_mode):
        raise IncompatibleStore(f"{path} is no file, but a device, a pipe or a socket: name a file.")
    if not (status.st_size or may_be_empty or _beside(path, "-wal")):
        raise IncompatibleStore(
            f"{path} is empty. If it held records, restore a backup. If it never did, make it ready: keystead backend migrate"
        )
    if not os.access(path, os.W_OK):  # SQLite would open it, and fail at the first write only
        raise Unavailable(f"{path} cannot be used now: this user may not write it.")


def _beside(path: Path, end: str) -> int:
    """Bytes of a file of SQLite's own beside ours; 0 if there is none."""
    other = path.with_name(path.name + end)
    return other.stat().st_size if other.exists() else 0


@contextlib.contextmanager
def _or_incompatible(path: Path) -> Iterator[None]:
    """What no waiting mends is no Unavailable."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise
        if cut := _cut_off(path):
            raise IncompatibleStore(f"{path} was cut off: {cut}. Restore a backup into a new file.") from error
        if code == sqlite3.SQLITE_NOTADB:
            raise IncompatibleStore(f"{path} is not a Keystead file, nor any SQLite file.") from error
        raise IncompatibleStore(f"{path} is damaged: restore a backup into a new file.") from error


def _cut_off(path: Path) -> str:
    """How much of the file is left, by its header (SQLite file format §1.3); empty if it is whole, or no SQLite file."""
    with path.open("rb") as file:
        header = file.read(_HEADER)
    if not header.startswith(_MAGIC):
        return ""
    size = path.stat().st_size
    if len(header) < _HEADER:
        return f"only {size} bytes are left"
    page, pages = int.from_bytes(header[16:18]), int.from_bytes(header[28:32])
    whole = (65536 if page == 1 else page) * pages
    return f"{size:,} of {whole:,} bytes are left" if size < whole else ""


def _check_ours(db: sqlite3.Connection, path: Path) -> None:
    """Before anything of the file is touched, its journal mode included."""
    if _number(db, "application_id") != APPLICATION_ID and _number(db, "schema_version"):
        raise IncompatibleStore(f"{path} is another program's SQLite file, and was left alone.")


def _check_schema(path: Path, schema: int, migrate: bool) -> None:
    newest = len(MIGRATIONS)
    if schema > newest:
        raise IncompatibleStore(
            f"{path} was made by a newer Keystead (schema {schema}; this one knows {newest}): install that one."
        )
    if 0 < schema < newest and not migrate:
        raise IncompatibleStore(f"{path} is of an older Keystead (schema {schema} of {newest}). Run: keystead backend migrate")


def _number(db: sqlite3.Connection, pragma: str) -> int:
    return int(db.execute(f"PRAGMA {pragma}").fetchone()[0])

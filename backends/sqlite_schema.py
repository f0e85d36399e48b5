"""How the tables of an SQLite file come to be, step by step, and how times are held in them.

A step that was ever released is never edited; a new one is added. What brings a file from one schema to another is one
transaction: whoever interrupts it leaves the old file.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def milliseconds(at: datetime) -> int:
    """Since 1970, exactly: a float of seconds would lose the last of them."""
    return (at - EPOCH) // MILLISECOND


def from_milliseconds(number: int) -> datetime:
    return EPOCH + timedelta(milliseconds=number)


@dataclass(frozen=True, slots=True)
class Migration:
    """What a schema adds to the one before it: statements, and what only Python can do."""

    name: str
    steps: tuple[str | Callable[[sqlite3.Connection], None], ...]


def apply(db: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    """Within the transaction that the caller has begun."""
    for step in (step for migration in migrations for step in migration.steps):
        if callable(step):
            step(db)
        else:
            for statement in _statements(step):
                db.execute(statement)


def _statements(script: str) -> Iterator[str]:
    """Its statements one by one, within our transaction: `executescript` would commit. A trigger has semicolons of its own."""
    statement = ""
    for piece in script.split(";"):
        statement += f"{piece};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""

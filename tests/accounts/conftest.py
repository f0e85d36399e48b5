"""The time stands still, and a backend in a file for what is shown on a real one."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import pytest

from backends.file import FileBackend
from backends.protocol import Backend
from backends.records import Account
from tests.accounts.samples import NOW, SETTINGS, account
from webapp import clock
from webapp.accounts import commits
from webapp.accounts.context import Context
from webapp.metrics import Metrics


@pytest.fixture(autouse=True)
def _the_time_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "source", lambda: NOW)


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[Backend]:
    await FileBackend.migrate((tmp_path / "keystead.db").as_uri())
    opened = await FileBackend.open((tmp_path / "keystead.db").as_uri())
    yield opened
    await opened.close()


@pytest.fixture
def damage(backend: Backend, tmp_path: Path) -> Callable[[str], None]:
    """Makes an account's record one that cannot be read, as another program would."""

    def damage(account_id: str) -> None:
        with closing(sqlite3.connect(tmp_path / "keystead.db")) as db, db:
            db.execute("UPDATE accounts SET document = '{}' WHERE id = ?", (account_id,))

    return damage


@pytest.fixture
def ctx(backend: Backend) -> Context:
    return Context(SETTINGS, backend, Metrics(), address="192.0.2.1", browser="Firefox 156 on Linux")


class Stored(Protocol):
    """Stores an account, with these changes."""

    async def __call__(self, made: Account | None = None, **changes: Any) -> Account: ...


@pytest.fixture
def stored(ctx: Context) -> Stored:
    async def store(made: Account | None = None, **changes: Any) -> Account:
        return await commits.add(ctx, made or account(**changes))

    return store

"""What the site remembers, as far as a request that is refused must leave it alone.

That somebody was seen, that a nonce was used up, and that what was refused was recorded and told: these tests are not about it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from msgspec.structs import replace

from backends.records import Account, ChainLink, Event, Record, Session
from tests.views import mails
from webapp import clock
from webapp.accounts import expiry
from webapp.testing.site import Site


def records(site: Site) -> list[Record]:
    """Every account, and every event but that a key or a recovery code was refused."""

    async def dump() -> list[Record]:
        return [_kept(record) async for record in site.backend.dump() if not _is_refusal(record)]

    mails.settle(site)
    return site.call(dump)


@contextmanager
def nothing_changes(site: Site, *, but: Callable[[Record], bool] = lambda record: False) -> Iterator[None]:
    """What the site remembers is the same afterwards, but for what may change. What is due, perhaps since a test before has moved
    the clock, is done before, so that the sender does not do it meanwhile.
    """
    mails.look(site)
    before = [record for record in records(site) if not but(record)]
    yield
    assert [record for record in records(site) if not but(record)] == before


def _kept(record: Record) -> Record:
    """The record without what any request may leave behind."""
    if isinstance(record, Event):
        return replace(record, seq=0, mac=b"")
    live = expiry.expire(record, clock.now())
    sessions = tuple(_unseen(session) for session in live.sessions)
    live = replace(live, version=0, sessions=sessions, nonces=(), codes_refused=0, head=ChainLink(), seal=b"")
    return replace(live, notifications=(), notified_at={})


def _unseen(session: Session) -> Session:
    return replace(session, seen_at=session.begun_at, expires_at=session.begun_at)


def _is_refusal(record: Record) -> bool:
    return isinstance(record, Event) and record.kind in ("key refused", "recovery code refused")


def account_of(record: Record) -> str:
    """The id of the account that a record is of."""
    return record.id if isinstance(record, Account) else record.account_id

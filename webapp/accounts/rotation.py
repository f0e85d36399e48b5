"""Until when a secret that was replaced is still carried by something that lives: a session's cookie, or a mailed link.

Every server marks in the backend that its first secret signs: when it starts, every ten minutes, and when it stops. So it is
known when a secret signed last, however many machines there are, and though nothing else is kept of it. Never decides anything.
"""

from datetime import datetime, timedelta

from backends.protocol import Backend
from webapp import clock, signing
from webapp.accounts import links
from webapp.settings import Settings

MARK_EVERY = timedelta(minutes=10)
_KEPT = timedelta(days=1000)
"""How long a mark is kept: as a counter whose window begins with it."""


async def mark(backend: Backend, key: str) -> None:
    """This secret signs now."""
    await backend.forget_attempts(_bucket(key))
    await backend.count_attempt(_bucket(key), clock.now(), _KEPT)


async def last_signed(backend: Backend, key: str) -> datetime | None:
    """When this secret signed last, to ten minutes; None if that is not known, or if it never did."""
    marked = await backend.count_attempt(_bucket(key), clock.now(), _KEPT, cost=0)
    return marked.resets_at - _KEPT if marked.count else None


def needed_until(settings: Settings, last: datetime) -> datetime:
    """When the last of what a secret signed is over: a session, or a link in a mail."""
    return last + MARK_EVERY + max(settings.session_lifetime, *links.LIFETIMES.values())


def _bucket(key: str) -> str:
    return f"signs:{signing.key_id(key).hex()}"

"""The way into an app: a nonce that its host gives the browser, a ticket of ours that works once, and then the app's own cookie.

The cookie points at a session, and is gone with it. It is signed for one origin: whoever gets hold of it, such as the app, can
open nothing else with it.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from backends.records import Account, Session
from webapp import signing
from webapp.accounts import nonces, sessions
from webapp.accounts.apps import Place
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision
from webapp.settings import Settings

LIFETIME = timedelta(seconds=60)
NONCE_LIFETIME = timedelta(minutes=30)
"""How long somebody may take to log on, on the way into an app."""
_TICKET = "ticket "


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a ticket says that we signed: whose session may open which place, in the browser that has the nonce of this hash."""

    id: str
    account_id: str
    session_id: str
    origin: str
    path: str
    nonce_hash: str
    ends_at: datetime


def new_nonce() -> str:
    return secrets.token_urlsafe(24)


def hash_nonce(nonce: str) -> str:
    """What of a nonce travels in addresses."""
    return hashlib.sha256(f"keystead nonce {nonce}".encode()).hexdigest()


def issue(settings: Settings, account: Account, session: Session, place: Place, nonce_hash: str, now: datetime) -> str:
    """A ticket to this place, for whoever has the nonce."""
    ends = round((now + LIFETIME).timestamp() * 1000)
    value = [secrets.token_urlsafe(16), account.id, session.id, place.origin, place.path, nonce_hash, ends]
    return signing.dumps(settings.secret_keys, "ticket", value)


def read(settings: Settings, text: str) -> Ticket | None:
    """What the ticket says, also once it is over; None if we did not sign it."""
    match signing.loads(settings.secret_keys, "ticket", text):
        case [str(id), str(account_id), str(session_id), str(origin), str(path), str(nonce_hash), int(ends)]:
            return Ticket(id, account_id, session_id, origin, path, nonce_hash, datetime.fromtimestamp(ends / 1000, UTC))
    return None


def is_for(ticket: Ticket, origin: str, nonce: str) -> bool:
    """Whether it is for this origin, and for the browser that carries this nonce."""
    return ticket.origin == origin and hmac.compare_digest(ticket.nonce_hash, hash_nonce(nonce))


def cookie(settings: Settings, origin: str, account_id: str, session_id: str) -> str:
    """What the app's cookie carries."""
    return signing.sign(settings.secret_keys, f"app {origin}", f"{account_id}.{session_id}")


def read_cookie(settings: Settings, origin: str, text: str) -> tuple[str, str] | None:
    """The ids of account and session that the cookie points at; None if we did not sign it for this origin."""
    found = signing.unsign(settings.secret_keys, f"app {origin}", text)
    if found is None:
        return None
    account_id, _, session_id = found.rpartition(".")
    return account_id, session_id


def used_lately(account: Account, now: datetime) -> int:
    """How often somebody came into an app within the last minute."""
    return sum(each.id.startswith(_TICKET) and each.expires_at > now for each in account.nonces)


# operation


def use(account: Account, act: Act, ticket: Ticket) -> Decision:
    """The ticket is used up. Consumed if it was before; NotSignedIn if it is over, or its session has ended."""
    if ticket.ends_at <= act.now or sessions.find_entered(account, ticket.session_id, act.now) is None:
        raise sessions.NotSignedIn
    return Decision(nonces.consume(account, act.now, f"{_TICKET}{ticket.id}", ticket.ends_at))

"""Where somebody is logged on. What the browser carries is `account id.256 random bits`; what is kept is its SHA-256.

Every step up (password, proof, key, bind, unbind) makes a new token, so that a token seen or planted before is worth nothing
after (CWE-384). A session that has given the password only is never taken for more (CVE-2026-45690).
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec.structs import replace

from backends.records import Account, Proof, SecurityKey, Session, Stage
from webapp.accounts import required
from webapp.accounts.context import Act, Claim
from webapp.accounts.decision import Decision
from webapp.accounts.events import Happened
from webapp.settings import Settings

PASSWORD_ONLY_LIFETIME = timedelta(minutes=10)
"""How long the key may be owed."""
PROOF_LIFETIME = timedelta(minutes=10)
FRESH = timedelta(minutes=1)
"""How young a proof must be for what wants a touch of its own."""
SEEN_EVERY = timedelta(minutes=1)
"""How exact `seen_at` is: a commit for every request would cost too much."""
MAX_SESSIONS = 50
MAX_PASSWORD_ONLY = 20
"""They have a bound of their own: who knows the password alone must not push out whoever is logged on."""


class NotSignedIn(Exception):
    """There is no session that may do this."""


class KeyOwed(Exception):
    """The password was given; the key is still owed."""


class AlreadySignedIn(Exception):
    """Something of the logon, asked for by somebody who has logged on."""


class BindingOwed(Exception):
    """Everything was given that is owed at logon; but a key is required, and none is bound."""


class NotProven(Exception):
    """Authenticated, but without a proof, or with one that is too old."""


def new_token(account_id: str) -> str:
    """A token for this account, which is nobody's yet."""
    return f"{account_id}.{secrets.token_urlsafe(32)}"


def account_of(token: str) -> str:
    """The id of the account that a token names."""
    return token.rpartition(".")[0]


def hash_token(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def find(account: Account, token_hash: bytes, now: datetime) -> Session | None:
    """The live session with this token; None also for an account that is frozen to it."""
    found = next((each for each in account.sessions if hmac.compare_digest(each.token_hash, token_hash)), None)
    return found if found and _is_live(account, found, now) else None


def find_entered(account: Account, session_id: str, now: datetime) -> Session | None:
    """The live session with this id, if it has given everything that is owed at logon."""
    found = next((each for each in account.sessions if each.id == session_id), None)
    return found if found and found.stage == "authenticated" and _is_live(account, found, now) else None


def _is_live(account: Account, session: Session, now: datetime) -> bool:
    if session.expires_at <= now or is_shut(account):
        return False
    return not (account.frozen_at and session.stage == "authenticated")


def require(account: Account, claim: Claim, now: datetime, settings: Settings) -> Session:
    """The session that the claim names, if it has what the claim says.

    NotSignedIn, KeyOwed, AlreadySignedIn, BindingOwed or NotProven otherwise.
    """
    session = find(account, claim.token_hash, now)
    if session is None:
        raise NotSignedIn
    if claim.level == "password_only":
        if session.stage != "password_only":
            raise AlreadySignedIn
        return session
    if session.stage != "authenticated":
        raise KeyOwed
    if not claim.to_bind and owes_binding(account, now, settings):
        raise BindingOwed
    if claim.level != "authenticated" and not is_proven(
        account, session, now, FRESH if claim.level == "fresh" else PROOF_LIFETIME
    ):
        raise NotProven
    return session


def is_proven(account: Account, session: Session, now: datetime, within: timedelta = PROOF_LIFETIME) -> bool:
    """Whether the session has shown lately that it is the person.

    Keys bound: only touching one of them (or a recovery code) shows it; a code by e-mail never does (CVE-2026-3429), and where no
    key is bound, typing a code again shows nothing more within the ten minutes. A recovery code lasts for these: whoever has used
    one has no key to touch.
    """
    if session.proven_at is None or session.proof is None:
        return False
    if session.proof == "recovery" or not keys_in_force(account):
        return now - session.proven_at < PROOF_LIFETIME
    return session.proof != "code" and now - session.proven_at < within


def live_keys(account: Account) -> tuple[SecurityKey, ...]:
    """The keys that are not suspended."""
    return tuple(key for key in account.keys if key.suspended_at is None)


def keys_in_force(account: Account) -> tuple[SecurityKey, ...]:
    """The keys of which one is needed: those that are not suspended; all, where every one is, and no wait has opened the account.

    Otherwise whoever reads the mailbox could have the only key suspended, and get in without it.
    """
    return live_keys(account) or (() if account.opened_at else account.keys)


def binding_due_at(account: Account, settings: Settings) -> datetime | None:
    """From when on a key must be bound before anything else; None where none is required, or one is in force."""
    return None if keys_in_force(account) else required.since(account, settings)


def owes_binding(account: Account, now: datetime, settings: Settings) -> bool:
    """Whether a key must be bound before anything else, by now."""
    due_at = binding_due_at(account, settings)
    return due_at is not None and due_at <= now


def is_shut(account: Account) -> bool:
    """Whether the account is frozen, and no new password has been set since, or none would help."""
    return account.barred or (account.frozen_at is not None and account.password_at <= account.frozen_at)


def get(account: Account, session_id: str) -> Session:
    """The session with this id; NotSignedIn if it ended."""
    found = next((each for each in account.sessions if each.id == session_id), None)
    if found is None:
        raise NotSignedIn
    return found


def is_authenticated(account: Account, token: str) -> bool:
    """Whether the session with this token has given everything that is owed."""
    wanted = hash_token(token)
    return any(each.token_hash == wanted and each.stage == "authenticated" for each in account.sessions)


def begin(account: Account, act: Act, token: str, stage: Stage) -> Account:
    """The account with a new session; what it replaces in the same browser is ended, and so is one where there are too many."""
    lifetime = _expiry(act, act.now) if stage == "authenticated" else act.now + PASSWORD_ONLY_LIFETIME
    session = Session(
        id=_id_of(token), token_hash=hash_token(token), stage=stage, begun_at=act.now,
        seen_at=act.now, expires_at=lifetime, address=act.address, browser=act.browser,
        device=act.device.id if act.device else "", entered_at=act.now if stage == "authenticated" else None,
    )  # fmt: skip
    return replace(account, sessions=_bounded(account.sessions, session, act.now))


def step_up(account: Account, act: Act, session: Session, token: str, proof: Proof | None = None) -> Account:
    """The account with this session under a new token, authenticated, and with this proof if one is given."""
    stepped = replace(
        session,
        token_hash=hash_token(token),
        stage="authenticated",
        seen_at=act.now,
        expires_at=_expiry(act, session.begun_at),
        entered_at=act.now if session.stage == "password_only" else session.entered_at,
        number_until=None,
        proof=proof or session.proof,
        proven_at=act.now if proof else session.proven_at,
    )
    return replace(account, sessions=_bounded(account.sessions, stepped, act.now))


def in_place(account: Account, changed: Session) -> Account:
    """The account with this session as it is now."""
    return replace(account, sessions=tuple(changed if each.id == changed.id else each for each in account.sessions))


def keep_only(account: Account, session_id: str | None) -> Account:
    """The account without its sessions, but for the one with this id."""
    return replace(account, sessions=tuple(each for each in account.sessions if each.id == session_id))


# operations


def seen(account: Account, act: Act, session_id: str) -> Decision:
    """The session was used now."""
    session = get(account, session_id)
    if act.now - session.seen_at < SEEN_EVERY:
        return Decision(account)
    account, events = required.noted(account, act)
    session = replace(session, seen_at=act.now, expires_at=_expiry(act, session.begun_at))
    return Decision(in_place(account, session), events)


def end(account: Account, act: Act, session_id: str) -> Decision:
    """One session is ended from another; NotSignedIn if there is none with this id."""
    get(account, session_id)
    return Decision(_without(account, session_id), [Happened("session ended")])


def end_others(account: Account, act: Act, session_id: str) -> Decision:
    """Every session but this one is ended."""
    return Decision(keep_only(account, session_id), [Happened("sessions ended")])


def leave(account: Account, act: Act, session_id: str) -> Decision:
    """The session with this id is ended by an app, if there is one."""
    found = find_entered(account, session_id, act.now)
    return Decision(_without(account, found.id), [Happened("logged off")]) if found else Decision(account)


def log_off(account: Account, act: Act, token_hash: bytes) -> Decision:
    """The session with this token is ended, if there is one."""
    session = find(account, token_hash, act.now)
    if session is None:
        return Decision(account)
    return Decision(_without(account, session.id), [Happened("logged off")] if session.stage == "authenticated" else [])


def _without(account: Account, session_id: str) -> Account:
    return replace(account, sessions=tuple(each for each in account.sessions if each.id != session_id))


def _bounded(sessions: Iterable[Session], newest: Session, now: datetime) -> tuple[Session, ...]:
    """With the newest, but without what it replaces, what is over, and the least recently seen where there are too many.

    A browser carries one cookie: whoever logs on again in it has lost the session before, or somebody else has it.
    """
    live = [each for each in sessions if each.expires_at > now and not _is_replaced(each, newest)]
    live.append(newest)
    kept = {each.id for stage, most in _BOUNDS for each in _latest_seen(live, stage, most)}
    return tuple(each for each in live if each.id in kept)


_BOUNDS: tuple[tuple[Stage, int], ...] = (("authenticated", MAX_SESSIONS), ("password_only", MAX_PASSWORD_ONLY))


def _is_replaced(session: Session, newest: Session) -> bool:
    if session.id == newest.id:
        return True
    same_browser = bool(newest.device) and session.device == newest.device
    return same_browser and (newest.stage == "authenticated" or session.stage == "password_only")


def _latest_seen(sessions: Iterable[Session], stage: Stage, most: int) -> list[Session]:
    return sorted((each for each in sessions if each.stage == stage), key=lambda each: each.seen_at)[-most:]


def _id_of(token: str) -> str:
    """An id that follows from the first token of a session, and tells nothing of it."""
    return hashlib.sha256(f"keystead session {token}".encode()).hexdigest()[:32]


def _expiry(act: Act, begun_at: datetime) -> datetime:
    return min(begun_at + act.settings.session_lifetime, act.now + act.settings.session_idle)

"""What operations are tried on: a moment, an account, somebody logged on, and a key that really signs."""

from datetime import UTC, datetime, timedelta
from typing import Any, Unpack

from msgspec.structs import replace

from backends.records import Account, Proof, SecurityKey, Session, Stage
from webapp.accounts import ceremonies, keys, sessions
from webapp.accounts.ceremonies import Answer, Ceremony
from webapp.accounts.context import Act
from webapp.settings import Settings
from webapp.testing.stub_key import Faults, StubKey

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
"""What the clock says in every test of this folder."""
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MILLISECOND = timedelta(milliseconds=1)
ORIGIN = "https://account.example.com"


def settings(**changes: Any) -> Settings:
    given: dict[str, Any] = {
        "public_url": ORIGIN,
        "secret_keys": ("first secret " * 4,),
        "backend": "",
        "mail": "",
        "mail_from": "keystead@example.com",
    }
    return Settings(**given | changes)


SETTINGS = settings()


def act(after: timedelta = timedelta(), **changes: Any) -> Act:
    """So long after the moment at which everything begins."""
    given: dict[str, Any] = {"now": NOW + after, "settings": SETTINGS, "address": "192.0.2.1", "browser": "Firefox 156 on Linux"}
    return Act(**given | changes)


def account(**changes: Any) -> Account:
    long_ago = NOW - 30 * DAY
    made = Account(
        id="alices-id", username="alice", email="alice@example.com", password_hash="$alices",
        created_at=long_ago, password_at=long_ago,
    )  # fmt: skip
    return replace(made, **changes)


def key(id: bytes = b"key", **changes: Any) -> SecurityKey:
    """One that nobody can sign with."""
    made = SecurityKey(
        id=id, name=f"Key {id.decode()}", public_key=b"", sign_count=0, aaguid=bytes(16), attestation="none", transports=("usb",),
        rp_id="account.example.com", bound_at=NOW - DAY,
    )  # fmt: skip
    return replace(made, **changes)


def logged_on(
    account: Account, proof: Proof | None = None, stage: Stage = "authenticated", after: timedelta = timedelta()
) -> tuple[Account, Session, str]:
    """The account with one more session, that session, and its token."""
    token = sessions.new_token(account.id)
    account = sessions.begin(account, act(after), token, stage)
    session = account.sessions[-1]
    if proof:
        session = replace(session, proof=proof, proven_at=NOW + after)
        account = replace(account, sessions=(*account.sessions[:-1], session))
    return account, session, token


def bound(account: Account, stub: StubKey | None = None, *, at: timedelta = -DAY) -> tuple[Account, StubKey]:
    """The account with a key bound by a real ceremony, as if it had been done then; without session, letters and nonces of it."""
    stub = stub or StubKey()
    with_session, session, token = logged_on(account, "code")
    answer = answered(ceremonies.begin_bind(SETTINGS, with_session, session.id), stub)
    (*_, made) = keys.bind(with_session, act(), session.id, answer, "", token).account.keys
    return replace(account, keys=(*account.keys, replace(made, bound_at=NOW + at))), stub


def answered(ceremony: Ceremony, stub: StubKey, **faults: Unpack[Faults]) -> Answer:
    """What the page sends once the key was touched."""
    ask = stub.create if ceremony.kind == "create" else stub.get
    return Answer(ceremony.token, ask(ceremony.options, ORIGIN, **faults), "")


def touched(
    account: Account, session: Session, stub: StubKey, purpose: ceremonies.Use = "logon", **faults: Unpack[Faults]
) -> Answer:
    """A touch of this key, for this session."""
    ceremony = ceremonies.begin_use(SETTINGS, purpose, account, session.id, account.keys)
    return answered(ceremony, stub, **faults)

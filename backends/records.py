"""What Keystead remembers, as frozen records without behaviour.

Every time is an aware UTC datetime cut to milliseconds; every id and digest is opaque. A record never holds
a secret that could be used as it stands: passwords, codes, recovery codes and session tokens are here only as hashes.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Stage = Literal["half", "full"]
Proof = Literal["key", "code", "recovery"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person's record. `listed` puts the account into the preview by name; a frozen account cannot log on."""

    id: str
    username: str
    email: str
    password_hash: str
    created_at: datetime
    password_at: datetime
    listed: bool = False
    frozen_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityKey:
    """A bound credential: `id` is the credential id (1 to 1,023 bytes), `public_key` its COSE key in CBOR."""

    id: bytes
    account_id: str
    name: str
    public_key: bytes
    sign_count: int
    aaguid: bytes
    attestation: str
    transports: tuple[str, ...]
    rp_id: str
    bound_at: datetime
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Where an account is logged on. `id` stays the same while `token_hash` changes with every step up.

    A `half` session has given the password and still owes the key. `proof` says what `proven_at` rests on.
    """

    id: str
    token_hash: bytes
    account_id: str
    stage: Stage
    begun_at: datetime
    seen_at: datetime
    expires_at: datetime
    address: str
    browser: str
    proof: Proof | None = None
    proven_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Who shows a session's token: the session, its account, and the account's keys, oldest first."""

    session: Session
    account: Account
    keys: list[SecurityKey]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationCode:
    """A code that was sent: an account has one for each purpose. The digits follow from `salt` and a key of ours."""

    account_id: str
    purpose: str
    session_id: str
    email: str
    salt: bytes
    digest: bytes
    tries_left: int
    made_at: datetime
    sent_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryCode:
    """One code of an account's set; `spent_at` is None until it has been used."""

    account_id: str
    digest: bytes
    made_at: datetime
    spent_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Something that works once (a ceremony, a mailed link) and has been used; kept until it would have expired."""

    id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A key that answered this ceremony, and what its counter was then. Not kept as such: it is put down in the key."""

    key_id: bytes
    sign_count: int
    at: datetime
    ceremony: Spent


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened on an account. `seq` counts from 1 without gaps; `mac` seals it to the one before."""

    account_id: str
    seq: int
    kind: str
    at: datetime
    address: str
    browser: str
    detail: str
    mac: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """How often a bucket was counted in its window, and when the window ends."""

    count: int
    resets_at: datetime


Record = Account | SecurityKey | Session | VerificationCode | RecoveryCode | Spent | Event

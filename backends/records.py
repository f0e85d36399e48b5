"""What Keystead remembers, as frozen records without behaviour. An account is one record: all that belongs to it is inside.

Every time is an aware UTC datetime cut to milliseconds; every id and digest is opaque. A record never holds a secret that could
be used as it stands: passwords, codes, recovery codes and session tokens are here only as hashes.
"""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

Stage = Literal["password_only", "authenticated"]
Proof = Literal["key", "code", "recovery"]
Wish = Literal["bound", "required"]
Moment = Annotated[datetime, Meta(tz=True)]
"""A time without its zone, which only somebody else could have stored, is none: to compare it with ours is an error."""


class SecurityKey(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A bound credential: `id` is the credential id (1 to 1,023 bytes), `public_key` its COSE key in CBOR.

    A suspended key is bound, but asked for by no logon while another key is, until somebody decides. One that was mislaid is
    suspended by its owner: a touch of it decides, also at a logon; it is unbound if nobody has touched it until `mislaid_until`.
    """

    id: bytes
    name: str
    public_key: bytes
    sign_count: int
    aaguid: bytes
    attestation: str
    transports: tuple[str, ...]
    rp_id: str
    bound_at: Moment
    used_at: Moment | None = None
    suspended_at: Moment | None = None
    mislaid_until: Moment | None = None


class Session(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where an account is logged on. `id` stays the same while `token_hash` changes with every step up.

    A `password_only` session still owes the key. `proof` says what `proven_at` rests on; `device` is the browser's random id;
    `entered_at` is since when it is authenticated; until `number_until` the help desk finds it by its number.
    """

    id: str
    token_hash: bytes
    stage: Stage
    begun_at: Moment
    seen_at: Moment
    expires_at: Moment
    address: str
    browser: str
    proof: Proof | None = None
    proven_at: Moment | None = None
    device: str = ""
    entered_at: Moment | None = None
    number_until: Moment | None = None


class VerificationCode(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A code that was sent: an account has one for each purpose. The digits follow from `salt` and a key of ours."""

    purpose: str
    session_id: str
    email: str
    salt: bytes
    digest: bytes
    tries_left: int
    made_at: Moment
    sent_at: Moment
    expires_at: Moment


class RecoveryCode(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One code of an account's set; `spent_at` is None until it has been used."""

    digest: bytes
    made_at: Moment
    spent_at: Moment | None = None


class Nonce(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that works once (a ceremony, a mailed link) and has been used; kept until it would have expired."""

    id: str
    expires_at: Moment


class Notification(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A letter that the account is still owed: facts, from which it is composed when it is sent.

    `due_at` is when to send it next; whoever sends moves it ahead first, and names itself as `holder`, so that nobody else sends
    it. `zone` is how many minutes the browser's clock was ahead of UTC, `language` the code of the one it read us in.
    """

    id: str
    kind: str
    to: str
    at: Moment
    due_at: Moment
    address: str = ""
    browser: str = ""
    facts: dict[str, str] = {}
    attempts: int = 0
    holder: str = ""
    zone: int | None = None
    language: str = ""


class Invitation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whoever gets the mail at `email` may join until `ends_at`."""

    email: str
    ends_at: Moment


class Opening(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The account was asked to open without a key, once a wait is over, unless one of its keys is touched before.

    With a `token_hash` it is a pass: the help desk lets the browser in that carries this token, once.
    """

    asked_at: Moment
    opens_at: Moment
    token_hash: bytes = b""


class App(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An application behind the site, known by its origins: lower case, as a browser writes them, without a default port.

    `key` says of whom it wants one: of whoever has one bound, or of everybody; `fresh` how many minutes old a proof may be; it is
    open to accounts that are in one of `groups`, or to everybody where there are none.
    """

    name: str
    origins: tuple[str, ...]
    added_at: Moment
    title: str = ""
    key: Wish = "bound"
    fresh: int | None = None
    groups: tuple[str, ...] = ()


class ChainLink(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event's place in the chain of an account's events: its `seq` (0: before the first) and its `mac`."""

    seq: int = 0
    mac: bytes = b""


class Account(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person's record and all that belongs to it; `version` counts its commits.

    `listed` puts it into the preview by name; `groups` are sorted; `language` is the code of the one that its owner chose;
    `key_due_at` is from when on it needs a key, where one is required; one with an `invitation` has nobody yet; a frozen account
    cannot log on. `opened_at` is since when it opens without its suspended keys, because a wait was over. `head` is the newest
    event, `checkpoint` the newest of those that were deleted because they were old; `seal` is the MAC over both and over the
    account's security state. `devices_at` is since when device cookies count; `codes_refused` is how many wrong recovery codes
    were typed since the last logon; `notified_at` is when a notification of a kind was last owed, for kinds that are bounded. A
    `barred` account is frozen until whoever runs the site opens it. Of a removed one only letters are left, and its events if
    they are to be kept. Only the site's own record, which is nobody's, has `apps`.
    """

    id: str
    username: str
    email: str
    password_hash: str
    created_at: Moment
    password_at: Moment
    listed: bool = False
    groups: tuple[str, ...] = ()
    language: str = ""
    invitation: Invitation | None = None
    key_due_at: Moment | None = None
    frozen_at: Moment | None = None
    devices_at: Moment | None = None
    opening: Opening | None = None
    opened_at: Moment | None = None
    keys: tuple[SecurityKey, ...] = ()
    sessions: tuple[Session, ...] = ()
    codes: tuple[VerificationCode, ...] = ()
    recovery_codes: tuple[RecoveryCode, ...] = ()
    codes_refused: int = 0
    nonces: tuple[Nonce, ...] = ()
    notifications: tuple[Notification, ...] = ()
    notified_at: dict[str, Moment] = {}
    barred: bool = False
    removed_at: Moment | None = None
    events_kept: bool = False
    apps: tuple[App, ...] = ()
    head: ChainLink = ChainLink()
    checkpoint: ChainLink = ChainLink()
    seal: bytes = b""
    version: int = 1


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened on an account. `seq` counts from 1 without gaps.

    `state` is a digest of the account's security state after it; `mac` covers all of it and the event before.
    """

    account_id: str
    seq: int
    kind: str
    at: Moment
    address: str
    browser: str
    detail: str
    mac: bytes
    state: bytes = b""


class Attempts(Struct, frozen=True, kw_only=True):
    """How often a bucket was counted in its window, and when the window ends."""

    count: int
    resets_at: Moment


Record = Account | Event

"""What can be done to an account's security keys. Whether a key is needed is counted from the keys there are, never a flag."""

import unicodedata
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from datetime import datetime

from msgspec.structs import replace

from backends.records import Account, SecurityKey
from webapp.accounts import ceremonies, opening, owed, preview, recovery, sessions
from webapp.accounts.ceremonies import Answer
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision, Refused
from webapp.accounts.events import Happened
from webapp.settings import Settings

MAX_KEYS = 20
MAX_NAME = 64
MAX_TEXT = 1024
"""Characters of a name that are looked at: normalising a long text takes time that grows with its square."""


class KeyNotBound(Refused):
    """The account has no such key (any more)."""

    def __init__(self) -> None:
        super().__init__("not bound")


def asked(account: Account, settings: Settings) -> tuple[SecurityKey, ...]:
    """The keys of which one is needed at logon; none where the password is enough.

    An account that was frozen opens only together with a key, a suspended one too: the mailbox alone never removes a factor. A
    mislaid key will do wherever another one is asked for: whoever has found it shows that by its touch.
    """
    if account.frozen_at:
        return account.keys
    in_force = sessions.keys_in_force(account) if preview.includes(settings, account) else ()
    return tuple(key for key in account.keys if key in in_force or key.mislaid_until) if in_force else ()


def find(account: Account, key_id: bytes | None) -> SecurityKey:
    """The key with this id; KeyNotBound if there is none."""
    found = next((key for key in account.keys if key.id == key_id), None)
    if found is None:
        raise KeyNotBound
    return found


def slug(key_id: bytes) -> str:
    """The credential id in an address."""
    return urlsafe_b64encode(key_id).decode().rstrip("=")


def id_of(slug: str) -> bytes | None:
    """The credential id that an address names; None if it names none."""
    try:
        return urlsafe_b64decode(slug + "=" * (-len(slug) % 4))
    except ValueError:
        return None


def normalise(name: str) -> str:
    """A name as it may be shown: one line, no control or direction characters (category C), not too long."""
    composed = unicodedata.normalize("NFC", name) if len(name) <= MAX_TEXT else ""
    shown = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in composed)
    return " ".join(shown.split())[:MAX_NAME].strip()


UNNAMED = "Security key"
"""What a key is called that nobody gave a name, not even a page."""


def suggestion(account: Account, words: str) -> str:
    """A name that none of the keys has yet, which begins with these words."""
    taken = {key.name for key in account.keys}
    names = (words, *(f"{words} {n}" for n in range(2, len(taken) + 2)))
    return next(name for name in names if name not in taken)


def newest(account: Account) -> SecurityKey | None:
    return max(account.keys, key=lambda key: key.bound_at, default=None)


def last_used(account: Account) -> SecurityKey | None:
    return max((key for key in account.keys if key.used_at), key=lambda key: key.used_at or key.bound_at, default=None)


# operations


def bind(account: Account, act: Act, session_id: str, answer: Answer, name: str, token: str) -> Decision:
    """The key that answered is bound, every other session ended, and this one stepped up under `token`."""
    if len(account.keys) >= MAX_KEYS:
        raise ceremonies.Failed("too many keys")
    account, credential = ceremonies.register(account, act, session_id, answer)
    if any(key.id == credential.id for key in account.keys):
        raise ceremonies.Failed("taken", trace=Decision(account))
    key = SecurityKey(
        id=credential.id,
        name=normalise(name) or suggestion(account, UNNAMED),
        public_key=credential.public_key,
        sign_count=credential.sign_count,
        aaguid=credential.aaguid,
        attestation=credential.attestation,
        transports=credential.transports,
        rp_id=act.settings.rp_id,
        bound_at=act.now,
    )
    session = sessions.get(account, session_id)
    account = sessions.step_up(sessions.keep_only(account, session_id), act, session, token, "key")
    account, stopped = opening.stop(replace(account, keys=(*account.keys, key), opened_at=None))
    account = owed.owe(account, act, "key bound", facts={"key": key.name})
    return Decision(account, [*stopped, Happened("key bound", key.name)])


def rename(account: Account, act: Act, key_id: bytes | None, name: str) -> Decision:
    """The key has another name. KeyNotBound, or Refused("no name")."""
    key, plain = find(account, key_id), normalise(name)
    if not plain:
        raise Refused("no name")
    return Decision(in_place(account, replace(key, name=plain)), [Happened("key renamed", plain)])


def unbind(account: Account, act: Act, key_ids: Iterable[bytes | None], *, by: str = "") -> Decision:
    """The account without these keys. KeyNotBound if one is not bound.

    With the last of them (a suspended one counts) its recovery codes are void, and an opening that waits is over: both would be
    about keys that are bound later. Whoever calls it says what becomes of the sessions. `by`: who did it, where it was not the
    person.
    """
    events: list[Happened] = []
    for key in [find(account, key_id) for key_id in key_ids]:
        account = replace(account, keys=tuple(each for each in account.keys if each.id != key.id))
        account = owed.without_about(account, slug(key.id))
        account = owed.owe(account, act, "key unbound", facts={"key": key.name} | ({"by": by} if by else {}))
        events.append(Happened("key unbound", key.name))
    if not account.keys:
        account, void = recovery.void(account)
        account, stopped = opening.stop(account)
        events += [*void, *stopped]
    return Decision(account, events)


def unbind_here(account: Account, act: Act, key_id: bytes | None, session_id: str, token: str) -> Decision:
    """Unbound from a session, which goes on under `token`; every other one is ended."""
    account, events = unbind(account, act, [key_id])
    session = sessions.get(account, session_id)
    return Decision(sessions.step_up(sessions.keep_only(account, session_id), act, session, token), events)


def unbind_all_sessions(account: Account, act: Act, key_ids: Iterable[bytes | None], *, by: str) -> Decision:
    """Unbound by whoever runs the site; every session is ended."""
    account, events = unbind(account, act, key_ids, by=by)
    return Decision(sessions.keep_only(account, None), events)


def unbind_earlier(account: Account, act: Act, domain: str, *, by: str) -> Decision:
    """Without the keys of a domain that the site moved from, once a key is bound here; sessions go on.

    Refused("needed") where none is that is asked for: its keys of then keep the account closed to whoever has the password only.
    """
    here = any(key.rp_id == act.settings.rp_id for key in sessions.keys_in_force(account))
    if domain == act.settings.rp_id or account.frozen_at or not here:
        raise Refused("needed")
    return unbind(account, act, [key.id for key in account.keys if key.rp_id == domain], by=by)


def reinstate(account: Account, act: Act, key_id: bytes | None) -> Decision:
    """A suspended key is asked for again; one that was mislaid is found, which is told by mail."""
    key = find(account, key_id)
    if key.suspended_at is None:
        return Decision(account)
    account = replace(in_place(account, replace(key, suspended_at=None, mislaid_until=None)), opened_at=None)
    if not key.mislaid_until:
        return Decision(account, [Happened("key reinstated", key.name)])
    account = owed.owe(owed.without_about(account, slug(key.id)), act, "key found", facts={"key": key.name})
    return Decision(account, [Happened("key found", key.name)])


def suspend(account: Account, act: Act, since: datetime) -> tuple[Account, list[Happened]]:
    """The account whose keys that were bound since then are suspended."""
    events = [Happened("key suspended", key.name) for key in account.keys if _is_to_suspend(key, since)]
    changed = (replace(key, suspended_at=act.now) if _is_to_suspend(key, since) else key for key in account.keys)
    return (replace(account, keys=tuple(changed)), events) if events else (account, [])


def _is_to_suspend(key: SecurityKey, since: datetime) -> bool:
    return key.bound_at >= since and key.suspended_at is None


def in_place(account: Account, changed: SecurityKey) -> Account:
    """The account with this key as it is now."""
    return replace(account, keys=tuple(changed if each.id == changed.id else each for each in account.keys))

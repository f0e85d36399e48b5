"""Who somebody is: username, e-mail address, password; and the freeze that *This was not me* puts on an account."""

import secrets
from datetime import datetime

from msgspec.structs import replace

from backends.protocol import MAX_NAME
from backends.records import Account
from webapp.accounts import codes, keys, links, mislaying, opening, owed, recovery, sessions
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision, Refused
from webapp.accounts.events import Happened
from webapp.accounts.links import Link
from webapp.settings import ADDRESS, Settings

MAX_USERNAME = 64
SITE = "site"
"""The id of the record that is the site's own: nobody's, under a name that nobody can type. On it stand the apps."""


def is_username(text: str) -> bool:
    """1 to 64 printable characters, without blanks around them."""
    return 0 < len(text) <= MAX_USERNAME and text == text.strip() and text.isprintable()


def is_address(text: str) -> bool:
    """An e-mail address as we write to it."""
    return len(text) <= MAX_NAME and text.isprintable() and ADDRESS.fullmatch(text) is not None


def new(
    username: str, email: str, password_hash: str, now: datetime, *, listed: bool = False, groups: tuple[str, ...] = ()
) -> Account:
    """An account that nobody has stored yet."""
    return Account(
        id=secrets.token_urlsafe(16),
        username=username,
        email=email,
        password_hash=password_hash,
        created_at=now,
        password_at=now,
        listed=listed,
        groups=groups,
    )


def is_somebody(account: Account) -> bool:
    """Whether it is anybody's account: not an invitation, nor what is kept of one that was removed, nor the site's own record."""
    return account.invitation is None and account.removed_at is None and account.id != SITE


def names(account: Account, settings: Settings) -> tuple[str, ...]:
    """What a password must not be."""
    return account.username, account.email, settings.name


def masked(email: str) -> str:
    """Enough of an address to recognise one's own: `a•••e@example.com`."""
    local, _, domain = email.rpartition("@")
    return f"{masked_name(local)}@{domain}"


def masked_name(name: str) -> str:
    """Enough of a username to recognise one's own: `a•••e`."""
    return f"{name[:1]}•••{name[-1:] if len(name) > 3 else ''}"


# operations


def change_password(account: Account, act: Act, old_hash: str, new_hash: str, session_id: str, token: str) -> Decision:
    """Another password, by whoever gave the old one; this session goes on under `token`, every other one is ended.

    Refused("changed") if the old one is not the password any more.
    """
    if account.password_hash != old_hash:
        raise Refused("changed")
    session = sessions.get(account, session_id)
    account = _with_password(sessions.keep_only(account, session_id), act, new_hash)
    return Decision(sessions.step_up(account, act, session, token), [Happened("password changed")])


def set_password(account: Account, act: Act, new_hash: str) -> Decision:
    """Another password, by whoever runs the site; every session is ended."""
    return Decision(_with_password(sessions.keep_only(account, None), act, new_hash), [Happened("password changed")])


def reset_password(account: Account, act: Act, link: Link, new_hash: str) -> Decision:
    """Another password by a mailed link, which is used up; every session is ended, and the key is asked for as ever.

    Refused("over") if the password or the address is not the one any more that the link was made for; Consumed.
    """
    if links.fingerprint(account) != link.fact:
        raise Refused("over")
    account = sessions.keep_only(links.consume(account, act.now, link), None)
    return Decision(_with_password(account, act, new_hash), [Happened("password reset")])


def change_email(account: Account, act: Act, session_id: str, typed: str, token: str) -> Decision:
    """The address that the code was mailed to; this session goes on under `token`, every other one is ended. Wrong otherwise."""
    account, code = codes.consume(account, act, session_id, "email", typed)
    session = sessions.get(account, session_id)
    decision = set_email(sessions.keep_only(account, session_id), act, code.email)
    return Decision(sessions.step_up(decision.account, act, session, token), decision.events)


def set_email(account: Account, act: Act, email: str) -> Decision:
    """Another address; the old one is told, and gets no link any more that it was still owed."""
    account = owed.without(account, "reset", "known browser")
    account = owed.owe(account, act, "e-mail changed", to=account.email, facts={"new": masked(email)})
    account = replace(account, email=email, codes=())
    return Decision(account, [Happened("e-mail changed", masked(email))])


def rename(account: Account, act: Act, username: str) -> Decision:
    """Another username, by whoever runs the site, and told. The old one is free at once. The commit may find it taken."""
    if account.username == username:
        return Decision(account)
    account = owed.owe(account, act, "renamed", facts={"new": username, "before": account.username})
    return Decision(replace(account, username=username), [Happened("account renamed", username)])


def speak(account: Account, act: Act, language: str) -> Decision:
    """Read, and written to, in the language of this code."""
    return Decision(account if account.language == language else replace(account, language=language))


def list_for_preview(account: Account, act: Act, listed: bool) -> Decision:
    """Listed for the preview, or not."""
    if account.listed == listed:
        return Decision(account)
    return Decision(replace(account, listed=listed), [Happened("account listed" if listed else "account unlisted")])


def not_me(account: Account, act: Act, link: Link) -> Decision:
    """Frozen, with every session ended, and what was bound since the event that the mail was about suspended. Consumed.

    Nothing is deleted that a person could need to get in again: the mailbox alone never removes a factor. Recovery codes that
    were made since are void: they can be a stranger's, and new ones can be made.
    """
    since = links.moment(link)
    account, suspended = keys.suspend(links.consume(account, act.now, link), act, since)
    void: list[Happened] = []
    if account.recovery_codes and account.recovery_codes[0].made_at >= since:
        account, void = recovery.void(account)
    frozen = freeze(account, act)
    return Decision(frozen.account, [*suspended, *void, *frozen.events])


def freeze(account: Account, act: Act) -> Decision:
    """Nobody logs on until a new password is set; every session and an opening are ended, and no browser is known any more."""
    account, stopped = opening.stop(mislaying.stop(sessions.keep_only(account, None)))
    account = replace(account, frozen_at=act.now, devices_at=act.now, codes=())
    return Decision(account, [*stopped, Happened("frozen")])


def bar(account: Account, act: Act) -> Decision:
    """Frozen by whoever runs the site, until they open it: a new password does not. The person is told; nothing if it is so."""
    if account.barred:
        return Decision(account)
    frozen = freeze(owed.owe(account, act, "frozen"), act)
    return Decision(replace(frozen.account, barred=True), frozen.events)


def unfreeze(account: Account, act: Act) -> Decision:
    """Open again, by whoever runs the site, and told; the account itself if it is not frozen. Its keys are asked for as ever."""
    if account.frozen_at is None:
        return Decision(account)
    account = owed.owe(account, act, "unfrozen")
    return Decision(replace(account, frozen_at=None, barred=False), [Happened("unfrozen")])


def owe_reset(account: Account, act: Act) -> Decision:
    """The link to set a new password with is mailed."""
    return Decision(owed.owe(owed.without(account, "reset"), act, "reset"))


def owe_known_browser(account: Account, act: Act) -> Decision:
    """The link that makes a browser known is mailed."""
    return Decision(owed.owe(owed.without(account, "known browser"), act, "known browser"))


def use_known_browser_link(account: Account, act: Act, link: Link) -> Decision:
    """The link is used up, by the browser that is known from now on. Consumed."""
    return Decision(links.consume(account, act.now, link), [Happened("browser made known")])


def _with_password(account: Account, act: Act, new_hash: str) -> Account:
    account = replace(owed.without(account, "reset"), password_hash=new_hash, password_at=act.now, codes=())
    return owed.owe(account, act, "password changed")

"""The words of what people are told by mail. A notification holds facts; links are signed when the letter is written.

No letter says to ignore it. News carries a link for whoever did not expect it: *This was not me*.
"""

from datetime import UTC, datetime
from typing import NamedTuple

from msgspec.structs import replace

from backends.records import Account, Notification, VerificationCode
from webapp import clock, templating
from webapp.accounts import codes, links, recovery
from webapp.accounts.context import Context
from webapp.notifications.mail import Letter, MailFailed
from webapp.settings import Settings

BRASS = "#b8892e"
"""Of the line below the name, where the deployer has no colour of their own."""


class _News(NamedTuple):
    """What a letter of news says: its subject, its words, and the facts that it shows by name."""

    subject: str
    words: str
    facts: tuple[tuple[str, str], ...] = ()


_KEY = (("Key", "key"), ("By", "by"))
_PASS = (("It opens", "opens"), ("It is for", "for"))
_NEWS: dict[str, _News] = {
    "key bound": _News(
        "A security key was bound to your account",
        "A security key was bound to your account. From now on it opens the account together with your password.",
        _KEY,
    ),
    "key unbound": _News(
        "A security key was unbound from your account", "A security key was unbound. It no longer opens your account.", _KEY
    ),
    "key refused": _News(
        "Your password was used without your key",
        "Somebody gave your right password, and then no key of yours. They were not let in.",
        (("So often within an hour", "count"),),
    ),
    "clone suspected": _News(
        "A security key was refused: it may have been copied",
        "A security key was refused: its counter went back, which happens when a key has been copied. Bind another key.",
        _KEY,
    ),
    "key mislaid": _News(
        "A security key is mislaid",
        "You said that you have mislaid a security key. As soon as you find it, touch it: log on with it, or open Security "
        "Settings. If nobody has touched it by then, it is unbound.",
        (("Key", "key"), ("Unbound on", "until")),
    ),
    "key still mislaid": _News(
        "Tomorrow a mislaid security key is unbound",
        "You said that you have mislaid a security key, and nobody has touched it since. If you have found it, touch it: log on "
        "with it, or open Security Settings. Else it is unbound tomorrow.",
        (("Key", "key"), ("Unbound on", "until")),
    ),
    "key found": _News(
        "A mislaid security key is back", "A security key that was mislaid is asked for again: it was found.", _KEY
    ),
    "new browser": _News(
        "A logon from a new browser",
        "Your account was opened in a browser that had not been used for it before.",
        (("So often within an hour", "count"),),
    ),
    "recovery code used": _News(
        "A recovery code was used", "A recovery code was used to open your account instead of a key.", (("Codes left", "left"),)
    ),
    "recovery code refused": _News(
        "Wrong recovery codes were typed",
        "Somebody gave your right password, and then several times a recovery code that is none of yours, or was used before. "
        "They were not let in, and no code was used up.",
        (("Wrong codes", "typed"), ("So often within an hour", "count")),
    ),
    "recovery codes made": _News(
        "New recovery codes", "New recovery codes were made. If there were others before them, those no longer work."
    ),
    "password changed": _News("Your password was changed", "The password of your account was changed."),
    "e-mail changed": _News(
        "Your e-mail address was changed",
        "Mails about your account go to another address from now on, and no longer to this one.",
        (("New address", "new"),),
    ),
    "opening asked": _News(
        "Your account will open without a key",
        "Somebody who knows your password has neither key nor recovery code, and asked to get in without. If that was not you, "
        "log on with your key now: one touch stops it.",
        (("It opens", "opens"),),
    ),
    "opening waits": _News(
        "Your account will still open without a key",
        "Your account will open by its password alone. If that was not you, log on with your key now: one touch stops it.",
        (("It opens", "opens"),),
    ),
    "pass given": _News(
        "A browser will log on without your key",
        "Somebody who knows your password called the help desk, which gave their browser a pass: it opens your account once "
        "without a key. Your keys stay bound. If that was not you, log on with your key now: one touch stops it.",
        _PASS,
    ),
    "pass waits": _News(
        "A browser will still log on without your key",
        "The help desk gave a browser a pass: it opens your account once without a key. If that was not you, log on with your "
        "key now: one touch stops it.",
        _PASS,
    ),
    "pass used": _News(
        "A browser logged on without your key",
        "The pass that the help desk gave was used: your account was opened without a key, this once. Your keys are still bound, "
        "and asked for at the next logon.",
    ),
    "opened after the wait": _News(
        "Your account was opened without a key",
        "The wait was over, and nobody touched a key: your account was opened by its password alone. Its keys are suspended.",
    ),
}

_USERNAME = (("Username", "new"), ("Before", "before"))
_NOTICES: dict[str, _News] = {
    "renamed": _News(
        "Your username was changed",
        "You log on by another username from now on. Your password, your security keys and all else are as before.",
        _USERNAME,
    ),
    "frozen": _News(
        "Your account was frozen",
        "Your account was frozen, and logged off everywhere. Nobody can log on until it is opened again; a new password does not "
        "open it.",
    ),
    "unfrozen": _News("Your account is open again", "Your account is no longer frozen. Log on as before."),
    "account removed": _News(
        "Your account was removed",
        "Your account was removed, with its password, its security keys and its recovery codes. Nobody can log on to it now.",
    ),
    "has joined": _News(
        "You have an account already",
        "Somebody, perhaps you, asked to join with this address. There is an account with it: log on by your username, or "
        "by this address. If it was somebody else, nothing has changed.",
        (("Username", "username"),),
    ),
    "password needed": _News(
        "Set a password for your account",
        "Your account is here from now on, but its password could not be brought along. Ask for a mail to set a new one. You log "
        "on by your username, or by the address that this mail went to.",
    ),
}
"""What was done by whoever runs the site, or cannot be taken back by a link."""
_DOES = {"password needed": ("/logon/forgotten", "Set a password"), "has joined": ("/logon", "Log on")}


CODE_PAGES = {"bind": "/account/security/u2f", "email": "/account/email"}
"""Where a code is typed, by its purpose."""


def compose(settings: Settings, account: Account, notification: Notification) -> Letter:
    """The letter that this notification is, as of now. MailFailed for a kind that only another version has words for."""
    if notification.kind == "reset":
        return _reset(settings, account, notification)
    if notification.kind == "known browser":
        return _known_browser(settings, account, notification)
    if notification.kind in _NOTICES:
        return _notice(settings, account, notification)
    if notification.kind == "invitation":
        return _invitation(settings, account, notification)
    if notification.kind not in _NEWS:
        raise MailFailed("it is of a kind that this version has no words for")
    return _news(settings, account, notification)


def code(ctx: Context, account: Account, code: VerificationCode, digits: str) -> Letter:
    """The digits, for whoever waits for them at a page. Its link opens that page, and proves nothing."""
    subject, minutes = f"{digits} is your verification code", int(codes.LIFETIME.total_seconds() // 60)
    page = ctx.settings.public_url + CODE_PAGES[code.purpose]
    facts = _event(code.sent_at, ctx.zone, ctx.browser, ctx.address)
    return _letter(ctx.settings, account, code.email, "code", subject, code=digits, minutes=minutes, page=page, facts=facts)


def _news(settings: Settings, account: Account, notification: Notification) -> Letter:
    news, since = _NEWS[notification.kind], str(round(notification.at.timestamp() * 1000))
    not_me = links.make(settings, "not me", account.id, since, clock.now())
    when, *place = _place(notification)
    shown = [when, *_facts(news, notification), *place]
    return _letter(settings, account, notification.to, "news", news.subject, words=news.words, facts=shown, not_me=not_me)


def _place(notification: Notification) -> list[tuple[str, str]]:
    return _event(notification.at, notification.zone, notification.browser, notification.address)


def _event(at: datetime, zone: int | None, browser: str, address: str) -> list[tuple[str, str]]:
    """When, by the clock of that browser, and from where something happened, as far as that is known."""
    place = (("Browser", browser), ("Address", address))
    return [("When", templating.when(at, zone)), *((name, text) for name, text in place if text)]


def _notice(settings: Settings, account: Account, notification: Notification) -> Letter:
    """Of an account that was removed, the letter itself knows the username."""
    notice, (path, does) = _NOTICES[notification.kind], _DOES.get(notification.kind, ("", ""))
    shown = [_place(notification)[0], *_facts(notice, notification)]
    of = replace(account, username=notification.facts.get("username", account.username))
    link = settings.public_url + path if path else ""
    return _letter(settings, of, notification.to, "notice", notice.subject, words=notice.words, facts=shown, link=link, does=does)


def _facts(news: _News, notification: Notification) -> list[tuple[str, str]]:
    facts, zone = notification.facts, notification.zone
    return [(name, _shown(field, facts[field], zone)) for name, field in news.facts if field in facts]


def _shown(field: str, text: str, zone: int | None) -> str:
    """A fact as people read it."""
    if field in ("opens", "until"):
        return templating.when(datetime.fromtimestamp(int(text) / 1000, UTC), zone)
    if field == "left" and int(text) <= recovery.FEW:
        return f"{text}. Make new ones before you run out: Security Settings, Recovery codes."
    return text


def _reset(settings: Settings, account: Account, notification: Notification) -> Letter:
    """The link dies with the password that it replaces."""
    link = links.make(settings, "reset", account.id, links.fingerprint(account), clock.now())
    subject, minutes = "Your username, and a new password", int(links.LIFETIMES["reset"].total_seconds() // 60)
    return _letter(settings, account, notification.to, "reset", subject, link=link, minutes=minutes, facts=_place(notification))


def _known_browser(settings: Settings, account: Account, notification: Notification) -> Letter:
    link = links.make(settings, "known browser", account.id, "", clock.now())
    minutes, subject = int(links.LIFETIMES["known browser"].total_seconds() // 60), "Log on from this browser"
    facts = _place(notification)
    return _letter(settings, account, notification.to, "known", subject, link=link, minutes=minutes, facts=facts)


def _invitation(settings: Settings, account: Account, notification: Notification) -> Letter:
    """The link works for whoever reads the mail, once, until the invitation ends."""
    if account.invitation is None:
        raise MailFailed("it was used meanwhile")
    link = links.make(settings, "invitation", account.id, "", clock.now())
    email, until = account.invitation.email, templating.when(account.invitation.ends_at, notification.zone)
    facts, subject = _place(notification) if notification.address else [], "Your invitation"
    return _letter(settings, account, notification.to, "invitation", subject, link=link, email=email, until=until, facts=facts)


def _letter(settings: Settings, account: Account, to: str, template: str, subject: str, **context: object) -> Letter:
    context |= {"name": settings.name, "username": account.username, "site": settings.public_url, "subject": subject}
    links = [(words, href) for words, href in (("Terms", settings.terms), ("Privacy", settings.privacy)) if href]
    text = templating.render(f"mail/{template}.txt", helper=settings.helper, **context)
    text += "".join(f"\n{words}: {href}" for words, href in links)
    accent = settings.accent or BRASS
    html = templating.render(f"mail/{template}.html", help=settings.help, accent=accent, links=links, **context)
    return Letter(to=to, subject=f"{settings.name}: {subject}", text=text, html=html)

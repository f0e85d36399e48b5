"""The words of what people are told by mail. A notification holds facts; links are signed when the letter is written.

No letter says to ignore it. News carries a link for whoever did not expect it: *This was not me*.
"""

from datetime import UTC, datetime
from typing import NamedTuple

from msgspec.structs import replace

from backends.records import Account, Notification, VerificationCode
from webapp import clock, languages, templating
from webapp.accounts import codes, links, mislaying, recovery
from webapp.accounts.context import Context
from webapp.languages import Language, Text, _, _n
from webapp.notifications.mail import Letter, MailFailed
from webapp.settings import Settings

BRASS = "#b8892e"
"""Of the line below the name, where the deployer has no colour of their own."""


_Fact = tuple[Text, Text | str]
"""What a fact is called, and what it is."""


class _News(NamedTuple):
    """What a letter of news says: its subject, its words, and the facts that it shows by name."""

    subject: Text
    words: Text
    facts: tuple[tuple[Text, str], ...] = ()


_KEY = ((_("Key"), "key"), (_("By"), "by"))
_PASS = ((_("It opens"), "opens"), (_("It is for"), "for"))
_BY = {
    "mislaid": _n(
        "nobody, %(count)s day after it was said to be mislaid",
        "nobody, %(count)s days after it was said to be mislaid",
        mislaying.DAYS,
    )
}
_NEWS: dict[str, _News] = {
    "key bound": _News(
        _("A security key was bound to your account"),
        _("A security key was bound to your account. From now on it opens the account together with your password."),
        _KEY,
    ),
    "key unbound": _News(
        _("A security key was unbound from your account"), _("A security key was unbound. It no longer opens your account."), _KEY
    ),
    "key refused": _News(
        _("Your password was used without your key"),
        _("Somebody gave your right password, and then no key of yours. They were not let in."),
        ((_("So often within an hour"), "count"),),
    ),
    "clone suspected": _News(
        _("A security key was refused: it may have been copied"),
        _("A security key was refused: its counter went back, which happens when a key has been copied. Bind another key."),
        _KEY,
    ),
    "key mislaid": _News(
        _("A security key is mislaid"),
        _(
            "You said that you have mislaid a security key. As soon as you find it, touch it: log on with it, or open Security "
            "Settings. If nobody has touched it by then, it is unbound."
        ),
        ((_("Key"), "key"), (_("Unbound on"), "until")),
    ),
    "key still mislaid": _News(
        _("Tomorrow a mislaid security key is unbound"),
        _(
            "You said that you have mislaid a security key, and nobody has touched it since. If you have found it, touch it: "
            "log on with it, or open Security Settings. Else it is unbound tomorrow."
        ),
        ((_("Key"), "key"), (_("Unbound on"), "until")),
    ),
    "key found": _News(
        _("A mislaid security key is back"), _("A security key that was mislaid is asked for again: it was found."), _KEY
    ),
    "new browser": _News(
        _("A logon from a new browser"),
        _("Your account was opened in a browser that had not been used for it before."),
        ((_("So often within an hour"), "count"),),
    ),
    "recovery code used": _News(
        _("A recovery code was used"),
        _("A recovery code was used to open your account instead of a key."),
        ((_("Codes left"), "left"),),
    ),
    "recovery code refused": _News(
        _("Wrong recovery codes were typed"),
        _(
            "Somebody gave your right password, and then several times a recovery code that is none of yours, or was used "
            "before. They were not let in, and no code was used up."
        ),
        ((_("Wrong codes"), "typed"), (_("So often within an hour"), "count")),
    ),
    "recovery codes made": _News(
        _("New recovery codes"), _("New recovery codes were made. If there were others before them, those no longer work.")
    ),
    "password changed": _News(_("Your password was changed"), _("The password of your account was changed.")),
    "e-mail changed": _News(
        _("Your e-mail address was changed"),
        _("Mails about your account go to another address from now on, and no longer to this one."),
        ((_("New address"), "new"),),
    ),
    "opening asked": _News(
        _("Your account will open without a key"),
        _(
            "Somebody who knows your password has neither key nor recovery code, and asked to get in without. If that was not "
            "you, log on with your key now: one touch stops it."
        ),
        ((_("It opens"), "opens"),),
    ),
    "opening waits": _News(
        _("Your account will still open without a key"),
        _("Your account will open by its password alone. If that was not you, log on with your key now: one touch stops it."),
        ((_("It opens"), "opens"),),
    ),
    "pass given": _News(
        _("A browser will log on without your key"),
        _(
            "Somebody who knows your password called the help desk, which gave their browser a pass: it opens your account once "
            "without a key. Your keys stay bound. If that was not you, log on with your key now: one touch stops it."
        ),
        _PASS,
    ),
    "pass waits": _News(
        _("A browser will still log on without your key"),
        _(
            "The help desk gave a browser a pass: it opens your account once without a key. If that was not you, log on with "
            "your key now: one touch stops it."
        ),
        _PASS,
    ),
    "pass used": _News(
        _("A browser logged on without your key"),
        _(
            "The pass that the help desk gave was used: your account was opened without a key, this once. Your keys are still "
            "bound, and asked for at the next logon."
        ),
    ),
    "opened after the wait": _News(
        _("Your account was opened without a key"),
        _("The wait was over, and nobody touched a key: your account was opened by its password alone. Its keys are suspended."),
    ),
}

_USERNAME = ((_("Username"), "new"), (_("Before"), "before"))
_NOTICES: dict[str, _News] = {
    "renamed": _News(
        _("Your username was changed"),
        _("You log on by another username from now on. Your password, your security keys and all else are as before."),
        _USERNAME,
    ),
    "frozen": _News(
        _("Your account was frozen"),
        _(
            "Your account was frozen, and logged off everywhere. Nobody can log on until it is opened again; a new password "
            "does not open it."
        ),
    ),
    "unfrozen": _News(_("Your account is open again"), _("Your account is no longer frozen. Log on as before.")),
    "account removed": _News(
        _("Your account was removed"),
        _("Your account was removed, with its password, its security keys and its recovery codes. Nobody can log on to it now."),
    ),
    "has joined": _News(
        _("You have an account already"),
        _(
            "Somebody, perhaps you, asked to join with this address. There is an account with it: log on by your username, or "
            "by this address. If it was somebody else, nothing has changed."
        ),
        ((_("Username"), "username"),),
    ),
    "password needed": _News(
        _("Set a password for your account"),
        _(
            "Your account is here from now on, but its password could not be brought along. Ask for a mail to set a new one. "
            "You log on by your username, or by the address that this mail went to."
        ),
    ),
}
"""What was done by whoever runs the site, or cannot be taken back by a link."""
_DOES = {"password needed": ("/logon/forgotten", _("Set a password")), "has joined": ("/logon", _("Log on"))}


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
    subject, time = _("%(digits)s is your verification code", digits=digits), languages.lasting(codes.LIFETIME.seconds)
    page = ctx.settings.public_url + CODE_PAGES[code.purpose]
    facts = _event(code.sent_at, ctx.zone, ctx.browser, ctx.address)
    to = _Reader(ctx.settings, account, code.email, ctx.language)
    return _letter(to, "code", subject, code=digits, time=time, page=page, facts=facts)


class _Reader(NamedTuple):
    """To whom a letter goes; `seen` is the language of the browser that caused it, for an account that has chosen none."""

    settings: Settings
    account: Account
    address: str
    seen: str

    @property
    def language(self) -> Language:
        return languages.of(self.account.language, self.seen, self.settings.language)


def _reader(settings: Settings, account: Account, notification: Notification) -> _Reader:
    return _Reader(settings, account, notification.to, notification.language)


def _news(settings: Settings, account: Account, notification: Notification) -> Letter:
    news, since = _NEWS[notification.kind], str(round(notification.at.timestamp() * 1000))
    not_me = links.make(settings, "not me", account.id, since, clock.now())
    when, *place = _place(notification)
    shown = [when, *_facts(settings, news, notification), *place]
    to = _reader(settings, account, notification)
    return _letter(to, "news", news.subject, words=news.words, facts=shown, not_me=not_me)


def _place(notification: Notification) -> list[_Fact]:
    return _event(notification.at, notification.zone, notification.browser, notification.address)


def _event(at: datetime, zone: int | None, browser: str, address: str) -> list[_Fact]:
    """When, by the clock of that browser, and from where something happened, as far as that is known."""
    place = ((_("Browser"), templating.browser(browser)), (_("Address"), address))
    return [(_("When"), languages.when(at, zone)), *((name, text) for name, text in place if text)]


def _notice(settings: Settings, account: Account, notification: Notification) -> Letter:
    """Of an account that was removed, the letter itself knows the username."""
    notice, (path, does) = _NOTICES[notification.kind], _DOES.get(notification.kind, ("", ""))
    shown = [_place(notification)[0], *_facts(settings, notice, notification)]
    of = replace(account, username=notification.facts.get("username", account.username))
    link, to = settings.public_url + path if path else "", _reader(settings, of, notification)
    return _letter(to, "notice", notice.subject, words=notice.words, facts=shown, link=link, does=does)


def _facts(settings: Settings, news: _News, notification: Notification) -> list[_Fact]:
    facts, zone = notification.facts, notification.zone
    return [(name, _shown(settings, field, facts[field], zone)) for name, field in news.facts if field in facts]


def _shown(settings: Settings, field: str, text: str, zone: int | None) -> Text | str:
    """A fact as people read it."""
    if field == "by":
        return _BY.get(text) or (_("whoever runs %(name)s", name=settings.name) if text == "operator" else text)
    if field == "for":
        return templating.place(text)
    if field in ("opens", "until"):
        return languages.when(datetime.fromtimestamp(int(text) / 1000, UTC), zone)
    if field == "left" and int(text) <= recovery.FEW:
        return _("%(count)s. Make new ones before you run out: Security Settings, Recovery codes.", count=text)
    return text


def _reset(settings: Settings, account: Account, notification: Notification) -> Letter:
    """The link dies with the password that it replaces."""
    link = links.make(settings, "reset", account.id, links.fingerprint(account), clock.now())
    subject, time = _("Your username, and a new password"), languages.lasting(links.LIFETIMES["reset"].seconds)
    to = _reader(settings, account, notification)
    return _letter(to, "reset", subject, link=link, time=time, facts=_place(notification))


def _known_browser(settings: Settings, account: Account, notification: Notification) -> Letter:
    link = links.make(settings, "known browser", account.id, "", clock.now())
    subject, time = _("Log on from this browser"), languages.lasting(links.LIFETIMES["known browser"].seconds)
    to = _reader(settings, account, notification)
    return _letter(to, "known", subject, link=link, time=time, facts=_place(notification))


def _invitation(settings: Settings, account: Account, notification: Notification) -> Letter:
    """The link works for whoever reads the mail, once, until the invitation ends."""
    if account.invitation is None:
        raise MailFailed("it was used meanwhile")
    link = links.make(settings, "invitation", account.id, "", clock.now())
    email, until = account.invitation.email, languages.when(account.invitation.ends_at, notification.zone)
    facts, to = _place(notification) if notification.address else [], _reader(settings, account, notification)
    return _letter(to, "invitation", _("Your invitation"), link=link, email=email, until=until, facts=facts)


def _letter(to: _Reader, template: str, subject: Text, **context: object) -> Letter:
    settings, language = to.settings, to.language
    context |= {"name": settings.name, "username": to.account.username, "site": settings.public_url}
    context["subject"] = language.say(subject)
    links = [(words, href) for words, href in ((_("Terms"), settings.terms), (_("Privacy"), settings.privacy)) if href]
    text = templating.render(language, f"mail/{template}.txt", helper=templating.helper(settings), **context)
    text += "".join("\n" + language.say(_beside(words, href)) for words, href in links)
    accent = settings.accent or BRASS
    html = templating.render(language, f"mail/{template}.html", help=settings.help, accent=accent, links=links, **context)
    return Letter(to=to.address, subject=language.say(_beside(settings.name, subject)), text=text, html=html)


def _beside(name: Text | str, text: Text | str) -> Text:
    return _("%(name)s: %(text)s", name=name, text=text)

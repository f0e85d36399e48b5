"""The mails that Keystead writes. A code is sent while the person waits; news of what happened, after the answer.

No letter says to ignore it. News carries a link for whoever did not expect it: *This was not me*.
"""

import logging
from datetime import datetime, timedelta

from starlette.background import BackgroundTask

from backends.records import Account
from webapp import browsers, clock, codes, limits, links, logs, pages
from webapp.mail import Letter, MailFailed
from webapp.settings import Settings
from webapp.state import Request

NOT_ME_LIFETIME = timedelta(days=7)
RESET_LIFETIME = timedelta(minutes=30)

log = logging.getLogger("keystead.letters")


async def send_code(request: Request, account: Account, email: str, digits: str) -> None:
    """Send the digits to this address; MailFailed if that did not work."""
    minutes = int(codes.LIFETIME.total_seconds() // 60)
    subject = f"{digits} is your verification code"
    await request.state.mailer.send(
        _letter(request.state.settings, account, email, "code", subject, code=digits, minutes=minutes)
    )


async def send_reset(request: Request, account: Account) -> None:
    """Send the link to set a new password with. It dies with the password that it replaces."""
    settings = request.state.settings
    link = links.make(settings, "reset", account.id, links.fingerprint(account), RESET_LIFETIME)
    minutes = int(RESET_LIFETIME.total_seconds() // 60)
    await _send(request, _letter(settings, account, account.email, "reset", "Set a new password", link=link, minutes=minutes))


def key_bound(request: Request, account: Account, name: str, at: datetime) -> BackgroundTask:
    """News: a key was bound."""
    words = "A security key was bound to your account. From now on it opens the account together with your password."
    return _news(request, account, "A security key was bound to your account", words, at, ("Key", name))


def key_unbound(request: Request, account: Account, name: str) -> BackgroundTask:
    """News: a key was unbound."""
    words = "A security key was unbound. It no longer opens your account."
    return _news(request, account, "A security key was unbound from your account", words, clock.now(), ("Key", name))


def key_refused(request: Request, account: Account) -> BackgroundTask:
    """News: the password was right, but what came for a key was not."""
    words = "Somebody gave your right password, and then no key of yours. They were not let in."
    return _news(request, account, "Your password was used without your key", words, clock.now())


def clone_suspected(request: Request, account: Account, name: str) -> BackgroundTask:
    """News: a key was refused because its counter went back."""
    words = "A security key was refused: its counter went back, which happens when a key has been copied. Bind another key."
    return _news(request, account, "A security key was refused: it may have been copied", words, clock.now(), ("Key", name))


def new_browser(request: Request, account: Account) -> BackgroundTask:
    """News: somebody logged on from a browser that had not been seen with this account."""
    words = "Your account was opened in a browser that had not been used for it before."
    return _news(request, account, "A logon from a new browser", words, clock.now())


def recovery_code_used(request: Request, account: Account, left: int) -> BackgroundTask:
    """News: a recovery code was used; from two left on it says to make new ones."""
    words = "A recovery code was used to open your account instead of a key."
    more = "" if left > 2 else " Make new ones before you run out: Security Settings, Recovery codes."
    fact = ("Codes left", f"{left}.{more}" if more else str(left))
    return _news(request, account, "A recovery code was used", words, clock.now(), fact)


def recovery_codes_made(request: Request, account: Account, at: datetime) -> BackgroundTask:
    """News: there is a new set of recovery codes, made at this moment or after it, so that *This was not me* reaches them."""
    words = "New recovery codes were made. The ones before them no longer work."
    return _news(request, account, "New recovery codes", words, at)


def password_changed(request: Request, account: Account) -> BackgroundTask:
    """News: the password is another one."""
    return _news(request, account, "Your password was changed", "The password of your account was changed.", clock.now())


def email_changed(request: Request, was: Account, new: str) -> BackgroundTask:
    """News to the old address: mails go elsewhere from now on."""
    words = "Mails about your account go to another address from now on, and no longer to this one."
    return _news(request, was, "Your e-mail address was changed", words, clock.now(), ("New address", pages.masked(new)))


def news(settings: Settings, account: Account, subject: str, words: str, at: datetime, *facts: tuple[str, str]) -> Letter:
    """A letter about something that happened at this moment, with its facts in a table and the link *This was not me*."""
    not_me = links.make(settings, "not me", account.id, str(round(at.timestamp() * 1000)), NOT_ME_LIFETIME)
    shown = (("When", pages.when(at)), *facts)
    return _letter(settings, account, account.email, "news", subject, words=words, facts=shown, not_me=not_me)


def _news(request: Request, account: Account, subject: str, words: str, at: datetime, *facts: tuple[str, str]) -> BackgroundTask:
    browser = str(browsers.parse(request.headers.get("user-agent", "")))
    place = (("Browser", browser), ("Address", limits.address(request)))
    return BackgroundTask(_send, request, news(request.state.settings, account, subject, words, at, *facts, *place))


async def _send(request: Request, letter: Letter) -> None:
    try:
        await request.state.mailer.send(letter)
    except MailFailed as failed:
        logs.put(log, logging.ERROR, "not mailed", subject=letter.subject, reason=failed)


def _letter(settings: Settings, account: Account, to: str, template: str, subject: str, **context: object) -> Letter:
    context |= {"name": settings.name, "username": account.username, "site": settings.public_url, "subject": subject}
    text, html = (pages.words(f"{template}.{kind}", **context) for kind in ("txt", "html"))
    return Letter(to=to, subject=f"{settings.name}: {subject}", text=text, html=html)

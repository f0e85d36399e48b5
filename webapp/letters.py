"""The mails that Keystead writes. A code is sent while the person waits; news of what happened is sent after the answer has gone
out.

No letter says to ignore it: whoever gets one that they did not expect is told what to do.
"""

import logging

from starlette.background import BackgroundTask

from backends.records import Account, SecurityKey
from webapp import browsers, clock, codes, limits, pages
from webapp.mail import Letter, MailFailed
from webapp.state import Request

log = logging.getLogger("keystead.letters")


async def send_code(request: Request, account: Account, digits: str) -> None:
    """Send the digits; MailFailed if that did not work."""
    minutes = int(codes.LIFETIME.total_seconds() // 60)
    await request.state.mailer.send(
        _letter(request, account, "code", f"{digits} is your verification code", code=digits, minutes=minutes)
    )


def key_bound(request: Request, account: Account, key: SecurityKey) -> BackgroundTask:
    """News: a key was bound."""
    return _news(request, account, "key_bound", "A security key was bound to your account", key_name=key.name)


def key_unbound(request: Request, account: Account, key: SecurityKey) -> BackgroundTask:
    """News: a key was unbound."""
    return _news(request, account, "key_unbound", "A security key was unbound from your account", key_name=key.name)


def clone_suspected(request: Request, account: Account, key: SecurityKey) -> BackgroundTask:
    """News: a key was refused because its counter went back."""
    return _news(request, account, "clone_suspected", "A security key was refused: it may have been copied", key_name=key.name)


def _news(request: Request, account: Account, template: str, subject: str, **context: object) -> BackgroundTask:
    browser = str(browsers.parse(request.headers.get("user-agent", "")))
    about = {"at": pages.when(clock.now()), "address": limits.address(request), "browser": browser}
    return BackgroundTask(_send, request, _letter(request, account, template, subject, **about, **context))


async def _send(request: Request, letter: Letter) -> None:
    try:
        await request.state.mailer.send(letter)
    except MailFailed as failed:
        log.error("news not mailed: subject=%r reason=%s", letter.subject, failed)


def _letter(request: Request, account: Account, template: str, subject: str, **context: object) -> Letter:
    settings = request.state.settings
    context |= {"name": settings.name, "username": account.username, "site": settings.public_url, "subject": subject}
    text, html = (pages.words(f"{template}.{kind}", **context) for kind in ("txt", "html"))
    return Letter(to=account.email, subject=f"{settings.name}: {subject}", text=text, html=html)

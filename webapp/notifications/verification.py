"""A verification code on its way: committed, then mailed while the person waits. Never says in a log what the digits are."""

import logging

from backends.protocol import Unavailable
from backends.records import Account, VerificationCode
from webapp import logs
from webapp.accounts import codes, commits, limits
from webapp.accounts.codes import Purpose, TooSoon
from webapp.accounts.commits import Uncertain
from webapp.accounts.context import Context
from webapp.accounts.limits import TooOften
from webapp.notifications import letters
from webapp.notifications.mail import Mailer, MailFailed

log = logging.getLogger("keystead.letters")


class NotSent(Exception):
    """No mail left. `kind`: too soon, too often, mail failed; `seconds` until it is worth asking again (0: unknown).

    `account` is as it was then.
    """

    def __init__(self, kind: str, account: Account, seconds: int = 0) -> None:
        super().__init__(kind)
        self.kind, self.account, self.seconds = kind, account, seconds


async def send(
    ctx: Context, mailer: Mailer, account: Account, session_id: str, purpose: Purpose, email: str
) -> tuple[Account, bool]:
    """The account, and whether the code that was mailed is one that was sent before. NotSent otherwise."""
    try:
        account, again = await _send(ctx, mailer, account, session_id, purpose, email)
    except NotSent as not_sent:
        ctx.metrics.code_sent(purpose, not_sent.kind)
        raise
    ctx.metrics.code_sent(purpose, "sent again" if again else "sent")
    return account, again


async def _send(
    ctx: Context, mailer: Mailer, was: Account, session_id: str, purpose: Purpose, email: str
) -> tuple[Account, bool]:
    account = await _prepare(ctx, was, session_id, purpose, email)
    code = next(code for code in account.codes if code.purpose == purpose)
    digits = codes.digits(account.id, code, ctx.settings.secret_keys) or ""
    try:
        await mailer.send(letters.code(ctx, account, code, digits))
    except MailFailed as failed:
        logs.write(log, logging.ERROR, "code not mailed", account=account.id, reason=failed)
        raise NotSent("mail failed", await _given_back(ctx, account, code)) from None
    return account, code.made_at != code.sent_at


async def _prepare(ctx: Context, was: Account, session_id: str, purpose: Purpose, email: str) -> Account:
    """The account with the code that is about to be mailed. The allowance is counted first: nothing fails behind a commit."""
    try:
        await limits.count(ctx, limits.CODES, was.id)
        return await commits.change(ctx, was, codes.prepare, session_id, purpose, email)
    except TooOften as often:
        await limits.take_back(ctx, limits.CODES, was.id)
        raise NotSent("too often", was, often.seconds) from None
    except TooSoon as soon:
        await limits.take_back(ctx, limits.CODES, was.id)
        raise NotSent("too soon", soon.account, soon.seconds) from None


async def _given_back(ctx: Context, account: Account, code: VerificationCode) -> Account:
    """The account whose code may be asked for again at once. Where the backend fails too, it may in a minute.

    A new code that was guessed at meanwhile costs its share of the day's: else they could be had, and guessed at, without end
    while no mail leaves.
    """
    try:
        account = await commits.change(ctx, account, codes.not_sent, code.purpose, code.digest)
        if code.made_at != code.sent_at or all(each.digest != code.digest for each in account.codes):
            await limits.take_back(ctx, limits.CODES, account.id)
    except (Unavailable, Uncertain) as trouble:
        log.warning("allowance for codes not given back: %s", type(trouble).__name__)
    return account

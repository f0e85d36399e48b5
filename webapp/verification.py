"""A verification code on its way: sent to an address, typed into a page, judged. Tells no more than how many tries are left."""

from datetime import timedelta
from math import ceil

from backends.records import VerificationCode
from webapp import clock, codes, letters, limits
from webapp.guards import SignedIn
from webapp.limits import Limit, TooOften
from webapp.mail import MailFailed
from webapp.state import Request

SEND = Limit("code", 1, codes.RESEND_AFTER)
SENDS = Limit("codes", codes.SENDS_A_DAY, timedelta(days=1))


class NotSent(Exception):
    """No mail left; `words` say why, and `status` and `retry_after` (seconds, 0: unknown) go with the answer.

    `kind` is our word, for counting.
    """

    def __init__(self, kind: str, words: str, status: int, retry_after: int = 0) -> None:
        self.kind, self.words, self.status, self.retry_after = kind, words, status, retry_after


class Wrong(Exception):
    """What was typed is no proof; `words` say why. `kind` is our word, for counting."""

    def __init__(self, kind: str, words: str, status: int = 422) -> None:
        self.kind, self.words, self.status = kind, words, status


async def waiting(request: Request, who: SignedIn, purpose: str, email: str | None = None) -> VerificationCode | None:
    """The code that waits to be typed, if it was sent to this session, and to this address where one is given."""
    code = await request.state.backend.code(who.account.id, purpose, clock.now())
    return code if code and code.session_id == who.session.id and email in (None, code.email) else None


async def send(request: Request, who: SignedIn, purpose: str, email: str) -> bool:
    """Send a code, or the one that can still be typed once more (True). NotSent if it is too soon, or the mail did not leave."""
    try:
        again = await _send_unless_too_often(request, who, purpose, email)
    except NotSent as not_sent:
        request.state.metrics.code_sent(purpose, not_sent.kind)
        raise
    request.state.metrics.code_sent(purpose, "sent again" if again else "sent")
    return again


async def check(request: Request, who: SignedIn, purpose: str, text: str, email: str | None = None) -> VerificationCode:
    """The code, now used, if these are its digits. Wrong otherwise; a guess costs a try before it is judged."""
    try:
        code = await _check(request, who, purpose, text, email)
    except Wrong as wrong:
        request.state.metrics.code_tried(purpose, wrong.kind)
        raise
    request.state.metrics.code_tried(purpose, "right")
    return code


async def _send_unless_too_often(request: Request, who: SignedIn, purpose: str, email: str) -> bool:
    try:
        await limits.count(request, SEND, who.account.id, purpose)
        await limits.count(request, SENDS, who.account.id)
    except TooOften as often:
        raise NotSent("too often", _wait(often), 429, often.seconds) from None
    try:
        return await _send(request, who, purpose, email)
    except MailFailed:
        await limits.forget(request, SEND, who.account.id, purpose)
        await limits.take_back(request, SENDS, who.account.id)
        words = "The mail could not be sent. Nothing is lost: please try again in a moment."
        raise NotSent("mail failed", words, 503) from None


async def _check(request: Request, who: SignedIn, purpose: str, text: str, email: str | None) -> VerificationCode:
    typed = codes.tidy(text)
    if typed is None:
        raise Wrong("malformed", f"The code has {codes.DIGITS} digits. Look for it in the mail.")
    if await waiting(request, who, purpose, email) is None:
        raise Wrong("none waiting", "There is no code to compare with, or it is too old. Ask for a new one.")
    code = await request.state.backend.spend_try(who.account.id, purpose, clock.now())
    if code is None:
        raise Wrong("no tries left", "This code has no tries left. Ask for a new one.")
    if not codes.matches(code, typed, request.state.settings.secret_keys):
        raise Wrong("wrong", _tries(code))
    if not await request.state.backend.take_code(who.account.id, purpose, code.digest):
        raise Wrong("used", "This code was used a moment ago. Reload the page.", 409)
    return code


async def _send(request: Request, who: SignedIn, purpose: str, email: str) -> bool:
    backend, now, keys = request.state.backend, clock.now(), request.state.settings.secret_keys
    code = await waiting(request, who, purpose, email)
    known = codes.digits(code, keys) if code and code.tries_left else None
    if code and known:
        await letters.send_code(request, who.account, email, known)
        return await backend.record_sent(who.account.id, purpose, code.digest, now)
    code = codes.new(who.session, purpose, email, now, keys)
    await letters.send_code(request, who.account, email, codes.digits(code, keys) or "")
    await backend.put_code(code)
    return False


def _wait(often: TooOften) -> str:
    if often.seconds > codes.RESEND_AFTER.total_seconds():
        return f"That was the last mail for now. You can ask for another in about {ceil(often.seconds / 3600)} hours."
    return f"A mail was sent less than a minute ago. You can ask again in {often.seconds} seconds."


def _tries(code: VerificationCode) -> str:
    if not code.tries_left:
        return "That is not the code, and there are no tries left. Ask for a new one."
    return f"That is not the code. {code.tries_left} {'try' if code.tries_left == 1 else 'tries'} left."

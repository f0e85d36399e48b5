"""Prove that it is you: a code by e-mail while no key is bound, a touch of a bound key otherwise. Never signs anybody in."""

from datetime import timedelta
from math import ceil

from starlette.responses import Response

from backends.records import Proof, VerificationCode
from webapp import alarms, ceremonies, clock, codes, events, guards, letters, limits, pages, sessions, steps
from webapp.ceremonies import Failed
from webapp.guards import Proven, SignedIn
from webapp.limits import Limit, TooOften
from webapp.mail import MailFailed
from webapp.state import Request

SEND = Limit("code", 1, codes.RESEND_AFTER)
SENDS = Limit("codes", codes.SENDS_A_DAY, timedelta(days=1))


@guards.signed_in
async def send_code(request: Request, who: SignedIn) -> Response:
    """Send a code, or the one that is still valid once more."""
    then = _then(request, await guards.form(request))
    if who.keys:
        return steps.prove(request, who, then)
    try:
        await limits.count(request, SEND, who.account.id)
        await limits.count(request, SENDS, who.account.id)
    except TooOften as often:
        return await steps.verify(request, who, then, error=_wait(often), status=429, retry_after=often.seconds)
    try:
        again = await _send(request, who)
    except MailFailed:
        await limits.forget(request, SEND, who.account.id)
        await limits.take_back(request, SENDS, who.account.id)
        error = "The mail could not be sent. Nothing is lost: please try again in a moment."
        return await steps.verify(request, who, then, error=error, status=503)
    if not pages.by_htmx(request):
        return _back(request, then)
    return await steps.verify(
        request, who, then, sent="The same code was sent again." if again else "A code is on its way to you."
    )


@guards.signed_in
async def verify(request: Request, who: SignedIn) -> Response:
    """Proof, if these are the digits that were sent to this session."""
    form = await guards.form(request)
    then = _then(request, form)
    if who.keys:
        return steps.prove(request, who, then)
    typed = codes.tidy(form.get("code", ""))
    if typed is None:
        error = f"The code has {codes.DIGITS} digits. Look for it in the mail."
        return await steps.verify(request, who, then, error=error, status=422)
    if await steps.code_of(request, who) is None:
        error = "There is no code to compare with, or it is too old. Ask for a new one."
        return await steps.verify(request, who, then, error=error, status=422)
    code = await request.state.backend.spend_try(who.account.id, steps.PURPOSE, clock.now())
    if code is None:
        error = "This code has no tries left. Ask for a new one."
        return await steps.verify(request, who, then, error=error, status=422)
    if not codes.matches(code, typed, request.state.settings.secret_keys):
        return await steps.verify(request, who, then, error=_wrong(code), status=422)
    if not await request.state.backend.take_code(who.account.id, steps.PURPOSE, code.digest):
        return await steps.verify(request, who, then, error="This code was used a moment ago. Reload the page.", status=409)
    proven = await _step_up(request, who, "code")
    return await steps.next_step(request, proven, then) if pages.by_htmx(request) else _back(request, then)


@guards.signed_in
async def begin_prove(request: Request, who: SignedIn) -> Response:
    """The ceremony form; it leads on to binding, to where `then` says, or to unbinding the key that `unbind` names."""
    form = await guards.form(request)
    then, unbind = _then(request, form), form.get("unbind", "")
    if not who.keys or (guards.proof_of(who) and not unbind):
        return await steps.next_step(request, who, then)
    ceremony = ceremonies.begin_use(request, "prove", who)
    if not unbind:
        return steps.prove(request, who, then, ceremony=ceremony)
    key = pages.named_by(unbind, who.keys)
    return steps.unbind(request, who, key, ceremony=ceremony) if key else steps.gone(request)


@guards.signed_in
async def finish_prove(request: Request, who: SignedIn) -> Response:
    """Proof, or why not."""
    form = await guards.form(request)
    then, unbind = _then(request, form), form.get("unbind", "")
    key = pages.named_by(unbind, who.keys)
    if unbind and key is None:
        return steps.gone(request)
    try:
        used = await ceremonies.finish_use(request, form, "prove", who)
    except Failed as failed:
        if key:
            answer = steps.unbind(request, who, key, failure=failed.failure, status=422)
        else:
            answer = steps.prove(request, who, then, failure=failed.failure, status=422)
        answer.background = await alarms.raised(request, who.account, failed)
        return answer
    proven = await _step_up(request, who, "key")
    await events.add(request, who.account.id, "proof given", used.name)
    if key:
        return steps.unbind(request, proven, key) if pages.by_htmx(request) else _to_unbind(request, unbind)
    return await steps.next_step(request, proven, then) if pages.by_htmx(request) else _back(request, then)


async def _send(request: Request, who: SignedIn) -> bool:
    """Send this session's code: the one that can still be typed (True), or a new one (False). MailFailed if it did not leave."""
    backend, now, keys = request.state.backend, clock.now(), request.state.settings.secret_keys
    code = await steps.code_of(request, who)
    known = codes.digits(code, keys) if code and code.tries_left else None
    if code and known:
        await letters.send_code(request, who.account, known)
        return await backend.record_sent(who.account.id, steps.PURPOSE, code.digest, now)
    code = codes.new(who.account, who.session, steps.PURPOSE, now, keys)
    await letters.send_code(request, who.account, codes.digits(code, keys) or "")
    await backend.put_code(code)
    return False


async def _step_up(request: Request, who: SignedIn, proof: Proof) -> Proven:
    session = await sessions.step_up(request, who.session, proof=proof)
    if session is None:
        raise guards.NotSignedIn
    return Proven(who.account, session, who.keys)


def _then(request: Request, form: dict[str, str]) -> str:
    return guards.local_path(form.get("then", ""), "")


def _back(request: Request, then: str) -> Response:
    return pages.go(request, "binding.show", {"then": then} if then else None)


def _to_unbind(request: Request, slug: str) -> Response:
    return pages.go(request, "binding.confirm_unbind", key=slug)


def _wait(often: TooOften) -> str:
    if often.seconds > codes.RESEND_AFTER.total_seconds():
        return f"That was the last mail for now. You can ask for another in about {ceil(often.seconds / 3600)} hours."
    return f"A mail was sent less than a minute ago. You can ask again in {often.seconds} seconds."


def _wrong(code: VerificationCode) -> str:
    if not code.tries_left:
        return "That is not the code, and there are no tries left. Ask for a new one."
    return f"That is not the code. {code.tries_left} {'try' if code.tries_left == 1 else 'tries'} left."

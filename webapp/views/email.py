"""Change the e-mail address: a code to the new one, a notice to the old one."""

from dataclasses import replace

from starlette.responses import Response

from webapp import events, guards, letters, pages, steps, verification
from webapp.guards import Proven
from webapp.settings import ADDRESS
from webapp.state import Request
from webapp.verification import NotSent, Wrong

PURPOSE = "email"


@guards.proven
async def show(request: Request, who: Proven) -> Response:
    """The form; or the field for the code, if one is on its way to a new address."""
    return await _page(request, who)


@guards.proven
async def send_code(request: Request, who: Proven) -> Response:
    """Send a code to the new address."""
    form = await guards.form(request)
    email = form.get("email", "").strip()
    if not ADDRESS.fullmatch(email):
        return await _page(request, who, error="That is not an e-mail address.", typed=email, status=422)
    if email == who.account.email:
        return await _page(request, who, error="That is your address already.", typed=email, status=422)
    try:
        await verification.send(request, who, PURPOSE, email)
    except NotSent as not_sent:
        return await _page(request, who, error=not_sent.words, typed=email, status=not_sent.status)
    return pages.go(request, "email.show")


@guards.proven
async def verify(request: Request, who: Proven) -> Response:
    """The new address, if the code is right."""
    form = await guards.form(request)
    try:
        code = await verification.check(request, who, PURPOSE, form.get("code", ""))
    except Wrong as wrong:
        return await _page(request, who, error=wrong.words, status=wrong.status)
    if not await request.state.backend.record_account(who.account, replace(who.account, email=code.email)):
        return await _page(request, who, error="Your account was changed in another tab. Please try again.", status=409)
    await events.add(request, who.account.id, "e-mail changed", pages.masked(code.email))
    task = letters.email_changed(request, who.account, code.email)
    return pages.go(request, "account.security", {"notice": "email"}, task=task)


async def _page(request: Request, who: Proven, *, error: str | None = None, typed: str = "", status: int = 200) -> Response:
    code = await verification.waiting(request, who, PURPOSE)
    shown = {"code": steps.waiting(code), "to": code.email if code else "", "typed": typed, "error": error}
    return pages.page(request, "email.html", status, account=who.account, **shown)

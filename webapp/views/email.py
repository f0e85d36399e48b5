"""Change the e-mail address: a code to the new one, a notice to the old one. Sending the code wants a touch of its own."""

from dataclasses import replace

from starlette.responses import Response

from webapp.accounts import identities
from webapp.accounts.codes import Wrong
from webapp.languages import Text, _
from webapp.notifications.verification import NotSent
from webapp.web import cookies, guards, responses, steps, wording
from webapp.web.guards import Fresh, Proven
from webapp.web.state import Request


@guards.proven
async def show(request: Request, who: Proven) -> Response:
    """The form; or the field for the code, if one is on its way to a new address."""
    return _page(request, who)


@guards.fresh
async def send_code(request: Request, who: Fresh) -> Response:
    """Send a code to the new address."""
    email = request.state.form.get("email", "").strip()
    if not identities.is_address(email):
        return _page(request, who, error=_("That is not an e-mail address."), typed=email[:320], status=422)
    if email == who.account.email:
        return _page(request, who, error=_("That is your address already."), typed=email, status=422)
    try:
        await request.state.sender.send_code(who.context, who.account, who.session.id, "email", email)
    except NotSent as not_sent:
        status, error = wording.not_sent(not_sent.kind, not_sent.seconds)
        return _page(request, who, error=error, typed=email, wait=not_sent.seconds, status=status)
    return responses.go(request, "email.show")


@guards.proven
async def verify(request: Request, who: Proven) -> Response:
    """The new address, if the code is right; every other session is ended."""
    token = who.new_token()
    try:
        await who.change(identities.change_email, who.session.id, request.state.form.get("code", ""), token)
    except Wrong as wrong:
        who.context.metrics.code_tried("email", wrong.kind)
        who = replace(who, account=wrong.account)
        return _page(request, who, error=wording.wrong_code(wrong), status=422)
    who.context.metrics.code_tried("email", "right")
    cookies.hand_out(request, token)
    return responses.go(request, "account.security", {"notice": "email"})


def _page(
    request: Request, who: Proven, *, error: Text | None = None, typed: str = "", wait: int = 0, status: int = 200
) -> Response:
    code = steps.code_step(who, "email", None, error=error, wait=wait)
    return responses.page(request, "email.html", status, account=who.account, code=code, typed=typed)

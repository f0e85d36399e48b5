"""The help desk, for whoever has the password and neither key nor recovery code: a number to call with, and the pass."""

from datetime import timedelta

from starlette.responses import Response

from webapp import clock
from webapp.accounts import devices, helpdesk, keys, limits, logon, opening, sessions
from webapp.web import cookies, guards, responses, steps
from webapp.web.guards import PasswordOnly
from webapp.web.state import Request


@guards.password_only
async def show(request: Request, who: PasswordOnly) -> Response:
    """How the help desk helps; the number, once one was asked for; the pass, once one was given."""
    settings, account, now = who.settings, who.account, clock.now()
    has_pass = opening.is_pass_of(account, who.session.token_hash)
    call = None if has_pass else helpdesk.call(settings, who.session, now)
    if call and "waiting" in request.query_params:
        return Response(status_code=204)  # a poll with nothing new: the page stays as it is
    if account.opening and has_pass:
        _keep(request, who, account.opening.opens_at - now + opening.PASS_LIFETIME)
    return responses.panel(
        request,
        "helpdesk.html",
        "_helpdesk.html",
        username=account.username,
        call=call,
        good_for=int((who.session.expires_at - now).total_seconds()),
        opening=account.opening if has_pass else None,
        enters=not keys.asked(account, settings) or opening.has_passed(account, settings, who.session, now),
        hours=steps.hours(settings.helpdesk_wait),
    )


@guards.password_only
async def ask(request: Request, who: PasswordOnly) -> Response:
    """A number, which is good for a quarter of an hour. The browser keeps its cookie, so that a pass finds it after the wait."""
    await limits.count(who.context, limits.HELPDESK, who.account.id, limits.here(who.context))
    await who.change(helpdesk.ask, who.session.id)
    _keep(request, who, helpdesk.LIFETIME + who.settings.helpdesk_wait + opening.PASS_LIFETIME)
    return responses.go(request, "helpdesk.show")


@guards.password_only
async def enter(request: Request, who: PasswordOnly) -> Response:
    """In by the pass, which is used up, once its wait is over."""
    token = who.new_token()
    try:
        account = await who.change(logon.without_key, who.session.id, token)
    except sessions.KeyOwed:
        return responses.go(request, "helpdesk.show")
    cookies.hand_out(request, token)
    cookies.remember(request, devices.known_to(who.context.device, account))
    return responses.go(request, "account.security", {"notice": "helped"})


def _keep(request: Request, who: PasswordOnly, how_long: timedelta) -> None:
    if token := cookies.token(request):
        cookies.hand_out(request, token, how_long)

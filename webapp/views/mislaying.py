"""Mislaid, not lost: suspend a key oneself for seven days, and touch it to have it back."""

from starlette.responses import Response

from webapp import clock
from webapp.accounts import keys, mislaying, recovery, sessions
from webapp.accounts.ceremonies import Failed
from webapp.accounts.decision import Refused
from webapp.accounts.keys import KeyNotBound
from webapp.accounts.sessions import NotProven
from webapp.languages import _
from webapp.web import cookies, guards, responses, steps, touches
from webapp.web.guards import Authenticated, Proven
from webapp.web.state import Request
from webapp.web.steps import Touch


@guards.proven
async def show(request: Request, who: Proven) -> Response:
    """What it means, and what is left to get in with."""
    try:
        key = keys.find(who.account, keys.id_of(request.path_params["key"]))
    except KeyNotBound:
        return steps.gone(request)
    if not mislaying.may(who.account, who.session, clock.now()):
        raise NotProven
    others = [each for each in sessions.live_keys(who.account) if each.id != key.id]
    return responses.page(
        request,
        "mislaid.html",
        account=who.account,
        key=responses.keys([key])[0],
        others=responses.keys(others),
        codes_left=recovery.left(who.account),
        days=mislaying.DAYS,
    )


@guards.proven
async def mislay(request: Request, who: Proven) -> Response:
    """Suspended; every other session is ended."""
    token = who.new_token()
    try:
        await who.change(mislaying.mislay, keys.id_of(request.path_params["key"]), who.session.id, token)
    except KeyNotBound:
        return steps.gone(request)
    except Refused:
        return responses.go(request, "account.security")
    cookies.hand_out(request, token)
    return responses.go(request, "account.security", {"notice": "mislaid"})


@guards.authenticated
async def look(request: Request, who: Authenticated) -> Response:
    """It was found: touch it."""
    try:
        key = keys.find(who.account, keys.id_of(request.path_params["key"]))
    except KeyNotBound:
        return steps.gone(request)
    return steps.row(request, who, touch=_touch(request), **touches.begin(who, "found", (key,)))


@guards.authenticated
async def find(request: Request, who: Authenticated) -> Response:
    """It is asked for again, or did not answer."""
    key_id = keys.id_of(request.path_params["key"])
    try:
        account = await touches.finish(who, "found", mislaying.find, who.session.id, key_id, touches.answer(request))
        return steps.touched(request, who, account, keys.find(account, key_id))
    except KeyNotBound:
        return steps.gone(request)
    except Failed as failed:
        kind = "not this one" if failed.kind in ("no key", "not yours") else failed.kind
        return steps.row(request, who, touch=_touch(request), failure=kind, status=422)


def _touch(request: Request) -> Touch:
    slug = request.path_params["key"]
    return Touch(
        slug, _("Touch this key now"), _("Then it is asked for again."), responses.url(request, "mislaying.look", key=slug)
    )

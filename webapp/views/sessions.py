"""Where I am logged on, and how to end it."""

from starlette.responses import Response

from webapp import clock
from webapp.accounts import sessions
from webapp.languages import _
from webapp.web import cookies, guards, responses
from webapp.web.guards import Authenticated
from webapp.web.state import Request

NOTICES = {"ended": _("That session is ended."), "others": _("You are logged off everywhere else.")}


@guards.authenticated
async def show(request: Request, who: Authenticated) -> Response:
    """Where I am logged on, here first, then by when it was seen."""
    live = [each for each in who.account.sessions if each.stage == "authenticated" and each.expires_at > clock.now()]
    return responses.page(
        request,
        "sessions.html",
        account=who.account,
        notice=NOTICES.get(request.query_params.get("notice", "")),
        sessions=sorted(live, key=lambda each: (each.id != who.session.id, -each.seen_at.timestamp())),
        current=who.session.id,
    )


@guards.authenticated
async def end(request: Request, who: Authenticated) -> Response:
    """End one of my sessions; somebody else's is not found. Ending this one logs off."""
    session_id = request.path_params["id"]
    if session_id not in {each.id for each in who.account.sessions}:
        text = _("It has ended already, or was ended in another tab.")
        link = (responses.url(request, "sessions.show"), _("Back to where you are logged on"))
        return responses.refusal(request, 404, _("There is no such session"), text, link=link)
    await who.change(sessions.end, session_id)
    if session_id == who.session.id:
        cookies.take_away(request)
        return responses.go(request, "logon.show", {"notice": "off"})
    return responses.go(request, "sessions.show", {"notice": "ended"})


@guards.authenticated
async def end_others(request: Request, who: Authenticated) -> Response:
    """End all my sessions but this one."""
    await who.change(sessions.end_others, who.session.id)
    return responses.go(request, "sessions.show", {"notice": "others"})

"""What happened on my account, newest first, a page at a time."""

from starlette.responses import Response

from webapp.web import guards, responses, wording
from webapp.web.guards import Authenticated
from webapp.web.state import Request

PAGE = 25


@guards.authenticated
async def show(request: Request, who: Authenticated) -> Response:
    """A page of events; `before` says where it ends."""
    asked = request.query_params.get("before", "")
    before = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 16 else None
    found = await request.state.backend.events_of(who.account.id, PAGE, before)
    shown = [{"words": wording.event(event.kind), "event": event} for event in reversed(found)]
    older = found[0].seq if found and found[0].seq > who.account.checkpoint.seq + 1 else None
    return responses.page(request, "activity.html", account=who.account, happened=shown, older=older, newest=before is None)

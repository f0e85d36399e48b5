"""What happened on my account, newest first, a page at a time."""

from starlette.responses import Response

from webapp.web import guards, responses
from webapp.web.guards import Authenticated
from webapp.web.state import Request

WORDS = {
    "logged on": "Logged on",
    "logged off": "Logged off",
    "proof given": "A key was touched, to show that it is you",
    "key bound": "A security key was bound",
    "key unbound": "A security key was unbound",
    "key renamed": "A security key was renamed",
    "key refused": "The password was right, but the key was refused",
    "key suspended": "A security key was suspended",
    "key reinstated": "A suspended security key is asked for again",
    "clone suspected": "A security key was refused: it may have been copied",
    "recovery codes made": "New recovery codes were made",
    "recovery codes void": "The recovery codes no longer work",
    "recovery code used": "A recovery code was used to log on",
    "password changed": "The password was changed",
    "password reset": "A new password was set by mail",
    "e-mail changed": "The e-mail address was changed",
    "session ended": "Logged off elsewhere",
    "sessions ended": "Logged off everywhere else",
    "frozen": "The account was frozen",
    "unfrozen": "The account was opened again",
    "opening asked": "Somebody asked to open the account without a key",
    "opening stopped": "Opening the account without a key was stopped",
    "opened after the wait": "The account was opened without a key, once the wait was over",
    "browser made known": "A browser was made known by a mailed link",
    "not mailed": "A letter could not be mailed for three days",
    "account added": "The account was added",
    "account listed": "The account was listed for the preview",
    "account unlisted": "The account was taken off the list of the preview",
    "groups changed": "The groups of the account were changed",
    "events expired": "Older events were deleted",
    "sealed": "The records were sealed",
}
PAGE = 25


@guards.authenticated
async def show(request: Request, who: Authenticated) -> Response:
    """A page of events; `before` says where it ends."""
    asked = request.query_params.get("before", "")
    before = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 16 else None
    found = await request.state.backend.events_of(who.account.id, PAGE, before)
    shown = [{"words": WORDS.get(event.kind, event.kind), "event": event} for event in reversed(found)]
    older = found[0].seq if found and found[0].seq > who.account.checkpoint.seq + 1 else None
    return responses.page(request, "activity.html", account=who.account, happened=shown, older=older, newest=before is None)

"""The Account Center: who I am here, the Security Settings, where I am logged on, and what happened."""

from typing import Any

from starlette.responses import Response

from webapp import clock, events, guards, pages, preview, recovery, sessions
from webapp.guards import SignedIn
from webapp.state import Request

NOTICES = {
    "unbound": "The key is unbound. It is no longer asked for.",
    "unbound-last": "Your last key is unbound. No key is asked for at logon any more, and your recovery codes no longer work.",
    "renamed": "The key has a new name.",
    "recovery": "Your recovery codes are in force. Keep them where you find them without your key.",
    "recovered": "You are logged on. Unbind the key that you have lost, and bind another one.",
    "password": "Your password is changed. You are logged off everywhere else.",
    "email": "Your e-mail address is changed.",
}
WORDS = {
    "logged on": "Logged on",
    "logged off": "Logged off",
    "proof given": "A key was touched, to show that it is you",
    "key bound": "A security key was bound",
    "key unbound": "A security key was unbound",
    "key renamed": "A security key was renamed",
    "key refused": "The password was right, but the key was refused",
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
}
PAGE = 25


@guards.anyone
async def root(request: Request) -> Response:
    """To the account, or to the logon."""
    who = await sessions.bearer(request)
    return pages.go(request, "account.show" if who else "logon.show")


@guards.signed_in
async def show(request: Request, who: SignedIn) -> Response:
    """An overview of the account."""
    return pages.page(request, "account.html", codes_left=await recovery.left(request, who.account.id), **_context(request, who))


@guards.signed_in
async def security(request: Request, who: SignedIn) -> Response:
    """Security Settings, with the row *Universal 2nd Factor*."""
    notice = NOTICES.get(request.query_params.get("notice", ""))
    left = await recovery.left(request, who.account.id)
    return pages.page(
        request, "security.html", notice=notice, editing=None, error=None, codes_left=left, **_context(request, who)
    )


@guards.signed_in
async def logons(request: Request, who: SignedIn) -> Response:
    """Where I am logged on."""
    found = await request.state.backend.sessions_of(who.account.id, clock.now())
    notice = {"ended": "That session is ended.", "others": "You are logged off everywhere else."}
    return pages.page(
        request,
        "sessions.html",
        account=who.account,
        notice=notice.get(request.query_params.get("notice", "")),
        sessions=sorted((s for s in found if s.stage == "full"), key=lambda s: (s.id != who.session.id, -s.seen_at.timestamp())),
        current=who.session.id,
    )


@guards.signed_in
async def end_session(request: Request, who: SignedIn) -> Response:
    """End one of my sessions; somebody else's is not found. Ending this one logs off."""
    session_id = request.path_params["id"]
    if not await request.state.backend.remove_session(who.account.id, session_id):
        text = "It has ended already, or was ended in another tab."
        link = (pages.url(request, "account.logons"), "Back to where you are logged on")
        return pages.refusal(request, 404, "There is no such session", text, link=link)
    await events.add(request, who.account.id, "session ended")
    if session_id == who.session.id:
        await sessions.end(request)
        return pages.go(request, "logon.show", {"notice": "off"})
    return pages.go(request, "account.logons", {"notice": "ended"})


@guards.signed_in
async def end_others(request: Request, who: SignedIn) -> Response:
    """End all my sessions but this one."""
    await request.state.backend.remove_sessions_of(who.account.id, keep=who.session.id)
    await events.add(request, who.account.id, "sessions ended")
    return pages.go(request, "account.logons", {"notice": "others"})


@guards.signed_in
async def activity(request: Request, who: SignedIn) -> Response:
    """What happened on my account, newest first, a page at a time."""
    asked = request.query_params.get("before", "")
    before = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 16 else None
    found = await request.state.backend.events_of(who.account.id, PAGE, before)
    shown = [{"words": WORDS.get(event.kind, event.kind), "event": event} for event in reversed(found)]
    older = found[0].seq if found and found[0].seq > 1 else None
    return pages.page(request, "activity.html", account=who.account, happened=shown, older=older, newest=before is None)


def _context(request: Request, who: SignedIn) -> dict[str, Any]:
    return {
        "account": who.account,
        "keys": pages.keys(who.keys),
        "in_preview": preview.includes(request.state.settings, who.account),
    }

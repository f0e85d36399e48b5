"""What happened on my account, newest first, a page at a time; and for each of it, what to do if it was not me."""

from typing import NamedTuple

from starlette.responses import Response

from backends.records import Event
from webapp.accounts import undoing
from webapp.accounts.decision import Refused
from webapp.accounts.keys import slug
from webapp.languages import Text, _
from webapp.web import guards, responses, wording
from webapp.web.guards import Authenticated, Fresh
from webapp.web.state import Request

PAGE = 25
NOTICES = {"undone": _("It is taken back."), "over": _("There is nothing left to take back.")}


class Advice(NamedTuple):
    """What to do about an event that was not oneself, and where: routes, with what their links say."""

    text: Text | None
    links: tuple[tuple[str, Text], ...] = ()


_PASSWORD = ("password.change", _("Change your password"))
_FORGOTTEN = ("forgotten.show", _("Set a new password by mail"))
_SESSIONS = ("sessions.show", _("See where you are logged on"))
_SECURITY = ("account.security", _("Security Settings"))
_CODES = ("recovery.show", _("Make new recovery codes"))
_KNOWN = Advice(_("Somebody knows your password: change it. Without a key or a code of yours they do not get in."), (_PASSWORD,))
_CALLED = Advice(_("Somebody called the help desk in your name. They know your password: change it."), (_PASSWORD,))
_MAILBOX = Advice(
    _("Somebody reads your mail. Change the password of your mailbox first, then the one here."), (_FORGOTTEN, _SESSIONS)
)
_INSIDE = Advice(
    _("Somebody else is logged on as you. End every session that is not yours, and change your password."), (_SESSIONS, _PASSWORD)
)
_UNDECIDED = Advice(_("You decide about each of your keys in the Security Settings. Unbind what you do not know."), (_SECURITY,))
ADVICE = {
    "logged on": Advice(_("Somebody knows your password. End that session, then change your password."), (_PASSWORD, _SECURITY)),
    "logged off": _INSIDE,
    "proof given": _INSIDE,
    "session ended": _INSIDE,
    "sessions ended": _INSIDE,
    "key bound": Advice(
        _("It opens your account together with your password. Unbind it, and change your password."), (_PASSWORD,)
    ),
    "key unbound": Advice(
        _("That cannot be taken back, but the key can be bound again."), (("binding.show", _("Bind a key")), _PASSWORD, _SESSIONS)
    ),
    "key renamed": _UNDECIDED,
    "key suspended": _UNDECIDED,
    "key reinstated": _UNDECIDED,
    "key mislaid": Advice(_("A touch of the key takes that back, until it is unbound."), (_SECURITY, _SESSIONS, _PASSWORD)),
    "key found": Advice(_("Somebody has the key that was mislaid. Unbind it."), (_SECURITY, _SESSIONS, _PASSWORD)),
    "key tried": _INSIDE,
    "key refused": _KNOWN,
    "clone suspected": Advice(_("Bind another key, then unbind this one."), (_SECURITY,)),
    "recovery codes made": Advice(_("Whoever has them can log on with your password. Make your own."), (_CODES, _PASSWORD)),
    "recovery codes void": Advice(_("That cannot be taken back. Make new ones."), (_CODES, _SESSIONS)),
    "recovery code used": Advice(
        _("Somebody has your recovery codes and your password. New codes make the old ones void."), (_CODES, _PASSWORD, _SESSIONS)
    ),
    "recovery code refused": _KNOWN,
    "recovery code tried": _INSIDE,
    "password changed": Advice(_("That cannot be taken back. Set another one."), (_FORGOTTEN, _SESSIONS)),
    "password reset": _MAILBOX,
    "e-mail changed": Advice(_("Change it back."), (("email.show", _("Change the e-mail address")), _PASSWORD)),
    "frozen": _MAILBOX,
    "unfrozen": _INSIDE,
    "opening asked": _KNOWN,
    "opening stopped": _INSIDE,
    "opened after the wait": Advice(_("End that session, and change your password."), (_PASSWORD, _SECURITY)),
    "number asked": _KNOWN,
    "number looked up": _CALLED,
    "pass given": _CALLED,
    "pass used": Advice(_("End that session, and change your password."), (_PASSWORD, _SESSIONS)),
    "browser made known": _MAILBOX,
}
_OTHERS = Advice(None)
"""Of what nobody does but whoever runs the site: whom to ask stands on the page."""


@guards.authenticated
async def show(request: Request, who: Authenticated) -> Response:
    """A page of events; `before` says where it ends."""
    before = _number(request.query_params.get("before", ""))
    found = await request.state.backend.events_of(who.account.id, PAGE, before)
    shown = [
        {"words": wording.event(event.kind), "detail": wording.detail(event.kind, event.detail), "event": event}
        for event in reversed(found)
    ]
    older = found[0].seq if found and found[0].seq > who.account.checkpoint.seq + 1 else None
    return responses.page(request, "activity.html", account=who.account, happened=shown, older=older, newest=before is None)


@guards.authenticated
async def one(request: Request, who: Authenticated) -> Response:
    """Was this you? What happened, and what to do if it was not."""
    event = await _event(request, who)
    return _one(request, who, event) if event else _gone(request)


@guards.fresh
async def take_back(request: Request, who: Fresh) -> Response:
    """The recovery codes that were made are void, or the wait that began is stopped."""
    event = await _event(request, who)
    if event is None:
        return _gone(request)
    try:
        await who.change(undoing.take_back, event)
    except Refused:
        return responses.go(request, "activity.one", {"notice": "over"}, id=str(event.seq))
    return responses.go(request, "activity.one", {"notice": "undone"}, id=str(event.seq))


def _one(request: Request, who: Authenticated, event: Event) -> Response:
    made = undoing.made(who.account, event)
    advice = ADVICE.get(event.kind, _OTHERS)
    return responses.page(
        request,
        "was_this_you.html",
        account=who.account,
        notice=NOTICES.get(request.query_params.get("notice", "")),
        words=wording.event(event.kind),
        detail=wording.detail(event.kind, event.detail),
        event=event,
        made=made,
        key=slug(made.key.id) if made.key else "",
        here=made.session is not None and made.session.id == who.session.id,
        advice=advice,
    )


async def _event(request: Request, who: Authenticated) -> Event | None:
    """The event of this account that the address names."""
    seq = _number(request.path_params["id"])
    found = await request.state.backend.events_of(who.account.id, 1, seq + 1) if seq else []
    return found[0] if found and found[0].seq == seq else None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None


def _gone(request: Request) -> Response:
    link = (responses.url(request, "activity.show"), _("Back to the activity"))
    return responses.refusal(request, 404, _("That is not in your activity"), _("It is too old, and was deleted."), link=link)

"""Your applications, and the way into one: what it still wants of this session, and then a ticket. Never opens one by itself."""

import re
from dataclasses import dataclass
from typing import Unpack

from starlette.responses import Response

from backends.records import App
from webapp import clock, templating
from webapp.accounts import apps, domains, proving, sessions, tickets
from webapp.accounts.apps import Place
from webapp.accounts.ceremonies import Failed
from webapp.languages import Text, _, _n
from webapp.web import cookies, forwarded, guards, paths, responses, touches
from webapp.web.guards import Authenticated
from webapp.web.state import Request
from webapp.web.touches import Begun

NOTICES = {
    "lost": _(
        "The application could not be opened: that way in was used before, or took too long, or your browser keeps no "
        "cookies for it. Open it again from here."
    ),
}
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
MAX_ADDRESS = 4096


@dataclass(frozen=True, slots=True)
class Shown:
    """An app as a page shows it: what it wants of whoever opens it, and whether a key must be bound before."""

    name: str
    address: str
    host: str
    wants: Text
    needs_key: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """Where somebody is on the way to: a place, and the hash of the nonce that its host gave the browser."""

    place: Place
    nonce: str

    @property
    def fields(self) -> dict[str, str]:
        """As it stands in a form."""
        return {"to": self.place.origin + self.place.path, "nonce": self.nonce}


@guards.authenticated
async def show(request: Request, who: Authenticated) -> Response:
    """Your applications: those that this account may open."""
    known = await request.state.apps.read(request.state.backend)
    bound = bool(sessions.keys_in_force(who.account))
    shown = [_shown(app, bound) for app in known if apps.is_open_to(app, who.account)]
    shown.sort(key=lambda app: app.name.casefold())
    notice = NOTICES.get(request.query_params.get("notice", ""))
    return responses.page(request, "apps.html", account=who.account, apps=shown, notice=notice)


@guards.authenticated
async def enter(request: Request, who: Authenticated) -> Response:
    """On to the app with a ticket, once it has what it wants."""
    entry = await _entry(request, request.query_params.get("to", ""), request.query_params.get("nonce", ""))
    return _no_app(request) if entry is None else _step(request, who, entry)


@guards.authenticated
async def begin_touch(request: Request, who: Authenticated) -> Response:
    """The ceremony form."""
    form = request.state.form
    entry = await _entry(request, form.get("to", ""), form.get("nonce", ""))
    if entry is None:
        return _no_app(request)
    if _owed(who, entry) != "touch":
        return responses.go_to(request, _address(request, entry))
    begun = touches.begin(who, "prove", sessions.keys_in_force(who.account), form.get("domain", ""))
    return _touch(request, who, entry, **begun)


@guards.authenticated
async def finish_touch(request: Request, who: Authenticated) -> Response:
    """On to the app, or why not."""
    form, token = request.state.form, who.new_token()
    entry = await _entry(request, form.get("to", ""), form.get("nonce", ""))
    if entry is None:
        return _no_app(request)
    try:
        await touches.finish(who, "prove", proving.by_key, who.session.id, touches.answer(request), token)
    except Failed as failed:
        return _touch(request, who, entry, failure=failed.kind, status=422)
    cookies.hand_out(request, token)
    return responses.go_to(request, _address(request, entry))


def _shown(app: App, bound: bool) -> Shown:
    origin, needs_key = app.origins[0], app.key == "required" and not bound
    return Shown(apps.called(app), origin, apps.host_of(origin), _wants(app, bound), needs_key)


def _wants(app: App, bound: bool) -> Text:
    """What the app asks for, of whoever has a key bound or has none."""
    if not app.fresh:
        return _("Opens with your logon by key") if bound else _("Opens with your logon")
    minutes = int(apps.fresh_for(app.fresh, by_key=bound).total_seconds()) // 60
    if minutes % 60 == 0:
        return _again_after_hours(minutes // 60, bound)
    if bound:
        return _n("Asks for your key again after %(count)s minute", "Asks for your key again after %(count)s minutes", minutes)
    return _n("Asks for a code again after %(count)s minute", "Asks for a code again after %(count)s minutes", minutes)


def _again_after_hours(hours: int, bound: bool) -> Text:
    if bound:
        return _n("Asks for your key again after %(count)s hour", "Asks for your key again after %(count)s hours", hours)
    return _n("Asks for a code again after %(count)s hour", "Asks for a code again after %(count)s hours", hours)


def _step(request: Request, who: Authenticated, entry: Entry) -> Response:
    """What the app still wants, or the way in."""
    app = apps.called(entry.place.app)
    match _owed(who, entry):
        case "group":
            title, helper = _("%(app)s is not open to you", app=app), templating.helper(request.state.settings)
            text = _("Your account may not open it. If it should, ask %(helper)s.", helper=helper)
            return responses.refusal(request, 403, title, text, link=_all(request))
        case "binding":
            title = _("%(app)s needs your security key", app=app)
            text = _("It opens only with a security key, and none is bound to your account. Bind one, then open it again.")
            link = (responses.url(request, "binding.show"), _("Bind a key"))
            return responses.refusal(request, 403, title, text, link=link)
        case "touch":
            return _touch(request, who, entry)
        case "code":
            return responses.go(request, "binding.show", {"then": _address(request, entry)})
    settings, place = request.state.settings, entry.place
    ticket = tickets.issue(settings, who.account, who.session, place, entry.nonce, clock.now())
    way = f"{place.origin}/.keystead/end?ticket={ticket}"
    if _follows_a_form(request):
        return responses.page(request, "app_opens.html", title=_("%(app)s opens", app=app), app=app, way=way)
    return Response(None, 303, {"location": way})


def _follows_a_form(request: Request) -> bool:
    """Whether a form of ours leads here. Browsers let none lead on to another site (CSP form-action): a page of ours does."""
    return request.headers.get("sec-fetch-site") == "same-origin" or bool(paths.referred(request))


def _address(request: Request, entry: Entry) -> str:
    return f"{responses.url(request, 'apps.enter')}?{forwarded.entry(**entry.fields)}"


def _owed(who: Authenticated, entry: Entry) -> apps.Owed | None:
    return apps.owed(entry.place.app, who.account, who.session, clock.now(), who.settings)


async def _entry(request: Request, to: str, nonce: str) -> Entry | None:
    """The way in that somebody is on; None if it leads to no app, or begins at none."""
    if len(to) > MAX_ADDRESS or not _HASH.fullmatch(nonce):
        return None
    place = await request.state.apps.place(request.state.backend, to)
    return Entry(place, nonce) if place and forwarded.back(place.path) == place.path else None


def _touch(request: Request, who: Authenticated, entry: Entry, **begun: Unpack[Begun]) -> Response:
    domain = request.state.form.get("domain", "") if request.method == "POST" else ""
    ask = domains.choose(who.settings, sessions.keys_in_force(who.account), domain)
    return responses.panel(
        request,
        "app_touch.html",
        "_touch.html",
        begun.get("status", 200),
        account=who.account,
        app=apps.called(entry.place.app),
        host=apps.host_of(entry.place.origin),
        fresh=entry.place.app.fresh or 0,
        by_recovery=who.session.proof == "recovery",
        ask=ask,
        keys=responses.keys(ask.keys),
        device=responses.device(request),
        carried=[*entry.fields.items(), ("next", _address(request, entry))],
        **touches.shown(request, begun.get("ceremony"), begun.get("failure")),
    )


def _all(request: Request) -> tuple[str, Text]:
    return responses.url(request, "apps.show"), _("Your applications")


def _no_app(request: Request) -> Response:
    text = _("It may have been removed, or its address has changed.")
    return responses.refusal(request, 404, _("There is no such application here"), text, link=_all(request))

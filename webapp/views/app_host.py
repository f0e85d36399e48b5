"""What is asked at an app's own host: whether a request may go on to the app, and the way in and out. Never asks a person.

A proxy hands us `/.keystead/` of each app's host, and asks `/check` before everything else. Only proxies that we were told to
trust get an answer: what they say about host and path is all that there is.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import wraps
from typing import NamedTuple

from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from backends.protocol import Unavailable
from backends.records import Account, Session
from webapp import clock, logs
from webapp.accounts import apps, commits, required, sessions, tickets
from webapp.accounts.apps import Place
from webapp.accounts.decision import AccountGone, Refused
from webapp.web import client, cookies, forwarded, guards, paths, probe, responses
from webapp.web.forwarded import Asked, Unbelievable
from webapp.web.guards import View
from webapp.web.state import Request

log = logging.getLogger("keystead.apps")

SEEN_SHARE = 8
"""A session that apps are used with goes on once so much of the time is over for which it may rest: an eighth."""
MAX_AGAIN = 3
"""How often somebody may come into apps within a minute who is sent in again though nothing is owed. Browsers stop much later."""


class _Refused(Exception):
    """The request does not go on; `why` is a word of ours: "logon", what is `apps.Owed`, "no app", "not believed"."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class _Visit(NamedTuple):
    """Who is at which app."""

    place: Place
    account: Account
    session: Session


def _at_app(view: Callable[[Request, Place], Awaitable[Response]]) -> View:
    """A view for an app's own host, which is handed the app."""

    @guards.anyone
    @wraps(view)
    async def placed(request: Request) -> Response:
        try:
            place = await _here(request)
        except _Refused as refused:
            return _unknown(request, refused)
        return await view(request, place)

    return placed


@guards.anyone
async def check(request: Request) -> Response:
    """Whether the request that a proxy holds may go on to the app, and who sends it. One read, no write."""
    try:
        return await _checked(request)
    except Unavailable as unavailable:  # this view stands before whatever answers that for the others (middleware.Checks)
        log.error("backend unavailable: %s", unavailable)
        return Response(None, 503, {"retry-after": "5"})


async def _checked(request: Request) -> Response:
    try:
        asked = _asked(request)
        place = await _place(request, asked.host)
    except _Refused as refused:
        return Response(None, 403, {"keystead-reason": refused.why})
    try:
        visit = await _visit(request, place)
    except _Refused as refused:
        return _shut(refused.why, asked, place)
    if asked.is_use:
        _used(request, visit)
    return Response(None, 200, _told(visit))


@guards.anyone
async def whoami(request: Request) -> Response:
    """Who is at this app, as JSON, by the same rules; to `keystead doctor` it says how the question arrived."""
    asked = request.query_params.get(probe.QUERY)
    if asked and probe.is_doctors(request.state.settings.secret_keys, asked):
        return await _to_the_doctor(request)
    try:
        place = await _here(request)
        visit = await _visit(request, place)
    except _Refused as refused:
        return JSONResponse({"error": refused.why}, 401 if refused.why in _OPENABLE else 403)
    account = visit.account
    return JSONResponse(
        {
            "user": account.username,
            "email": account.email,
            "name": account.username,
            "groups": list(apps.groups_of(account)),
            "account": account.id,
            "proof": apps.proof_of(account, visit.session),
            "app": place.app.name,
        }
    )


@_at_app
async def begin(request: Request, place: Place) -> Response:
    """The way in: a nonce for this browser, and on to us."""
    with suppress(_Refused):
        visit = await _visit(request, place)
        if tickets.used_lately(visit.account, clock.now()) >= MAX_AGAIN:
            return _lost(request, "who is in is sent here again and again: does the proxy hand the cookie to the check?")
    to = place.origin + forwarded.back(request.query_params.get("back", "/"))
    nonce = _carried(request, place.origin) or tickets.new_nonce()
    hash = tickets.hash_nonce(nonce)
    response = RedirectResponse(_enter(request, to, hash), 302)
    response.headers["set-cookie"] = cookies.on_app(place.origin, _nonce(hash), nonce, tickets.NONCE_LIFETIME)
    return response


@_at_app
async def end(request: Request, place: Place) -> Response:
    """Back from us with a ticket, which becomes the app's own cookie. One that is worth nothing leads to the Account Center."""
    settings = request.state.settings
    ticket = tickets.read(settings, request.query_params.get("ticket", ""))
    if ticket is None:
        return _lost(request, "no ticket of ours")
    which = _nonce(ticket.nonce_hash)
    name = cookies.app_name(place.origin) + which
    if not any(name == carried and tickets.is_for(ticket, place.origin, nonce) for carried, nonce in cookies.pairs(request)):
        return await _again(request, place, ticket.path, "another host's, or another browser's")
    account = await request.state.backend.account(ticket.account_id)
    try:
        if account is None:
            raise AccountGone
        await commits.change(client.context(request), account, tickets.use, ticket)
    except (Refused, sessions.NotSignedIn) as refused:
        return await _again(request, place, ticket.path, type(refused).__name__)
    logs.write(log, logging.INFO, "app opened", account=ticket.account_id, app=place.app.name)
    response = RedirectResponse(place.origin + ticket.path, 303)
    value = tickets.cookie(settings, place.origin, ticket.account_id, ticket.session_id)
    response.headers.append("set-cookie", cookies.on_app(place.origin, "", value))
    response.headers.append("set-cookie", cookies.on_app(place.origin, which, ""))
    return response


@_at_app
async def leave(request: Request, place: Place) -> Response:
    """Log off everywhere, by a link on the app's own pages. All else only leads to the Account Center: a link from elsewhere, a
    picture that somebody has put on a page of the app, a browser that loads a page before anybody wants it.
    """
    settings = request.state.settings
    if not _follows_a_link_here(request):
        return RedirectResponse(settings.origin + responses.url(request, "account.show"), 303)
    if found := await _session(request, place):
        account, session = found
        with suppress(AccountGone):
            await commits.change(client.context(request), account, sessions.leave, session.id)
    response = RedirectResponse(f"{settings.origin}{responses.url(request, 'logon.show')}?notice=off", 303)
    response.headers["set-cookie"] = cookies.on_app(place.origin, "", "")
    return response


async def _to_the_doctor(request: Request) -> Response:
    peer, host = request.client.host if request.client else "", request.headers.get("host", "")
    place = await request.state.apps.at(request.state.backend, host)
    told = {"peer": peer, "trusted": client.is_trusted(request, peer), "host": host, "app": place.app.name if place else None}
    return JSONResponse({**told, "at": clock.now().timestamp()})


_LEADS_ON = '<!doctype html><title>403</title><meta http-equiv="refresh" content="0; url={way}"><a href="{way}">{app}</a>'
_OPENABLE = ("logon", "touch", "code", "binding")
"""What a person can do something about."""


def _asked(request: Request) -> Asked:
    """What the proxy asks about."""
    _must_be_proxy(request)
    try:
        asked = forwarded.read(request.headers.raw)
    except Unbelievable as unbelievable:
        raise _not_believed(str(unbelievable)) from None
    if forwarded.is_ours(asked.path):
        raise _not_believed(f"the proxy asks about {paths.APP_HOST}, which it is to hand to us")
    return asked


def _must_be_proxy(request: Request) -> None:
    peer = request.client.host if request.client else ""
    if not client.is_trusted(request, peer):
        raise _not_believed(f"{peer[:64] or 'the peer'} is not in KEYSTEAD_TRUSTED_PROXIES")


def _not_believed(why: str) -> _Refused:
    logs.write(log, logging.WARNING, "not believed", why=why)
    return _Refused("not believed")


async def _here(request: Request) -> Place:
    """The app at whose host this is asked."""
    _must_be_proxy(request)
    try:
        forwarded.refuse_ours(request.headers.raw)
    except Unbelievable as unbelievable:
        raise _not_believed(str(unbelievable)) from None
    hosts = request.headers.getlist("host")
    return await _place(request, hosts[0] if len(hosts) == 1 else "")


async def _place(request: Request, host: str) -> Place:
    place = await request.state.apps.at(request.state.backend, host)
    if place is None:
        raise _Refused("no app")
    return place


async def _visit(request: Request, place: Place) -> _Visit:
    """Who may go on to the app."""
    found = await _session(request, place)
    if found is None:
        raise _Refused("logon")
    account, session = found
    now, settings = clock.now(), request.state.settings
    owed = apps.owed(place.app, account, session, now)
    if owed is None and sessions.owes_binding(account, now, settings):
        owed = "binding"
    if owed:
        raise _Refused(owed)
    return _Visit(place, account, session)


async def _session(request: Request, place: Place) -> tuple[Account, Session] | None:
    """The session that the app's cookie points at, if it goes on."""
    name, settings = cookies.app_name(place.origin), request.state.settings
    pointed = cookies.only(request, name, lambda value: tickets.read_cookie(settings, place.origin, value))
    account = await request.state.backend.account(pointed[0]) if pointed else None
    session = sessions.find_entered(account, pointed[1], clock.now()) if pointed and account else None
    return (account, session) if account and session else None


def _used(request: Request, visit: _Visit) -> None:
    """The session goes on, because its person uses an app. Recorded now and then, once the answer has gone; sooner where that
    sets the date from which a key is needed.
    """
    settings, rested = request.state.settings, clock.now() - visit.session.seen_at
    undated = required.is_undated(visit.account, settings)
    if rested < max(sessions.SEEN_EVERY, timedelta() if undated else settings.session_idle / SEEN_SHARE):
        return
    ctx = client.context(request)

    async def record() -> None:
        with suppress(sessions.NotSignedIn):
            await commits.change(ctx, visit.account, sessions.seen, visit.session.id)

    request.state.sender.later(record)


def _told(visit: _Visit) -> Mapping[str, str]:
    """What the app is told: always all of it, and never an empty header, which some proxies take for none."""
    account = visit.account
    return {
        "remote-user": _in_header(account.username),
        "remote-email": _in_header(account.email),
        "remote-name": _in_header(account.username),
        "remote-groups": ",".join(apps.groups_of(account)),
        "keystead-account": account.id,
        "keystead-proof": apps.proof_of(account, visit.session),
    }


def _in_header(text: str) -> str:
    """Text as it travels in a header: its UTF-8 bytes, which Starlette writes as they stand in Latin-1."""
    return text.encode().decode("latin-1")


def _shut(why: str, asked: Asked, place: Place) -> Response:
    """No, and where to go: by a redirect, where a browser asks for a page and the proxy can pass one on."""
    begin = f"{place.origin}/.keystead/begin"
    way = f"{begin}?back={forwarded.in_query(forwarded.back(asked.path))}"
    location = {"location": way} if asked.is_page else {}
    if why not in _OPENABLE:  # a person is led to where it is said in words; nginx hands headers on, and the others the body
        page = _LEADS_ON.format(way=way, app=place.app.name) if asked.is_page and not asked.by_nginx else None
        return HTMLResponse(page, 403, {"keystead-reason": why} | (location if asked.by_nginx else {}))
    if location and not asked.by_nginx:
        return Response(None, 302, location)
    # nginx hands headers on, and no body
    return JSONResponse({"error": why, "app": place.app.name, "begin": begin}, 401, {"keystead-reason": why} | location)


async def _again(request: Request, place: Place, path: str, why: str) -> Response:
    """A ticket that is not good (any more). Who is in already, because two tabs came at once or one came back, goes on."""
    if await _session(request, place):
        return RedirectResponse(place.origin + path, 303)
    return _lost(request, why)


def _lost(request: Request, why: str) -> Response:
    logs.write(log, logging.WARNING, "no way in", why=why)
    return RedirectResponse(f"{request.state.settings.origin}{responses.url(request, 'apps.show')}?notice=lost", 303)


def _unknown(request: Request, refused: _Refused) -> Response:
    return Response("There is no such page.\n" if refused.why == "no app" else "", 404 if refused.why == "no app" else 403)


def _enter(request: Request, to: str, hash: str) -> str:
    path = responses.url(request, "apps.enter")
    return f"{request.state.settings.origin}{path}?{forwarded.entry(to, hash)}"


def _nonce(hash: str) -> str:
    """What the cookie of a nonce has behind its name: several tabs may be on their way in at once."""
    return f"-{hash[:12]}"


def _carried(request: Request, origin: str) -> str | None:
    """The nonce of a way in that this browser began and did not end: it goes on with it, so that they do not pile up."""
    begun = cookies.app_name(origin)
    some = ((name, value) for name, value in cookies.pairs(request) if name.startswith(f"{begun}-"))
    return next((value for name, value in some if name == begun + _nonce(tickets.hash_nonce(value))), None)


def _follows_a_link_here(request: Request) -> bool:
    told = request.headers
    from_here = told.get("sec-fetch-site") == "same-origin" and told.get("sec-fetch-dest") == "document"
    return from_here and "sec-purpose" not in told and "purpose" not in told

"""What stands at an app's own host, under `/.keystead/`, which its proxy hands to us: the way in and out, and who is there. Never
shows a page.
"""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import wraps

from starlette.responses import JSONResponse, RedirectResponse, Response

from webapp import __version__, clock, logs
from webapp.accounts import apps, commits, sessions, tickets
from webapp.accounts.apps import Place
from webapp.accounts.decision import AccountGone, Refused
from webapp.web import client, cookies, forwarded, guards, probe, responses, visits
from webapp.web.guards import View
from webapp.web.state import Request
from webapp.web.visits import NotOpen

log = logging.getLogger("keystead.apps")

MAX_AGAIN = 3
"""How often somebody may come into apps within a minute who is sent in again though nothing is owed. Browsers stop much later."""


def _at_app(view: Callable[[Request, Place], Awaitable[Response]]) -> View:
    """A view for an app's own host, which is handed the app."""

    @guards.anyone
    @wraps(view)
    async def placed(request: Request) -> Response:
        try:
            place = await visits.here(request)
        except NotOpen as refused:
            return _unknown(request, refused)
        return await view(request, place)

    return placed


@_at_app
async def begin(request: Request, place: Place) -> Response:
    """The way in: a nonce for this browser, and on to us."""
    with suppress(NotOpen):
        visit = await visits.visit(request, place)
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
    if visit := await visits.find(request, place):
        with suppress(AccountGone):
            await commits.change(client.context(request), visit.account, sessions.leave, visit.session.id)
    response = RedirectResponse(f"{settings.origin}{responses.url(request, 'logon.show')}?notice=off", 303)
    response.headers["set-cookie"] = cookies.on_app(place.origin, "", "")
    return response


@guards.anyone
async def whoami(request: Request) -> Response:
    """Who is at this app, as JSON, by the same rules; to `keystead doctor` it says how the question arrived."""
    asked = request.query_params.get(probe.QUERY)
    if asked and probe.is_doctors(request.state.settings.secret_keys, asked):
        return await _to_the_doctor(request)
    try:
        place = await visits.here(request)
        visit = await visits.visit(request, place)
    except NotOpen as refused:
        return JSONResponse({"error": refused.why}, 401 if refused.why in visits.OPENABLE else 403)
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


async def _to_the_doctor(request: Request) -> Response:
    peer, host = request.client.host if request.client else "", request.headers.get("host", "")
    place = await request.state.apps.at(request.state.backend, host)
    return JSONResponse(
        {
            "version": __version__,
            "peer": peer,
            "trusted": client.is_trusted(request, peer),
            "host": host,
            "app": place.app.name if place else None,
            "at": clock.now().timestamp(),
        }
    )


async def _again(request: Request, place: Place, path: str, why: str) -> Response:
    """A ticket that is not good (any more). Who is in already, because two tabs came at once or one came back, goes on."""
    if await visits.find(request, place):
        return RedirectResponse(place.origin + path, 303)
    return _lost(request, why)


def _lost(request: Request, why: str) -> Response:
    logs.write(log, logging.WARNING, "no way in", why=why)
    return RedirectResponse(f"{request.state.settings.origin}{responses.url(request, 'apps.show')}?notice=lost", 303)


def _unknown(request: Request, refused: NotOpen) -> Response:
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

"""What a proxy asks before everything else: whether a request may go on to the app, and who sends it. Never asks a person.

One read, and no write, but for a session that was at rest for long: once the answer has gone.
"""

import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta

from starlette.responses import HTMLResponse, JSONResponse, Response

from backends.protocol import Unavailable
from webapp import clock
from webapp.accounts import apps, commits, required, sessions
from webapp.accounts.apps import Place
from webapp.web import client, forwarded, guards, paths, visits
from webapp.web.forwarded import Asked, Unbelievable
from webapp.web.state import Request
from webapp.web.visits import NotOpen, Visit, Why

log = logging.getLogger("keystead.apps")

SEEN_SHARE = 8
"""A session that apps are used with goes on once so much of the time is over for which it may rest: an eighth."""


@guards.anyone
async def check(request: Request) -> Response:
    """Whether the request that a proxy holds may go on to the app, and who sends it."""
    try:
        return await _checked(request)
    except Unavailable as unavailable:  # this view stands before whatever answers that for the others (middleware.Checks)
        log.error("backend unavailable: %s", unavailable)
        return Response(None, 503, {"retry-after": "5"})


async def _checked(request: Request) -> Response:
    try:
        asked = _asked(request)
        place = await visits.at(request, asked.host)
    except NotOpen as refused:
        return Response(None, 403, {"keystead-reason": refused.why})
    try:
        visit = await visits.visit(request, place)
    except NotOpen as refused:
        return _shut(refused.why, asked, place)
    if asked.is_use:
        _used(request, visit)
    return Response(None, 200, _told(visit))


def _asked(request: Request) -> Asked:
    """What the proxy asks about."""
    visits.must_be_proxy(request)
    try:
        asked = forwarded.read(request.headers.raw)
    except Unbelievable as unbelievable:
        raise visits.not_believed(str(unbelievable)) from None
    if forwarded.is_ours(asked.path):
        raise visits.not_believed(f"the proxy asks about {paths.APP_HOST}, which it is to hand to us")
    return asked


def _used(request: Request, visit: Visit) -> None:
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


def _told(visit: Visit) -> Mapping[str, str]:
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


_LEADS_ON = '<!doctype html><title>403</title><meta http-equiv="refresh" content="0; url={way}"><a href="{way}">{app}</a>'


def _shut(why: Why, asked: Asked, place: Place) -> Response:
    """No, and where to go, for a browser that asks for a page. Of our answer, nginx hands on headers, and the others the body."""
    begin = f"{place.origin}/.keystead/begin"
    way = f"{begin}?back={forwarded.in_query(forwarded.back(asked.path))}"
    reason, location = {"keystead-reason": why}, {"location": way} if asked.is_page else {}
    if why not in visits.OPENABLE:  # a person is led to where it is said in words
        page = _LEADS_ON.format(way=way, app=place.app.name) if asked.is_page and not asked.by_nginx else None
        return HTMLResponse(page, 403, reason | (location if asked.by_nginx else {}))
    if location and not asked.by_nginx:
        return Response(None, 302, location)
    return JSONResponse({"error": why, "app": place.app.name, "begin": begin}, 401, reason | location)

"""How it is all wired: the route table, the middleware, what a refusal looks like, start and stop.

Knows everything, and is imported by nobody but the command line and the test kit.
"""

import hmac
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from backends import open_backend
from backends.protocol import Unavailable
from webapp import __version__, clock, guards, headers, limits, logs, metrics, pages, probe, sessions
from webapp.guards import View
from webapp.limits import TooOften
from webapp.mail import open_mailer
from webapp.metrics import Metrics
from webapp.readiness import Readiness
from webapp.settings import Settings
from webapp.state import Request
from webapp.views import account, alarm, binding, email, logon, password, proving, recovery

SWEEP_EVERY = 600
"""Seconds between two sweeps of what is expired; expiry itself never waits for the broom."""

log = logging.getLogger("keystead")

U2F = "/account/security/u2f"
ROUTES: list[tuple[str, str, View]] = [
    ("GET", "/logon", logon.show),
    ("POST", "/logon", logon.submit),
    ("GET", "/logon/key", logon.key),
    ("POST", "/logon/key/begin", logon.begin_key),
    ("POST", "/logon/key/finish", logon.finish_key),
    ("GET", "/logon/recovery", logon.recovery_code),
    ("POST", "/logon/recovery", logon.use_recovery_code),
    ("GET", "/logon/forgotten", password.forgotten),
    ("POST", "/logon/forgotten", password.submit_forgotten),
    ("GET", "/logon/reset", password.reset),
    ("POST", "/logon/reset", password.submit_reset),
    ("GET", "/", account.root),
    ("GET", "/account", account.show),
    ("GET", "/account/security", account.security),
    ("GET", U2F, binding.show),
    ("POST", f"{U2F}/code", proving.send_code),
    ("POST", f"{U2F}/verify", proving.verify),
    ("POST", f"{U2F}/prove/begin", proving.begin_prove),
    ("POST", f"{U2F}/prove/finish", proving.finish_prove),
    ("POST", f"{U2F}/bind/begin", binding.begin_bind),
    ("POST", f"{U2F}/bind/finish", binding.finish_bind),
    ("GET", f"{U2F}/done", binding.done),
    ("GET", f"{U2F}/row", binding.row),
    ("GET", f"{U2F}/dialog", binding.dialog),
    ("POST", U2F + "/keys/{key}/name", binding.name_key),
    ("GET", U2F + "/keys/{key}/unbind", binding.confirm_unbind),
    ("POST", U2F + "/keys/{key}/unbind", binding.unbind),
    ("GET", "/account/recovery", recovery.show),
    ("POST", "/account/recovery", recovery.make),
    ("POST", "/account/recovery/confirm", recovery.confirm),
    ("GET", "/account/sessions", account.logons),
    ("POST", "/account/sessions/end-others", account.end_others),
    ("POST", "/account/sessions/{id}/end", account.end_session),
    ("GET", "/account/activity", account.activity),
    ("GET", "/account/password", password.change),
    ("POST", "/account/password", password.submit_change),
    ("GET", "/account/email", email.show),
    ("POST", "/account/email", email.send_code),
    ("POST", "/account/email/verify", email.verify),
    ("POST", "/logoff", logon.log_off),
    ("GET", "/not-me", alarm.show),
    ("POST", "/not-me", alarm.freeze),
]
"""In the order in which people come by, which is that in which they are tried: a key logon is found at once."""

_SMALLER = [Middleware(GZipMiddleware, minimum_size=500, compresslevel=5)]
"""For pages and files. A form is answered by a panel or a redirect, which travel in one packet or two as they are."""


def create_app(settings: Settings) -> Starlette:
    """The whole application for these settings; the backend is opened when it starts, and closed when it stops."""
    counted = metrics.open_metrics(settings)
    watched = [Route("/metrics", _metrics, name="metrics")] if settings.metrics else []
    app = Starlette(
        routes=[
            *(_route(*row) for row in ROUTES),
            Route("/healthz", _healthy, name="healthz"),
            Route("/readyz", _ready, name="readyz"),
            *watched,
            Mount("/static", StaticFiles(directory=pages.STATIC), name="static", middleware=_SMALLER),
        ],
        middleware=[
            Middleware(logs.Requests, count=counted.request),
            Middleware(headers.Headers, settings=settings),
            Middleware(sessions.Cookies, settings=settings),
            Middleware(guards.SameOrigin, settings=settings, refusal=_cross_origin),
            Middleware(guards.Supported, advice=_too_old),
        ],
        exception_handlers=_REFUSALS,
        lifespan=lambda app: _lifespan(settings, counted),
    )
    app.router.redirect_slashes = False  # it would redirect to whatever the Host header says
    return app


def from_environ() -> Starlette:
    """The application for the settings in the environment; what a server is pointed at."""
    return create_app(Settings.from_environ(os.environ))


@asynccontextmanager
async def _lifespan(settings: Settings, counted: Metrics) -> AsyncIterator[dict[str, Any]]:
    backend = counted.timed(await open_backend(settings.backend))
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_sweep, backend.sweep)
            yield {
                "settings": settings,
                "backend": backend,
                "mailer": open_mailer(settings),
                "metrics": counted,
                "readiness": Readiness(backend.ready),
            }
            tasks.cancel_scope.cancel()
    finally:
        await backend.close()


async def _sweep(sweep: Callable[[Any], Awaitable[int]]) -> None:
    while True:
        await anyio.sleep(SWEEP_EVERY)
        try:
            await sweep(clock.now())
        except Unavailable as unavailable:
            log.warning("not swept: %s", unavailable)


async def _healthy(request: Request) -> Response:
    """This process answers; to `keystead doctor` it says how the question arrived."""
    asked = request.headers.get(probe.HEADER)
    if asked and probe.is_doctors(request.state.settings.secret_keys, asked):
        return _to_the_doctor(request)
    return PlainTextResponse("ok\n")


def _to_the_doctor(request: Request) -> Response:
    settings = request.state.settings
    peer = request.client.host if request.client else ""
    answer = JSONResponse(
        {
            "version": __version__,
            "public_url": settings.public_url,
            "at": clock.now().timestamp(),
            "peer": peer,
            "trusted": limits.is_trusted(request, peer),
            "forwarded": [claim for claims in limits.forwarded(request) for claim in claims],
            "address": limits.address(request),
            "origin": request.headers.get("origin", ""),
            "cookie": request.cookies.get(probe.COOKIE, ""),
        }
    )
    answer.set_cookie(probe.COOKIE, "seen", max_age=60, secure=settings.https, httponly=True, samesite="lax")
    return answer


async def _ready(request: Request) -> Response:
    """The backend answers, or did within the last second."""
    await request.state.readiness.ask()
    return PlainTextResponse("ok\n")


async def _metrics(request: Request) -> Response:
    """What was counted, for whoever has the secret."""
    given = request.headers.get("authorization", "").encode()
    if not hmac.compare_digest(given, f"Bearer {request.state.settings.metrics}".encode()):
        return PlainTextResponse("This is for whoever has the secret.\n", 401, {"www-authenticate": "Bearer"})
    text = await anyio.to_thread.run_sync(request.state.metrics.text)  # several workers' files are read for it
    return Response(text, media_type=metrics.CONTENT_TYPE)


async def _cross_origin(scope: Any, receive: Any, send: Any) -> None:
    request = Request(scope, receive)
    text = "This was not sent from a page of this site, so it was not done. Open the site by its usual address and try again."
    await pages.refusal(request, 403, "Not from here", text)(scope, receive, send)


async def _too_old(scope: Any, receive: Any, send: Any, found: str) -> None:
    await pages.page(Request(scope, receive), "browser.html", 403, found=found)(scope, receive, send)


async def _not_signed_in(request: Request, _: Exception) -> Response:
    """To the logon, and back afterwards.

    A page that htmx works on is loaded anew: its session may just have got a new cookie in another tab.
    """
    if pages.by_htmx(request):
        return Response(None, 200, {"hx-refresh": "true"})
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return pages.go(request, "logon.show", {"next": wanted} if request.method == "GET" else {"notice": "ended"})


async def _key_owed(request: Request, _: Exception) -> Response:
    return pages.go(request, "logon.key")


async def _already_signed_in(request: Request, _: Exception) -> Response:
    return pages.go(request, "account.show")


async def _not_proven(request: Request, _: Exception) -> Response:
    """To the step that gives the proof, and then back to the page that wanted it. Who lost it meanwhile is told why."""
    asks = request.method == "GET"
    page = guards.local_path(request.url.path if asks else urlsplit(request.headers.get("referer", "")).path, "")
    query = {"then": page} if page and page != pages.url(request, "binding.show") else {}
    return pages.go(request, "binding.show", query if asks else query | {"notice": "late"})


async def _bad_form(request: Request, bad: Any) -> Response:
    return pages.refusal(request, bad.status, "That could not be read", bad.text)


async def _too_often(request: Request, often: Any) -> Response:
    minutes = -(-often.seconds // 60)
    wait = f"Wait {minutes} minute{'s' if minutes > 1 else ''}, then try again. Nothing is lost."
    return pages.refusal(request, 429, "Too many attempts", wait, headers={"retry-after": str(often.seconds)})


async def _unavailable(request: Request, unavailable: Exception) -> Response:
    log.error("backend unavailable: %s", unavailable)
    text = "The place where accounts are kept does not answer at the moment. Nothing was changed. Try again in a few seconds."
    return pages.refusal(request, 503, "Back in a moment", text, headers={"retry-after": "5"})


async def _http(request: Request, refused: Any) -> Response:
    titles = {
        404: ("There is no such page", "Check the address, or go to your account."),
        405: ("Not this way", "That address is part of a form."),
    }
    title, text = titles.get(refused.status_code, ("That did not work", "The request could not be understood."))
    link = (pages.url(request, "account.show"), "Go to your account")
    return pages.refusal(request, refused.status_code, title, text, link=link, headers=refused.headers)


async def _our_fault(request: Request, _: Exception) -> Response:
    """We are wrong. Starlette raises the error again, so that the server logs its traceback, under the id that the page shows."""
    text = "Something went wrong on our side. If it happens again, tell whoever runs this site the number below."
    return pages.refusal(
        request, 500, "Our mistake", text, incident=logs.request_id.get(), headers=headers.secure(request.state.settings)
    )


_REFUSALS: dict[Any, Any] = {
    guards.NotSignedIn: _not_signed_in,
    guards.KeyOwed: _key_owed,
    guards.AlreadySignedIn: _already_signed_in,
    guards.NotProven: _not_proven,
    guards.BadForm: _bad_form,
    TooOften: _too_often,
    Unavailable: _unavailable,
    HTTPException: _http,
    Exception: _our_fault,
}


def _route(method: str, path: str, view: View) -> Route:
    """Routes are named as their views: `binding.finish_bind`."""
    name = f"{view.__module__.rpartition('.')[2]}.{view.__name__}"
    return Route(path, view, methods=[method], name=name, middleware=_SMALLER if method == "GET" else None)

"""How it is all wired: routes, middleware, start and stop. Imported by nobody but the command line and the test kit."""

import gc
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from backends import open_backend
from backends.protocol import Backend, Unavailable
from webapp import clock, metrics, routes, templating
from webapp.accounts import joining, rotation
from webapp.accounts.apps import Apps
from webapp.accounts.census import Census
from webapp.accounts.population import Population
from webapp.metrics import Metrics
from webapp.notifications.mail import open_mailer
from webapp.notifications.sender import Sender
from webapp.settings import Settings
from webapp.views import app_check, brand, health
from webapp.web import cookies, headers, middleware, readiness

PURGE_EVERY = 600
"""Seconds between two purges of what is expired; expiry itself never waits for them."""
RETRY_EVERY = 60
GRACE = 5.0
"""Seconds that what goes on beside the requests gets to end what it is at when the server stops."""

Pauses = AsyncGenerator[float, None]
"""What is done beside the requests, again and again: it gives the seconds until it goes on, and may be left there for ever."""

log = logging.getLogger("keystead")


def create_app(settings: Settings) -> Starlette:
    """The whole application for these settings; the backend is opened when it starts, and closed when it stops."""
    counted = metrics.open_metrics(settings)
    watched = [Route("/metrics", health.counted, name="metrics")] if settings.metrics else []
    files = StaticFiles(directory=templating.STATIC)
    made = [Route(f"/static/{file}", brand.made, name=f"brand.{file}", middleware=routes.SMALLER) for file in settings.made]
    app = Starlette(
        routes=[
            *(routes.route(*row) for row in routes.ROUTES),
            *watched,
            *made,
            Mount("/static", files, name="static", middleware=routes.SMALLER),
        ],
        middleware=[
            Middleware(middleware.Checks, settings=settings, view=app_check.check, count=counted.request),
            Middleware(middleware.Requests, count=counted.request),
            Middleware(headers.Headers, settings=settings),
            Middleware(cookies.Cookies, settings=settings),
            Middleware(middleware.SameOrigin, settings=settings, refusal=routes.cross_origin),
            Middleware(middleware.Supported, advice=routes.too_old),
        ],
        exception_handlers=routes.REFUSALS,
        lifespan=lambda app: _lifespan(settings, counted),
    )
    app.router.redirect_slashes = False  # it would redirect to whatever the Host header says
    return app


def from_environ() -> Starlette:
    """The application for the settings in the environment; what a server is pointed at.

    What is there by then stays, and what a request leaves is gone when it is answered: to look for cycles among it, as Python
    would after every fifth logon, finds none and takes a fortieth of the time.
    """
    app = create_app(Settings.from_environ(os.environ))
    gc.freeze()
    gc.set_threshold(10_000)
    return app


@asynccontextmanager
async def _lifespan(settings: Settings, counted: Metrics) -> AsyncIterator[dict[str, Any]]:
    backend = counted.timed(await open_backend(settings.backend))
    sender, population = Sender(settings, backend, open_mailer(settings), counted), Population()
    census, apps, stopping = Census(settings.sealing_keys), Apps(), anyio.Event()
    try:
        async with anyio.create_task_group() as tasks:
            tend = partial(_tend, backend, settings.secret_keys[0], population)
            for work in (tend, partial(apps.run, backend), sender.run, partial(census.run, backend)):
                tasks.start_soon(_always, work, stopping)
            yield {
                "settings": settings,
                "backend": backend,
                "sender": sender,
                "metrics": counted,
                "census": census,
                "readiness": readiness.of(backend),
                "population": population,
                "apps": apps,
            }
            stopping.set()
            ends_at = anyio.current_time() + GRACE
            await sender.close()
            tasks.cancel_scope.deadline = ends_at
        with suppress(Unavailable):
            await rotation.mark(backend, settings.secret_keys[0])
    finally:
        await backend.close()


async def _always(work: Callable[[], Pauses], stopping: anyio.Event) -> None:
    """Do this until the server stops. A mistake of ours in it stands in the log, and ends nothing else."""
    while not stopping.is_set():
        try:
            async with aclosing(work()) as pauses:
                async for pause in pauses:
                    if await _is_set_within(pause, stopping):
                        return
        except Exception:  # whatever it was: else the backend would be closed under a server that goes on
            log.exception("what goes on beside the requests begins anew")
        await _is_set_within(RETRY_EVERY, stopping)


async def _is_set_within(seconds: float, event: anyio.Event) -> bool:
    with anyio.move_on_after(seconds):
        await event.wait()
    return event.is_set()


async def _tend(backend: Backend, key: str, population: Population) -> Pauses:
    """What is done now and then: mark which secret signs, ask how many accounts there are, and purge what is expired."""
    while True:
        try:
            await rotation.mark(backend, key)
            await population.ask(backend)
            yield PURGE_EVERY
            await backend.purge(clock.now())
            await joining.purge(backend, clock.now())
        except Unavailable as unavailable:
            log.warning("not purged: %s", unavailable)
            yield RETRY_EVERY

"""Who is at which app, by the cookie that the app's own host has. Never believes a proxy that we were not told to trust: what it
says about host and path is all that there is.
"""

import logging
from typing import Literal, NamedTuple

from backends.records import Account, Session
from webapp import clock, logs
from webapp.accounts import apps, sessions, tickets
from webapp.accounts.apps import Place
from webapp.web import client, cookies, forwarded
from webapp.web.forwarded import Unbelievable
from webapp.web.state import Request

Why = Literal["not believed", "no app", "logon"] | apps.Owed
OPENABLE: tuple[Why, ...] = ("logon", "touch", "code", "binding")
"""What a person can do something about."""

log = logging.getLogger("keystead.apps")


class NotOpen(Exception):
    """The request does not go on."""

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why: Why = why


class Visit(NamedTuple):
    """Who is at an app."""

    account: Account
    session: Session


async def here(request: Request) -> Place:
    """The app at whose host this is asked. NotOpen."""
    must_be_proxy(request)
    try:
        forwarded.refuse_ours(request.headers.raw)
    except Unbelievable as unbelievable:
        raise not_believed(str(unbelievable)) from None
    hosts = request.headers.getlist("host")
    return await at(request, hosts[0] if len(hosts) == 1 else "")


async def at(request: Request, host: str) -> Place:
    """The app at this host. NotOpen."""
    place = await request.state.apps.at(request.state.backend, host)
    if place is None:
        raise NotOpen("no app")
    return place


async def visit(request: Request, place: Place) -> Visit:
    """Who may go on to the app. NotOpen."""
    found = await find(request, place)
    if found is None:
        raise NotOpen("logon")
    if owed := apps.owed(place.app, *found, clock.now(), request.state.settings):
        raise NotOpen(owed)
    return found


async def find(request: Request, place: Place) -> Visit | None:
    """Whose session the app's cookie points at, if it goes on."""
    name, settings = cookies.app_name(place.origin), request.state.settings
    pointed = cookies.only(request, name, lambda value: tickets.read_cookie(settings, place.origin, value))
    account = await request.state.backend.account(pointed[0]) if pointed else None
    session = sessions.find_entered(account, pointed[1], clock.now()) if pointed and account else None
    return Visit(account, session) if account and session else None


def must_be_proxy(request: Request) -> None:
    """NotOpen unless a proxy asks that we trust."""
    peer = request.client.host if request.client else ""
    if not client.is_trusted(request, peer):
        raise not_believed(f"{peer[:64] or 'the peer'} is not in KEYSTEAD_TRUSTED_PROXIES")


def not_believed(why: str) -> NotOpen:
    """What to raise; the log says why."""
    logs.write(log, logging.WARNING, "not believed", why=why)
    return NotOpen("not believed")

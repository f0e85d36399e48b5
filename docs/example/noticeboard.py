"""A notice board behind Keystead. It has no accounts, passwords, keys or sessions of its own.

The proxy before it asks Keystead about every request, and says in headers who sends it. So it must be reached through that proxy
only: it listens on this machine, and believes the headers. Never lets anybody in who comes without them.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

PAGE = """<!doctype html><html lang="en"><title>Notice board</title><h1>Notice board</h1>
<p>You are {user}. <a href="/.keystead/leave">Log off</a></p><ul>{notices}</ul>
<form method="post" action="/"><label>A new notice <input name="notice" required></label> <button>Put it up</button></form>"""
NOTICE = "<li>{text} ({user}){button}"
TAKE_DOWN = '<form method="post" action="/down/{number}"><button>Take it down</button></form>'


class Notice(NamedTuple):
    """`account` is whose it is: an id that nobody else ever gets, while usernames can change hands."""

    account: str
    user: str
    text: str


def create_app(origin: str) -> Starlette:
    """The board, at this origin."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        yield {"origin": origin, "notices": {}}

    routes = [
        Route("/", board),
        Route("/", put_up, methods=["POST"]),
        Route("/down/{number:int}", take_down, methods=["POST"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def from_environ() -> Starlette:
    """The board that the environment describes: `uvicorn --factory noticeboard:from_environ`."""
    return create_app(os.environ["BOARD_ORIGIN"])


async def board(request: Request) -> Response:
    """Read the notices."""
    if not (account := who(request)):
        return refused("This did not come through Keystead.")
    notices: dict[int, Notice] = request.state.notices
    lines = [line(number, notice, account) for number, notice in notices.items()]
    return HTMLResponse(PAGE.format(user=escape(request.headers["remote-user"]), notices="".join(lines)))


async def put_up(request: Request) -> Response:
    """Put a notice up."""
    if not (account := who(request)) or request.headers.get("origin") != request.state.origin:
        return refused("That did not come from the board.")
    notices = request.state.notices
    async with request.form() as form:
        text = str(form.get("notice", ""))
    notices[max(notices, default=0) + 1] = Notice(account, request.headers["remote-user"], text)
    return RedirectResponse("/", 303)


async def take_down(request: Request) -> Response:
    """Take one's own notice down."""
    if not (account := who(request)) or request.headers.get("origin") != request.state.origin:
        return refused("That did not come from the board.")
    number = request.path_params["number"]
    found = request.state.notices.get(number)
    if found is None or found.account != account:
        return refused("That is not your notice.")
    del request.state.notices[number]
    return RedirectResponse("/", 303)


def who(request: Request) -> str:
    """The account that sends this, as the proxy says; nobody, if it did not come through it."""
    return request.headers.get("keystead-account", "")


def line(number: int, notice: Notice, account: str) -> str:
    button = TAKE_DOWN.format(number=number) if notice.account == account else ""
    return NOTICE.format(text=escape(notice.text), user=escape(notice.user), button=button)


def refused(text: str) -> Response:
    return PlainTextResponse(text, 403)

"""A notice board that only people who have logged on at Keystead see. It has no accounts, passwords, keys or sessions of its own.

It stands beside Keystead under the same host: a proxy sends /board here and everything else there. So browsers bring Keystead's
cookie along, and whether that cookie opens an account is asked of Keystead itself, at every request. Never trusts a cookie
that it did not ask about.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

PAGE = """<!doctype html><html lang="en"><title>Notice board</title><h1>Notice board</h1><ul>{notices}</ul>
<form method="post"><label>A new notice <input name="notice" required></label> <button>Put it up</button></form></html>"""


def create_app(keystead: str, origin: str) -> Starlette:
    """The board. `keystead` is where Keystead answers this machine, `origin` what people's browsers call the host of both."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        async with httpx2.AsyncClient(base_url=keystead) as client:
            yield {"keystead": client, "origin": origin, "notices": []}

    return Starlette(routes=[Route("/board", board, methods=["GET", "POST"])], lifespan=lifespan)


def from_environ() -> Starlette:
    """The board that the environment describes: `uvicorn --factory noticeboard:from_environ`."""
    return create_app(os.environ["BOARD_KEYSTEAD"], os.environ["BOARD_ORIGIN"])


async def board(request: Request) -> Response:
    """Read the notices, or put one up."""
    try:
        if not await lets_in(request):
            return RedirectResponse("/logon?next=/board", 303)
    except httpx2.TransportError:
        return PlainTextResponse("Keystead does not answer. Try again in a moment.", 503)
    if request.method == "GET":
        return HTMLResponse(PAGE.format(notices="".join(f"<li>{escape(notice)}" for notice in request.state.notices)))
    if request.headers.get("origin") != request.state.origin:
        return PlainTextResponse("That did not come from the board.", 403)
    async with request.form() as form:
        request.state.notices.append(str(form.get("notice", "")))
    return RedirectResponse("/board", 303)


async def lets_in(request: Request) -> bool:
    """Whether Keystead would show this visitor their account: with a bound key, not before it was touched.

    Nothing of the request but the cookie is passed on: to a browser that is too old, Keystead shows advice instead of pages.
    """
    answer = await request.state.keystead.get("/account", headers={"cookie": request.headers.get("cookie", "")})
    if answer.status_code >= 500:
        raise httpx2.TransportError(f"Keystead says {answer.status_code}")
    return bool(answer.status_code == 200)

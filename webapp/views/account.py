"""The Account Center: who I am here, and the Security Settings. Changes nothing."""

from typing import Any

from starlette.responses import Response

from webapp import guards, pages, preview, sessions
from webapp.guards import SignedIn
from webapp.state import Request

NOTICES = {"unbound": "The key is unbound. It is no longer asked for.", "renamed": "The key has a new name."}


@guards.anyone
async def root(request: Request) -> Response:
    """To the account, or to the logon."""
    session = await sessions.find(request)
    return pages.go(request, "account.show" if session else "logon.show")


@guards.signed_in
async def show(request: Request, who: SignedIn) -> Response:
    """An overview of the account."""
    return pages.page(request, "account.html", **_context(request, who))


@guards.signed_in
async def security(request: Request, who: SignedIn) -> Response:
    """Security Settings, with the row *Universal 2nd Factor*."""
    notice = NOTICES.get(request.query_params.get("notice", ""))
    return pages.page(request, "security.html", notice=notice, editing=None, error=None, **_context(request, who))


def _context(request: Request, who: SignedIn) -> dict[str, Any]:
    return {
        "account": who.account,
        "keys": pages.keys(who.keys),
        "in_preview": preview.includes(request.state.settings, who.account),
    }

"""Change a password. Every other session is ended; the key is asked for as ever."""

from typing import Any

from starlette.responses import Response

from webapp.accounts import identities, limits, passwords, refusals
from webapp.accounts.decision import Refused
from webapp.languages import Text, _
from webapp.web import cookies, guards, responses, wording
from webapp.web.guards import Proven
from webapp.web.state import Request


@guards.proven
async def change(request: Request, who: Proven) -> Response:
    """The form."""
    return _page(request, who)


@guards.proven
async def submit_change(request: Request, who: Proven) -> Response:
    """Changed, with every other session ended; or why not."""
    form, ctx, old_hash = request.state.form, who.context, who.account.password_hash
    await limits.count(ctx, limits.PASSWORD_CHANGE, who.account.id)
    if not await passwords.verify(old_hash, form.get("old", ""), known=True):
        refusals.record(ctx, "password", who.account.id)
        return _page(request, who, error=_("The old password is wrong."), field="old", status=422)
    await limits.forget(ctx, limits.PASSWORD_CHANGE, who.account.id)
    new, token = form.get("new", ""), who.new_token()
    if weakness := passwords.weakness(new, identities.names(who.account, ctx.settings)):
        return _page(request, who, error=wording.WEAK_PASSWORDS[weakness], status=422)
    try:
        new_hash = await passwords.hash(new)
        await who.change(identities.change_password, old_hash, new_hash, who.session.id, token)
    except Refused:
        return _page(request, who, error=_("Your account was changed in another tab. Please try again."), status=409)
    cookies.hand_out(request, token)
    return responses.go(request, "account.security", {"notice": "password"})


def _page(request: Request, who: Proven, *, error: Text | None = None, field: str = "new", status: int = 200) -> Response:
    """The whole page forgets what was typed: a password is never sent back."""
    shown: dict[str, Any] = {"error": error, "field": field, "shortest": passwords.MIN_LENGTH}
    return responses.panel(request, "password.html", "_weak.html", status, account=who.account, **shown)

"""Make recovery codes: ten, shown once, in force when one of them was typed back. Their use at logon is in `logon.py`."""

from starlette.responses import Response

from webapp import clock, events, guards, letters, pages, recovery
from webapp.guards import Proven, SignedIn
from webapp.state import Request


@guards.signed_in
async def show(request: Request, who: SignedIn) -> Response:
    """What recovery codes are, and how many are left."""
    left = await recovery.left(request, who.account.id)
    return pages.page(request, "recovery.html", account=who.account, left=left, keys=pages.keys(who.keys), error=None)


@guards.proven
async def make(request: Request, who: Proven) -> Response:
    """Ten new codes on the page, not in force yet. Only for an account that has a key to lose."""
    if not who.keys:
        return pages.go(request, "recovery.show")
    made = recovery.new(request, who)
    return pages.page(request, "recovery_codes.html", account=who.account, codes=made.codes, token=made.token)


@guards.proven
async def confirm(request: Request, who: Proven) -> Response:
    """In force, if one of the codes was typed back."""
    form, at = await guards.form(request), clock.now()
    confirmed = await recovery.confirm(request, who, form.get("token", ""), form.get("code", "")) if who.keys else None
    if confirmed is None:
        return await _again(request, who, "Those codes are too old, or in force already. If in doubt, make new ones.", 409)
    if not confirmed:
        text = (
            "That is not one of the codes that were just shown. They are not in force. Make new ones, and write them down first."
        )
        return await _again(request, who, text, 422)
    await events.add(request, who.account.id, "recovery codes made")
    task = letters.recovery_codes_made(request, who.account, at)
    return pages.go(request, "account.security", {"notice": "recovery"}, task=task)


async def _again(request: Request, who: SignedIn, error: str, status: int) -> Response:
    left = await recovery.left(request, who.account.id)
    return pages.page(request, "recovery.html", status, account=who.account, left=left, keys=pages.keys(who.keys), error=error)

"""Make recovery codes: ten, shown once, in force when one of them was typed back. Their use at logon is in `logon.py`."""

from starlette.responses import Response

from webapp import clock
from webapp.accounts import recovery, sessions
from webapp.accounts.decision import Refused
from webapp.web import guards, responses, steps
from webapp.web.guards import Authenticated, Fresh, Proven
from webapp.web.state import Request

REFUSALS = {
    "over": (409, "Those codes are too old, or in force already. If in doubt, make new ones."),
    "not of it": (
        422,
        "That is not one of the codes that were just shown. They are not in force. Make new ones, and write them down first.",
    ),
}


@guards.authenticated
async def show(request: Request, who: Authenticated) -> Response:
    """What recovery codes are, and how many are left."""
    return _page(request, who)


@guards.fresh
async def make(request: Request, who: Fresh) -> Response:
    """Ten new codes on the page, not in force yet. Only for an account that has a key to lose."""
    if not sessions.keys_in_force(who.account):
        return responses.go(request, "recovery.show")
    made = recovery.new(who.context.settings, who.account.id, who.session.id, clock.now())
    return responses.page(request, "recovery_codes.html", account=who.account, codes=made.codes, token=made.token)


@guards.proven
async def confirm(request: Request, who: Proven) -> Response:
    """In force, if one of the codes was typed back."""
    form = request.state.form
    try:
        await who.change(recovery.confirm, who.session.id, form.get("token", ""), form.get("code", ""))
    except Refused as refused:
        status, error = REFUSALS[refused.kind]
        return _page(request, who, error, status)
    return responses.go(request, "account.security", {"notice": "recovery"})


def _page(request: Request, who: Authenticated, error: str | None = None, status: int = 200) -> Response:
    return responses.page(
        request, "recovery.html", status, left=recovery.left(who.account), error=error, **steps.context(request, who)
    )

"""Recovery codes: ten, on a page and on a sheet for the drawer; and the rehearsal of their use. Their use is in `logon.py`."""

from typing import Any

from starlette.responses import Response

from webapp import clock, templating
from webapp.accounts import identities, limits, recovery, sessions
from webapp.accounts.decision import Refused
from webapp.accounts.recovery import CodeSet
from webapp.languages import Text, _
from webapp.web import client, guards, responses, steps, wording
from webapp.web.guards import Authenticated, Proven
from webapp.web.state import Request

OVER = _("That page was too old, and nothing was done. Press the button once more.")
NOT_OF_IT = _("That is not one of these codes. They are still the same: look closely, and type one of them once more.")


@guards.authenticated
async def show(request: Request, who: Authenticated) -> Response:
    """What recovery codes are, how many are left, and the form that has ten made."""
    return _page(request, who, offer=request.query_params.get("offer", ""))


@guards.authenticated
async def make(request: Request, who: Authenticated) -> Response:
    """Ten codes: in force at once, or to be typed back where they replace others. The same form shows the same ten."""
    token, settings = request.state.form.get("offer", ""), who.settings
    if not sessions.keys_in_force(who.account):
        return responses.go(request, "recovery.show")
    if not guards.is_proven(who, now=True):
        return _touch_first(request, who, token)
    try:
        codes = recovery.offered(settings, who.account.id, who.session.id, token, clock.now())
        account = await who.demanding("fresh").change(recovery.make, who.session.id, token)
    except Refused:
        return _page(request, who, error=OVER, status=409)
    return _codes(request, who, codes, in_force=recovery.is_in_force(account, codes))


@guards.proven
async def confirm(request: Request, who: Proven) -> Response:
    """In force in the place of the set before, if one of the codes was typed back; a typo shows the same ten again."""
    token, typed = request.state.form.get("token", ""), request.state.form.get("code", "")
    codes = None
    try:
        codes = recovery.shown(who.settings, who.account.id, who.session.id, token, clock.now())
        await who.change(recovery.confirm, who.session.id, token, typed)
    except Refused as refused:
        if codes is None or refused.kind == "over":
            return _page(request, who, error=OVER, status=409)
        return _codes(request, who, codes, typed=typed, error=NOT_OF_IT, status=422)
    return responses.go(request, "account.security", {"notice": "recovery"})


@guards.authenticated
async def rehearsal(request: Request, who: Authenticated) -> Response:
    """Pretend that my key is gone: the page on which a recovery code is typed, as it would be."""
    return _rehearsal(request, who)


@guards.authenticated
async def rehearse(request: Request, who: Authenticated) -> Response:
    """Whether this code would open the account. It is not used up; guesses are counted with those at the logon."""
    await limits.count(who.context, limits.RECOVERY, who.account.id, limits.here(who.context))
    typed = request.state.form.get("code", "")
    try:
        await who.change(recovery.rehearse, typed)
    except Refused as refused:
        return _rehearsal(request, who, typed=typed, error=wording.RECOVERY_CODES[refused.kind], status=422)
    return _rehearsal(request, who, would=True)


def _touch_first(request: Request, who: Authenticated, token: str) -> Response:
    """To the touch for this act, and then back to the form that shows the same ten."""
    then = responses.url(request, "recovery.show")
    query = f"?offer={token}" if _is_offer(who, token) else ""
    return responses.go(request, "binding.show", {"then": f"{then}{query}", "notice": "late"})


def _is_offer(who: Authenticated, token: str) -> bool:
    try:
        recovery.offered(who.settings, who.account.id, who.session.id, token, clock.now())
    except Refused:
        return False
    return True


def _page(request: Request, who: Authenticated, *, offer: str = "", error: Text | None = None, status: int = 200) -> Response:
    shown = steps.context(request, who)
    if _is_offer(who, offer):
        shown["offer"] = offer
    return responses.page(request, "recovery.html", status, error=error, **shown)


def _codes(
    request: Request,
    who: Authenticated,
    codes: CodeSet,
    *,
    in_force: bool = False,
    typed: str = "",
    error: Text | None = None,
    status: int = 200,
) -> Response:
    settings = who.settings
    sheet: dict[str, Any] = {
        "account": who.account,
        "codes": codes.codes,
        "public_url": settings.public_url,
        "today": clock.now(),
    }
    return responses.page(
        request,
        "recovery_codes.html",
        status,
        token=codes.token,
        in_force=in_force,
        left=recovery.left(who.account),
        typed=typed[: recovery.MAX_TEXT],
        error=error,
        text=templating.render(
            client.language(request),
            "recovery_sheet.txt",
            name=settings.name,
            help=settings.help,
            masked=identities.masked(who.account.email),
            **sheet,
        ),
        **sheet,
    )


def _rehearsal(
    request: Request, who: Authenticated, *, would: bool = False, typed: str = "", error: Text | None = None, status: int = 200
) -> Response:
    shown = steps.recovery(who.settings, who.account, typed)
    return responses.page(request, "logon_recovery.html", status, rehearsal=True, would=would, error=error, **shown)

"""The Account Center: who I am here, and the Security Settings."""

from starlette.responses import Response

from webapp.languages import _
from webapp.web import guards, responses, steps
from webapp.web.guards import Authenticated
from webapp.web.state import Request

NOTICES = {
    "unbound": _("The key is unbound. It is no longer asked for."),
    "unbound-last": _("Your last key is unbound. No key is asked for at logon any more, and your recovery codes no longer work."),
    "renamed": _("The key has a new name."),
    "reinstated": _("The key is asked for at logon again."),
    "mislaid": _("The key is suspended. Touch it here, or log on with it, as soon as you have found it."),
    "recovery": _("Your recovery codes are in force. Keep them where you find them without your key."),
    "recovered": _("You are logged on. Unbind the key that you have lost, and bind another one."),
    "helped": _("You are logged on without your key, this once. Bind a new key now, then unbind the one that you have lost."),
    "opened": _("You are logged on without a key. Your keys are suspended: unbind those that are lost, and bind another one."),
    "password": _("Your password is changed. You are logged off everywhere else."),
    "email": _("Your e-mail address is changed. You are logged off everywhere else."),
}


@guards.anyone
async def root(request: Request) -> Response:
    """To the account, or to the logon."""
    who = await guards.visitor(request)
    return responses.go(request, "account.show" if who else "logon.show")


@guards.authenticated
async def show(request: Request, who: Authenticated) -> Response:
    """An overview of the account."""
    return responses.page(request, "account.html", **steps.context(request, who))


@guards.authenticated
async def security(request: Request, who: Authenticated) -> Response:
    """Security Settings, with the row *Universal 2nd Factor*."""
    notice = NOTICES.get(request.query_params.get("notice", ""))
    return steps.row(request, who, notice=notice, editing=request.query_params.get("rename"))

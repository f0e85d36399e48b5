"""Try a key, or ask which one it is: a touch that proves nothing. The answer stands in the row of the Security Settings."""

from starlette.responses import Response

from backends.records import SecurityKey
from webapp.accounts import domains, keys, trying
from webapp.accounts.ceremonies import Failed
from webapp.accounts.keys import KeyNotBound
from webapp.languages import _
from webapp.web import guards, responses, steps, touches
from webapp.web.guards import Authenticated
from webapp.web.state import Request
from webapp.web.steps import Touch

_WORDS = _("This changes nothing.")


@guards.authenticated
async def which(request: Request, who: Authenticated) -> Response:
    """Touch any key."""
    if not who.account.keys:
        return responses.go(request, "account.security")
    return _begin(request, who, _which(request, who), who.account.keys)


@guards.authenticated
async def tell_which(request: Request, who: Authenticated) -> Response:
    """Which one it is, or that it is not bound here."""
    try:
        account = await touches.finish(who, "try", trying.try_any, who.session.id, touches.answer(request))
    except Failed as failed:
        return _failed(request, who, failed, _which(request, who), "not bound here")
    return steps.touched(request, who, account, keys.last_used(account))


@guards.authenticated
async def begin(request: Request, who: Authenticated) -> Response:
    """Touch this key."""
    try:
        key = keys.find(who.account, keys.id_of(request.path_params["key"]))
    except KeyNotBound:
        return steps.gone(request)
    return _begin(request, who, _this(request), (key,))


@guards.authenticated
async def finish(request: Request, who: Authenticated) -> Response:
    """It works, or did not answer."""
    key_id = keys.id_of(request.path_params["key"])
    try:
        account = await touches.finish(who, "try", trying.try_this, who.session.id, key_id, touches.answer(request))
        return steps.touched(request, who, account, keys.find(account, key_id))
    except KeyNotBound:
        return steps.gone(request)
    except Failed as failed:
        return _failed(request, who, failed, _this(request), "not this one")


def _begin(request: Request, who: Authenticated, touch: Touch, among: tuple[SecurityKey, ...]) -> Response:
    """The ceremony form, in the row."""
    return steps.row(request, who, touch=touch, **touches.begin(who, "try", among, request.query_params.get("domain", "")))


def _which(request: Request, who: Authenticated) -> Touch:
    others = domains.choose(who.settings, who.account.keys, request.query_params.get("domain", "")).others
    return Touch("", _("Touch the key in question"), _WORDS, responses.url(request, "trying.which"), others)


def _this(request: Request) -> Touch:
    slug = request.path_params["key"]
    return Touch(slug, _("Touch this key now"), _WORDS, responses.url(request, "trying.begin", key=slug))


def _failed(request: Request, who: Authenticated, failed: Failed, touch: Touch, otherwise: str) -> Response:
    """No key answered, or one that may not. That none did means something else here than where a key is asked for."""
    kind = otherwise if failed.kind in ("no key", "not yours") else failed.kind
    return steps.row(request, who, touch=touch, failure=kind, status=422)

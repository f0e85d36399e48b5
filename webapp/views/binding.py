"""Bind, rename, reinstate and unbind a security key. Never changes a key without a proof, which `proving.py` takes."""

from dataclasses import replace
from datetime import UTC, datetime

from starlette.responses import Response

from webapp import clock
from webapp.accounts import ceremonies, keys
from webapp.accounts.ceremonies import Failed
from webapp.accounts.decision import Refused
from webapp.accounts.keys import KeyNotBound
from webapp.languages import _
from webapp.web import cookies, guards, paths, responses, steps, touches
from webapp.web.guards import Authenticated, Fresh, Proven, ProvenToBind, ToBind
from webapp.web.state import Request

NOTICES = {
    "joined": _("Your account is ready. Next, bind your security key."),
    "late": _("For this, show once more that it is you. Nothing is lost."),
}
GONE = _("That key is no longer bound.")


@guards.to_bind
async def show(request: Request, who: ToBind) -> Response:
    """The bind page, at the step that this session has reached; a reload loses nothing."""
    then = paths.local(request, request.query_params.get("then", ""))
    await responses.look_ahead(request, then)
    return steps.next_step(request, who, then, notice=NOTICES.get(request.query_params.get("notice", "")))


@guards.authenticated
async def done(request: Request, who: Authenticated) -> Response:
    """Bound: what happens next."""
    newest = keys.newest(who.account)
    if newest is None:
        return responses.go(request, "binding.show")
    return responses.page(request, "done.html", key=responses.keys([newest])[0], **steps.context(request, who))


@guards.authenticated
async def row(request: Request, who: Authenticated) -> Response:
    """The row of the Security Settings; with `rename`, that key gets another name."""
    editing = request.query_params.get("rename")
    if editing and keys.id_of(editing) not in [key.id for key in who.account.keys]:
        return steps.row(request, who, error=GONE, status=404)
    return steps.row(request, who, editing=editing)


@guards.authenticated
async def dialog(request: Request, who: Authenticated) -> Response:
    """The dialog of the first page: whether a key was bound since it opened."""
    query = request.query_params
    since = _moment(query.get("since", ""))
    bound = any(key.bound_at >= since for key in who.account.keys)
    if not bound and "since" in query and not {"check", "help"} & set(query):
        return Response(status_code=204)  # a poll with nothing new: the dialog stays as it is, and the focus with it
    return responses.panel(
        request,
        "dialog.html",
        "_dialog.html",
        headers={"hx-trigger": "bound"} if bound else None,
        state="bound" if bound else "help" if "help" in query else "not_yet" if "check" in query else "waiting",
        since=int(since.timestamp() * 1000),
        **steps.context(request, who),
    )


@guards.proven_to_bind
async def begin_bind(request: Request, who: ProvenToBind) -> Response:
    """The ceremony form."""
    ceremony = ceremonies.begin_bind(who.settings, who.account, who.session.id)
    who.context.metrics.ceremony("bind", "begun")
    return steps.bind(request, who, label=keys.normalise(request.state.form.get("name", "")), ceremony=ceremony)


@guards.proven_to_bind
async def finish_bind(request: Request, who: ProvenToBind) -> Response:
    """Bind the key that answered, or say why not."""
    form, token = request.state.form, who.new_token()
    label = keys.normalise(form.get("name", "")) or steps.suggestion(request, who)
    try:
        await touches.finish(who, "bind", keys.bind, who.session.id, touches.answer(request), label, token)
    except Failed as failed:
        status = 409 if failed.kind == "taken" else 422
        return steps.bind(request, who, label=label, failure=failed.kind, status=status)
    cookies.hand_out(request, token)
    return responses.go(request, "binding.done")


@guards.proven
async def again(request: Request, who: Proven) -> Response:
    """A key of an earlier domain may be bound here too; or not now."""
    try:
        key = keys.find(who.account, keys.id_of(request.path_params["key"]))
    except KeyNotBound:
        return steps.gone(request)
    wanted = paths.local(request, request.query_params.get("next", ""), responses.url(request, "account.show"))
    return steps.again(request, who, key, wanted)


@guards.proven
async def name_key(request: Request, who: Proven) -> Response:
    """Rename a key."""
    slug = request.path_params["key"]
    try:
        account = await who.change(keys.rename, keys.id_of(slug), request.state.form.get("name", ""))
    except KeyNotBound:
        return steps.row(request, who, error=GONE, status=404)
    except Refused:
        return steps.row(request, who, editing=slug, error=_("Give the key a name."), status=422)
    if not responses.by_htmx(request):
        return responses.go(request, "account.security", {"notice": "renamed"})
    return steps.row(request, replace(who, account=account), notice=_("The key has a new name."))


@guards.fresh
async def reinstate(request: Request, who: Fresh) -> Response:
    """A suspended key is asked for again."""
    try:
        await who.change(keys.reinstate, keys.id_of(request.path_params["key"]))
    except KeyNotBound:
        return steps.gone(request)
    return responses.go(request, "account.security", {"notice": "reinstated"})


@guards.authenticated
async def confirm_unbind(request: Request, who: Authenticated) -> Response:
    """The unbind dialog: first the touch for this act, then the question."""
    try:
        return steps.unbind(request, who, keys.find(who.account, keys.id_of(request.path_params["key"])))
    except KeyNotBound:
        return steps.gone(request)


@guards.authenticated
async def unbind(request: Request, who: Authenticated) -> Response:
    """Unbind the key; somebody else's is not found."""
    try:
        key = keys.find(who.account, keys.id_of(request.path_params["key"]))
        if not guards.is_proven(who, now=True):
            return steps.unbind(request, who, key, error=_("Touch a key first, to show that it is you."), status=403)
        token = who.new_token()
        account = await who.demanding("fresh").change(keys.unbind_here, key.id, who.session.id, token)
    except KeyNotBound:
        return steps.gone(request)
    cookies.hand_out(request, token)
    void = bool(who.account.recovery_codes) and not account.recovery_codes
    return responses.go(request, "account.security", {"notice": "unbound-last" if void else "unbound"})


def _moment(milliseconds: str) -> datetime:
    """The moment that a dialog carries along; now, for a dialog that opens."""
    now = clock.now()
    known = milliseconds.isascii() and milliseconds.isdecimal() and len(milliseconds) < 15
    return min(now, datetime.fromtimestamp(int(milliseconds) / 1000, UTC)) if known else now

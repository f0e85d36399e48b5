"""Prove that it is you: a code by e-mail while no key is bound, a touch of a bound key otherwise. Never signs anybody in."""

from dataclasses import replace
from typing import Unpack

from starlette.responses import Response

from backends.records import SecurityKey
from webapp.accounts import keys, proving, sessions
from webapp.accounts.ceremonies import Failed
from webapp.accounts.codes import Wrong
from webapp.accounts.decision import Refused
from webapp.accounts.keys import KeyNotBound
from webapp.languages import _
from webapp.notifications.verification import NotSent
from webapp.web import cookies, guards, paths, responses, steps, touches, wording
from webapp.web.guards import Authenticated, ToBind
from webapp.web.state import Request
from webapp.web.touches import Begun


@guards.to_bind
async def send_code(request: Request, who: ToBind) -> Response:
    """Send a code, or the one that is still valid once more."""
    then = _then(request)
    if sessions.keys_in_force(who.account):
        return steps.prove(request, who, then)
    try:
        account, again = await request.state.sender.send_code(who.context, who.account, who.session.id, "bind", who.account.email)
    except NotSent as not_sent:
        who = replace(who, account=not_sent.account)
        status, error = wording.not_sent(not_sent.kind, not_sent.seconds)
        return steps.verify(request, who, then, error=error, wait=not_sent.seconds, status=status)
    if not responses.by_htmx(request):
        return _back(request, then)
    sent = _("The same code was sent again.") if again else _("A code is on its way to you.")
    return steps.verify(request, replace(who, account=account), then, sent=sent)


@guards.to_bind
async def verify(request: Request, who: ToBind) -> Response:
    """Proof, if these are the digits that were sent to this session."""
    then, token = _then(request), who.new_token()
    try:
        account = await who.change(proving.by_code, who.session.id, request.state.form.get("code", ""), token)
    except Wrong as wrong:
        who.context.metrics.code_tried("bind", wrong.kind)
        who = replace(who, account=wrong.account)
        return steps.verify(request, who, then, error=wording.wrong_code(wrong), status=422)
    except Refused:
        return steps.prove(request, who, then)
    who.context.metrics.code_tried("bind", "right")
    cookies.hand_out(request, token)
    proven = replace(who, account=account, session=sessions.get(account, who.session.id))
    return steps.next_step(request, proven, then) if responses.by_htmx(request) else _back(request, then)


@guards.authenticated
async def begin_prove(request: Request, who: Authenticated) -> Response:
    """The ceremony form; it leads on to binding, to where `then` says, or to unbinding the key that `unbind` names."""
    then, unbind, domain = _then(request), request.state.form.get("unbind", ""), request.state.form.get("domain", "")
    live = sessions.keys_in_force(who.account)
    if not live or (not unbind and guards.is_proven(who, now=bool(then))):
        return steps.next_step(request, who, then)
    try:
        key = keys.find(who.account, keys.id_of(unbind)) if unbind else None
    except KeyNotBound:
        return steps.gone(request)
    return _ask(request, who, then, key, **touches.begin(who, "prove", live, domain))


@guards.authenticated
async def finish_prove(request: Request, who: Authenticated) -> Response:
    """Proof, or why not."""
    form, then, token = request.state.form, _then(request), who.new_token()
    unbind, key = form.get("unbind", ""), None
    try:
        key = keys.find(who.account, keys.id_of(unbind)) if unbind else None
        account = await touches.finish(who, "prove", proving.by_key, who.session.id, touches.answer(request), token)
    except KeyNotBound:
        return steps.gone(request)
    except Failed as failed:
        return _ask(request, who, then, key, failure=failed.kind, status=422)
    cookies.hand_out(request, token)
    proven = replace(who, account=account, session=sessions.get(account, who.session.id))
    if key:
        return steps.unbind(request, proven, key) if responses.by_htmx(request) else _to_unbind(request, unbind)
    return steps.next_step(request, proven, then) if responses.by_htmx(request) else _back(request, then)


def _ask(request: Request, who: Authenticated, then: str, key: SecurityKey | None, **begun: Unpack[Begun]) -> Response:
    """For the touch; in the dialog of the key that is to be unbound, if there is one."""
    domain = request.state.form.get("domain", "")
    if key:
        return steps.unbind(request, who, key, domain=domain, **begun)
    return steps.prove(request, who, then, domain=domain, **begun)


def _then(request: Request) -> str:
    return paths.local(request, request.state.form.get("then", ""))


def _back(request: Request, then: str) -> Response:
    return responses.go(request, "binding.show", {"then": then} if then else None)


def _to_unbind(request: Request, slug: str) -> Response:
    return responses.go(request, "binding.confirm_unbind", key=slug)

"""Prove that it is you: a code by e-mail while no key is bound, a touch of a bound key otherwise. Never signs anybody in."""

from starlette.responses import Response

from backends.records import Proof
from webapp import alarms, ceremonies, events, guards, pages, sessions, steps, verification
from webapp.ceremonies import Failed
from webapp.guards import Proven, SignedIn
from webapp.state import Request
from webapp.verification import NotSent, Wrong


@guards.signed_in
async def send_code(request: Request, who: SignedIn) -> Response:
    """Send a code, or the one that is still valid once more."""
    then = _then(request, await guards.form(request))
    if who.keys:
        return steps.prove(request, who, then)
    try:
        again = await verification.send(request, who, steps.PURPOSE, who.account.email)
    except NotSent as not_sent:
        headers = {"retry-after": str(not_sent.retry_after)} if not_sent.retry_after else None
        return await steps.verify(request, who, then, error=not_sent.words, status=not_sent.status, headers=headers)
    if not pages.by_htmx(request):
        return _back(request, then)
    return await steps.verify(
        request, who, then, sent="The same code was sent again." if again else "A code is on its way to you."
    )


@guards.signed_in
async def verify(request: Request, who: SignedIn) -> Response:
    """Proof, if these are the digits that were sent to this session."""
    form = await guards.form(request)
    then = _then(request, form)
    if who.keys:
        return steps.prove(request, who, then)
    try:
        await verification.check(request, who, steps.PURPOSE, form.get("code", ""), who.account.email)
    except Wrong as wrong:
        return await steps.verify(request, who, then, error=wrong.words, status=wrong.status)
    proven = await _step_up(request, who, "code")
    return await steps.next_step(request, proven, then) if pages.by_htmx(request) else _back(request, then)


@guards.signed_in
async def begin_prove(request: Request, who: SignedIn) -> Response:
    """The ceremony form; it leads on to binding, to where `then` says, or to unbinding the key that `unbind` names."""
    form = await guards.form(request)
    then, unbind = _then(request, form), form.get("unbind", "")
    if not who.keys or (guards.proof_of(who) and not unbind):
        return await steps.next_step(request, who, then)
    ceremony = ceremonies.begin_use(request, "prove", who)
    if not unbind:
        return steps.prove(request, who, then, ceremony=ceremony)
    key = pages.named_by(unbind, who.keys)
    return steps.unbind(request, who, key, ceremony=ceremony) if key else steps.gone(request)


@guards.signed_in
async def finish_prove(request: Request, who: SignedIn) -> Response:
    """Proof, or why not."""
    form = await guards.form(request)
    then, unbind = _then(request, form), form.get("unbind", "")
    key = pages.named_by(unbind, who.keys)
    if unbind and key is None:
        return steps.gone(request)
    try:
        used = await ceremonies.finish_prove(request, form, who)
    except Failed as failed:
        if key:
            answer = steps.unbind(request, who, key, failure=failed.failure, status=422)
        else:
            answer = steps.prove(request, who, then, failure=failed.failure, status=422)
        answer.background = await alarms.raised(request, who.account, failed)
        return answer
    proven = await _step_up(request, who, "key")
    await events.add(request, who.account.id, "proof given", used.name)
    if key:
        return steps.unbind(request, proven, key) if pages.by_htmx(request) else _to_unbind(request, unbind)
    return await steps.next_step(request, proven, then) if pages.by_htmx(request) else _back(request, then)


async def _step_up(request: Request, who: SignedIn, proof: Proof) -> Proven:
    session = await sessions.step_up(request, who.session, proof=proof)
    if session is None:
        raise guards.NotSignedIn
    return Proven(who.account, session, who.keys)


def _then(request: Request, form: dict[str, str]) -> str:
    return guards.local_path(form.get("then", ""), "")


def _back(request: Request, then: str) -> Response:
    return pages.go(request, "binding.show", {"then": then} if then else None)


def _to_unbind(request: Request, slug: str) -> Response:
    return pages.go(request, "binding.confirm_unbind", key=slug)

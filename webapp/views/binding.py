"""Bind and unbind a security key: prove it is you, touch the key, done. Never changes a key without a fresh proof.

Three steps, each a panel of one page: verify (a code by e-mail, while no key is bound) or prove (touch a bound key), then bind,
then done.
"""

import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from starlette.background import BackgroundTask
from starlette.responses import Response

from backends.protocol import KeyTaken
from backends.records import Proof, SecurityKey, VerificationCode
from webapp import ceremonies, clock, codes, events, guards, letters, limits, pages, preview, sessions
from webapp.ceremonies import Ceremony, Failed, Failure
from webapp.guards import Proven, SignedIn
from webapp.limits import Limit, TooOften
from webapp.mail import MailFailed
from webapp.state import Request
from webapp.webauthn import BoundKey

PURPOSE = "bind"
LONGEST_NAME = 64
SEND = Limit("code", 1, codes.RESEND_AFTER)
SENDS = Limit("codes", codes.SENDS_A_DAY, timedelta(days=1))


@dataclass(frozen=True, slots=True)
class Waiting:
    """A code that was sent and may still be typed; durations in whole seconds."""

    resend_in: int
    expires_in: int
    tries_left: int


# The bind page, at the step that this session has reached


@guards.signed_in
async def show(request: Request, who: SignedIn) -> Response:
    """The step that comes next for this session; a reload loses nothing."""
    if proven := guards.proof_of(who):
        return _bind(request, proven)
    return _prove(request, who) if who.keys else await _verify(request, who)


@guards.signed_in
async def done(request: Request, who: SignedIn) -> Response:
    """Bound: what happens next."""
    if not who.keys:
        return pages.go(request, "binding.show")
    newest = max(who.keys, key=lambda key: key.bound_at)
    return pages.page(request, "done.html", key=pages.keys([newest])[0], **_context(request, who))


@guards.signed_in
async def row(request: Request, who: SignedIn) -> Response:
    """The row of the Security Settings."""
    return _row(request, who)


@guards.signed_in
async def dialog(request: Request, who: SignedIn) -> Response:
    """The dialog of the first page: whether a key was bound since it opened."""
    query = request.query_params
    since = _moment(query.get("since", ""))
    asked = "check" in query or "help" in query or "since" not in query
    bound = any(key.bound_at >= since for key in who.keys)
    if not bound and not asked:
        return Response(status_code=204)
    state = "bound" if bound else "help" if "help" in query else "not_yet" if "check" in query else "waiting"
    return pages.panel(
        request,
        "dialog.html",
        "_dialog.html",
        headers={"hx-trigger": "bound"} if bound else None,
        state=state,
        since=int(since.timestamp() * 1000),
        **_context(request, who),
    )


# Verify it is you: a code by e-mail


@guards.signed_in
async def send_code(request: Request, who: SignedIn) -> Response:
    """Send a code, or the one that is still valid once more."""
    if who.keys:
        return _prove(request, who)
    try:
        await _may_send(request, who)
    except TooOften as often:
        return await _verify(request, who, error=_wait(often), status=429, retry_after=often.seconds)
    try:
        again = await _send(request, who)
    except MailFailed:
        await limits.forget(request, SEND, who.account.id)
        await limits.take_back(request, SENDS, who.account.id)
        return await _verify(
            request, who, error="The mail could not be sent. Nothing is lost: please try again in a moment.", status=503
        )
    return await _verify(request, who, sent="The same code was sent again." if again else "A code is on its way to you.")


@guards.signed_in
async def verify(request: Request, who: SignedIn) -> Response:
    """Proof, if these are the digits that were sent to this session."""
    form = await guards.form(request)
    if who.keys:
        return _prove(request, who)
    typed = codes.tidy(form.get("code", ""))
    if typed is None:
        return await _verify(request, who, error=f"The code has {codes.DIGITS} digits. Look for it in the mail.", status=422)
    if await _code(request, who) is None:
        return await _verify(
            request, who, error="There is no code to compare with, or it is too old. Ask for a new one.", status=422
        )
    code = await request.state.backend.spend_try(who.account.id, PURPOSE, clock.now())
    if code is None:
        return await _verify(request, who, error="This code has no tries left. Ask for a new one.", status=422)
    if not codes.matches(code, typed, request.state.settings.secret_keys):
        return await _verify(request, who, error=_wrong(code), status=422)
    if not await request.state.backend.take_code(who.account.id, PURPOSE, code.digest):
        return await _verify(request, who, error="This code was used a moment ago. Reload the page.", status=409)
    return _bind(request, await _step_up(request, who, "code"))


# Verify it is you: touch a key that is bound


@guards.signed_in
async def begin_prove(request: Request, who: SignedIn) -> Response:
    """The ceremony form; it leads on to binding, or to unbinding the key that the form names."""
    form = await guards.form(request)
    ceremony = ceremonies.begin_use(request, "prove", who) if who.keys else None
    return await _proving(request, who, form.get("unbind", ""), ceremony=ceremony)


@guards.signed_in
async def finish_prove(request: Request, who: SignedIn) -> Response:
    """Proof, or why not."""
    form = await guards.form(request)
    unbind = form.get("unbind", "")
    try:
        used = await ceremonies.finish_use(request, form, "prove", who)
    except Failed as failed:
        task = None
        if failed.suspect:
            await events.add(request, who.account.id, "clone suspected", failed.suspect.name)
            task = letters.clone_suspected(request, who.account, failed.suspect)
        return await _proving(request, who, unbind, failure=failed.failure, status=422, task=task)
    proven = await _step_up(request, who, "key")
    await events.add(request, who.account.id, "proof given", used.name)
    return await _proving(request, proven, unbind)


# Bind your key


@guards.proven
async def begin_bind(request: Request, who: Proven) -> Response:
    """The ceremony form."""
    form = await guards.form(request)
    return _bind(request, who, label=_tidy(form.get("name", "")), ceremony=ceremonies.begin_bind(request, who))


@guards.proven
async def finish_bind(request: Request, who: Proven) -> Response:
    """Bind the key that answered, or say why not."""
    form = await guards.form(request)
    label = _tidy(form.get("name", ""))
    try:
        key = _record(request, who, await ceremonies.finish_bind(request, form, who), label)
        await request.state.backend.add_key(key)
    except Failed as failed:
        return _bind(request, who, label=label, failure=failed.failure, status=422)
    except KeyTaken:
        return _bind(request, who, label=label, failure=ceremonies.TAKEN, status=409)
    await request.state.backend.remove_sessions_of(who.account.id, keep=who.session.id)
    await _step_up(request, who, "key")
    await events.add(request, who.account.id, "key bound", key.name)
    return pages.go(request, "binding.done", task=letters.key_bound(request, who.account, key))


# The keys that are bound


@guards.signed_in
async def name_key(request: Request, who: SignedIn) -> Response:
    """Rename a key."""
    form = await guards.form(request)
    key = pages.named_by(request.path_params["key"], who.keys)
    name = _tidy(form.get("name", ""))
    if key is None:
        return _row(request, who, error="That key is no longer bound.", status=404)
    if not name:
        return _row(request, who, editing=pages.slug(key.id), error="Give the key a name.", status=422)
    await request.state.backend.rename_key(who.account.id, key.id, name)
    await events.add(request, who.account.id, "key renamed", name)
    if not pages.by_htmx(request):
        return pages.go(request, "account.security", {"notice": "renamed"})
    return _row(request, replace(who, keys=await request.state.backend.keys_of(who.account.id)))


@guards.signed_in
async def confirm_unbind(request: Request, who: SignedIn) -> Response:
    """The unbind dialog: first the proof, then the question."""
    return await _proving(request, who, request.path_params["key"])


@guards.signed_in
async def unbind(request: Request, who: SignedIn) -> Response:
    """Unbind the key; somebody else's is not found."""
    key = pages.named_by(request.path_params["key"], who.keys)
    if key is None:
        return _gone(request)
    if guards.proof_of(who) is None:
        return _unbind(request, who, key, error="Touch a key first, to show that it is you.", status=403)
    if not await request.state.backend.remove_key(who.account.id, key.id):
        return _gone(request)
    await request.state.backend.remove_sessions_of(who.account.id, keep=who.session.id)
    await _step_up(request, who, None)
    await events.add(request, who.account.id, "key unbound", key.name)
    return pages.go(request, "account.security", {"notice": "unbound"}, task=letters.key_unbound(request, who.account, key))


async def _may_send(request: Request, who: SignedIn) -> None:
    """One mail a minute, ten a day; TooOften otherwise. A mail that fails is taken back by the caller."""
    await limits.count(request, SEND, who.account.id)
    await limits.count(request, SENDS, who.account.id)


async def _send(request: Request, who: SignedIn) -> bool:
    """Send this session's code: the one that can still be typed (True), or a new one (False). MailFailed if it did not leave."""
    backend, now, keys = request.state.backend, clock.now(), request.state.settings.secret_keys
    code = await _code(request, who)
    known = codes.digits(code, keys) if code and code.tries_left else None
    if code and known:
        await letters.send_code(request, who.account, known)
        return await backend.record_sent(who.account.id, PURPOSE, code.digest, now)
    code = codes.new(who.account, who.session, PURPOSE, now, keys)
    await letters.send_code(request, who.account, codes.digits(code, keys) or "")
    await backend.put_code(code)
    return False


async def _code(request: Request, who: SignedIn) -> VerificationCode | None:
    """The code that waits to be typed, if it was sent to this session and to today's address."""
    code = await request.state.backend.code(who.account.id, PURPOSE, clock.now())
    return code if code and (code.session_id, code.email) == (who.session.id, who.account.email) else None


async def _step_up(request: Request, who: SignedIn, proof: Proof | None) -> Proven:
    session = await sessions.step_up(request, who.session, proof=proof)
    if session is None:
        raise guards.NotSignedIn
    return Proven(who.account, session, who.keys)


def _record(request: Request, who: Proven, key: BoundKey, label: str) -> SecurityKey:
    return SecurityKey(
        id=key.id,
        account_id=who.account.id,
        name=label or _suggestion(who),
        public_key=key.public_key,
        sign_count=key.sign_count,
        aaguid=key.aaguid,
        attestation=key.attestation,
        transports=key.transports,
        rp_id=request.state.settings.rp_id,
        bound_at=clock.now(),
    )


def _tidy(name: str) -> str:
    """A name as it may be shown: one line, no control or direction characters (category C), not too long."""
    shown = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in unicodedata.normalize("NFC", name))
    return " ".join(shown.split())[:LONGEST_NAME].strip()


def _suggestion(who: SignedIn) -> str:
    """A name that none of the keys has yet."""
    taken = {key.name for key in who.keys}
    number = next(n for n in range(1, len(taken) + 2) if _numbered(n) not in taken)
    return _numbered(number)


def _numbered(number: int) -> str:
    return "Security key" if number == 1 else f"Security key {number}"


def _moment(milliseconds: str) -> datetime:
    """The moment that a dialog carries along; now, for a dialog that opens."""
    now = clock.now()
    known = milliseconds.isascii() and milliseconds.isdecimal() and len(milliseconds) < 15
    return min(now, datetime.fromtimestamp(int(milliseconds) / 1000, now.tzinfo)) if known else now


def _wait(often: TooOften) -> str:
    if often.seconds > codes.RESEND_AFTER.total_seconds():
        return f"That was the last mail for now. You can ask for another in about {ceil(often.seconds / 3600)} hours."
    return f"A mail was sent less than a minute ago. You can ask again in {often.seconds} seconds."


def _wrong(code: VerificationCode) -> str:
    if not code.tries_left:
        return "That is not the code, and there are no tries left. Ask for a new one."
    return f"That is not the code. {code.tries_left} {'try' if code.tries_left == 1 else 'tries'} left."


def _context(request: Request, who: SignedIn) -> dict[str, Any]:
    asked = preview.includes(request.state.settings, who.account)
    return {"account": who.account, "keys": pages.keys(who.keys), "in_preview": asked, "device": pages.device(request)}


async def _verify(
    request: Request, who: SignedIn, *, error: str | None = None, sent: str | None = None, status: int = 200, retry_after: int = 0
) -> Response:
    code, now = await _code(request, who), clock.now()
    waiting = code and Waiting(
        resend_in=max(0, ceil((code.sent_at + codes.RESEND_AFTER - now).total_seconds())),
        expires_in=ceil((code.expires_at - now).total_seconds()),
        tries_left=code.tries_left,
    )
    headers = {"retry-after": str(retry_after)} if retry_after else None
    return pages.panel(
        request,
        "bind.html",
        "_verify.html",
        status,
        headers,
        step="verify",
        code=waiting,
        error=error,
        sent=sent,
        **_context(request, who),
    )


def _prove(
    request: Request, who: SignedIn, *, ceremony: Ceremony | None = None, failure: Failure | None = None, status: int = 200
) -> Response:
    return pages.panel(
        request, "bind.html", "_prove.html", status, step="prove", ceremony=ceremony, failure=failure, **_context(request, who)
    )


async def _proving(
    request: Request,
    who: SignedIn,
    unbind: str,
    *,
    ceremony: Ceremony | None = None,
    failure: Failure | None = None,
    status: int = 200,
    task: BackgroundTask | None = None,
) -> Response:
    """The proof where it is asked for: in the unbind dialog of the key that `unbind` names, or on the bind page."""
    key = pages.named_by(unbind, who.keys) if unbind else None
    if unbind and key is None:
        return _gone(request)
    proven = guards.proof_of(who)
    if key:
        answer = _unbind(request, who, key, ceremony=ceremony, failure=failure, status=status)
    elif proven:
        answer = _bind(request, proven)
    elif not who.keys:
        answer = await _verify(request, who)
    else:
        answer = _prove(request, who, ceremony=ceremony, failure=failure, status=status)
    answer.background = task
    return answer


def _bind(
    request: Request,
    who: Proven,
    *,
    label: str = "",
    ceremony: Ceremony | None = None,
    failure: Failure | None = None,
    status: int = 200,
) -> Response:
    return pages.panel(
        request,
        "bind.html",
        "_bind.html",
        status,
        step="bind",
        label=label or _suggestion(who),
        ceremony=ceremony,
        failure=failure,
        **_context(request, who),
    )


def _row(request: Request, who: SignedIn, *, editing: str | None = None, error: str | None = None, status: int = 200) -> Response:
    return pages.panel(request, "security.html", "_row.html", status, editing=editing, error=error, **_context(request, who))


def _unbind(
    request: Request,
    who: SignedIn,
    key: SecurityKey,
    *,
    ceremony: Ceremony | None = None,
    failure: Failure | None = None,
    error: str | None = None,
    status: int = 200,
) -> Response:
    return pages.panel(
        request,
        "unbind.html",
        "_unbind.html",
        status,
        key=pages.keys([key])[0],
        last=len(who.keys) == 1,
        proven=guards.proof_of(who) is not None,
        ceremony=ceremony,
        failure=failure,
        error=error,
        **_context(request, who),
    )


def _gone(request: Request) -> Response:
    """The key that the address names is not bound to this account (any more)."""
    return pages.refusal(
        request, 404, "That key is not bound", "It may have been unbound in another tab, or by another of your devices."
    )

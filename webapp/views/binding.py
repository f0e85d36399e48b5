"""Bind, rename and unbind a security key. Never changes a key without a fresh proof, which `proving.py` takes."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from starlette.responses import Response

from backends.protocol import KeyTaken
from backends.records import SecurityKey
from webapp import ceremonies, clock, events, guards, letters, pages, recovery, sessions, steps
from webapp.ceremonies import Failed
from webapp.guards import Proven, SignedIn
from webapp.state import Request
from webapp.webauthn import BoundKey

NOTICES = {"late": "For this, show once more that it is you. Nothing is lost."}


@guards.signed_in
async def show(request: Request, who: SignedIn) -> Response:
    """The bind page, at the step that this session has reached; a reload loses nothing."""
    then = guards.local_path(request.query_params.get("then", ""), "")
    return await steps.next_step(request, who, then, notice=NOTICES.get(request.query_params.get("notice", "")))


@guards.signed_in
async def done(request: Request, who: SignedIn) -> Response:
    """Bound: what happens next."""
    if not who.keys:
        return pages.go(request, "binding.show")
    newest = max(who.keys, key=lambda key: key.bound_at)
    left = await recovery.left(request, who.account.id)
    return pages.page(request, "done.html", key=pages.keys([newest])[0], codes_left=left, **steps.context(request, who))


@guards.signed_in
async def row(request: Request, who: SignedIn) -> Response:
    """The row of the Security Settings."""
    return await _row(request, who)


@guards.signed_in
async def dialog(request: Request, who: SignedIn) -> Response:
    """The dialog of the first page: whether a key was bound since it opened."""
    query = request.query_params
    since = _moment(query.get("since", ""))
    bound = any(key.bound_at >= since for key in who.keys)
    if not bound and "since" in query and not {"check", "help"} & set(query):
        return Response(status_code=204)  # a poll with nothing new: the dialog stays as it is, and the focus with it
    return pages.panel(
        request,
        "dialog.html",
        "_dialog.html",
        headers={"hx-trigger": "bound"} if bound else None,
        state="bound" if bound else "help" if "help" in query else "not_yet" if "check" in query else "waiting",
        since=int(since.timestamp() * 1000),
        **steps.context(request, who),
    )


@guards.proven
async def begin_bind(request: Request, who: Proven) -> Response:
    """The ceremony form."""
    form = await guards.form(request)
    return steps.bind(request, who, label=steps.tidy(form.get("name", "")), ceremony=ceremonies.begin_bind(request, who))


@guards.proven
async def finish_bind(request: Request, who: Proven) -> Response:
    """Bind the key that answered, or say why not."""
    form = await guards.form(request)
    label = steps.tidy(form.get("name", ""))
    try:
        key = _record(request, who, await ceremonies.finish_bind(request, form, who), label)
        await request.state.backend.add_key(key)
    except Failed as failed:
        return steps.bind(request, who, label=label, failure=failed.failure, status=422)
    except KeyTaken:
        return steps.bind(request, who, label=label, failure=ceremonies.TAKEN, status=409)
    await request.state.backend.remove_sessions_of(who.account.id, keep=who.session.id)
    if await sessions.step_up(request, who.session, proof="key") is None:
        # Another session bound a key in this very moment and ended this one, whose proof (a code) is no longer enough.
        await request.state.backend.remove_key(who.account.id, key.id)
        raise guards.NotSignedIn
    await events.add(request, who.account.id, "key bound", key.name)
    return pages.go(request, "binding.done", task=letters.key_bound(request, who.account, key.name, key.bound_at))


@guards.proven
async def name_key(request: Request, who: Proven) -> Response:
    """Rename a key."""
    form = await guards.form(request)
    key = pages.named_by(request.path_params["key"], who.keys)
    name = steps.tidy(form.get("name", ""))
    if key is None:
        return await _row(request, who, error="That key is no longer bound.", status=404)
    if not name:
        return await _row(request, who, editing=pages.slug(key.id), error="Give the key a name.", status=422)
    await request.state.backend.rename_key(who.account.id, key.id, name)
    await events.add(request, who.account.id, "key renamed", name)
    if not pages.by_htmx(request):
        return pages.go(request, "account.security", {"notice": "renamed"})
    renamed = replace(who, keys=await request.state.backend.keys_of(who.account.id))
    return await _row(request, renamed, notice="The key has a new name.")


@guards.signed_in
async def confirm_unbind(request: Request, who: SignedIn) -> Response:
    """The unbind dialog: first the proof, then the question."""
    key = pages.named_by(request.path_params["key"], who.keys)
    return steps.unbind(request, who, key) if key else steps.gone(request)


@guards.signed_in
async def unbind(request: Request, who: SignedIn) -> Response:
    """Unbind the key; somebody else's is not found."""
    key = pages.named_by(request.path_params["key"], who.keys)
    if key is None:
        return steps.gone(request)
    if guards.proof_of(who) is None:
        return steps.unbind(request, who, key, error="Touch a key first, to show that it is you.", status=403)
    if not await request.state.backend.remove_key(who.account.id, key.id):
        return steps.gone(request)
    await request.state.backend.remove_sessions_of(who.account.id, keep=who.session.id)
    await sessions.step_up(request, who.session)
    await events.add(request, who.account.id, "key unbound", key.name)
    void = await _void_recovery_codes(request, who)
    task = letters.key_unbound(request, who.account, key.name)
    return pages.go(request, "account.security", {"notice": "unbound-last" if void else "unbound"}, task=task)


async def _void_recovery_codes(request: Request, who: SignedIn) -> bool:
    """Recovery codes stand in for a key: with the last key they go."""
    if await request.state.backend.keys_of(who.account.id) or not await recovery.left(request, who.account.id):
        return False
    await request.state.backend.put_recovery_codes(who.account.id, [], clock.now())
    await events.add(request, who.account.id, "recovery codes void")
    return True


def _record(request: Request, who: Proven, key: BoundKey, label: str) -> SecurityKey:
    return SecurityKey(
        id=key.id,
        account_id=who.account.id,
        name=label or steps.suggestion(who),
        public_key=key.public_key,
        sign_count=key.sign_count,
        aaguid=key.aaguid,
        attestation=key.attestation,
        transports=key.transports,
        rp_id=request.state.settings.rp_id,
        bound_at=clock.now(),
    )


def _moment(milliseconds: str) -> datetime:
    """The moment that a dialog carries along; now, for a dialog that opens."""
    now = clock.now()
    known = milliseconds.isascii() and milliseconds.isdecimal() and len(milliseconds) < 15
    return min(now, datetime.fromtimestamp(int(milliseconds) / 1000, now.tzinfo)) if known else now


async def _row(
    request: Request,
    who: SignedIn,
    *,
    editing: str | None = None,
    error: str | None = None,
    notice: str | None = None,
    status: int = 200,
) -> Response:
    left = await recovery.left(request, who.account.id)
    shown: dict[str, Any] = {"editing": editing, "error": error, "notice": notice, "codes_left": left}
    return pages.panel(request, "security.html", "_row.html", status, **shown, **steps.context(request, who))

"""Log on: the password, then the key. Never says which of username and password was wrong."""

from dataclasses import replace

from starlette.background import BackgroundTask
from starlette.responses import Response

from backends.records import Account, Event, Proof
from webapp import alarms, ceremonies, clock, events, guards, letters, limits, pages, passwords, preview, recovery, sessions
from webapp.ceremonies import Ceremony, Failed, Failure
from webapp.guards import HalfSignedIn
from webapp.state import Request

WRONG = "The username or the password is wrong."
FROZEN = "This account is frozen, because somebody said that it was used by someone else. Set a new password to open it again."
NOTICES = {
    "off": "You are logged off.",
    "ended": "Your logon took too long, or was ended elsewhere. Please log on again.",
    "password": "Your password is set. Log on with it.",
}


@guards.anyone
async def show(request: Request) -> Response:
    """The form; who is signed in already goes on."""
    if await guards.visitor(request):
        return pages.go_to(request, _next(request, request.query_params.get("next", "")))
    return _form(request, request.query_params.get("next", ""), notice=NOTICES.get(request.query_params.get("notice", "")))


@guards.anyone
async def submit(request: Request) -> Response:
    """The password is right: on to the key, or in. Wrong or too often: the form says so."""
    form = await guards.form(request)
    username, wanted = form.get("username", "").strip(), form.get("next", "")
    await limits.logon(request, username)
    account = await _account(request, username, form.get("password", ""))
    await limits.logon_was(request, username, right=account is not None)
    if account is None:
        return _form(request, wanted, username=username, error=WRONG, status=401)
    if guards.is_shut(account):
        return _form(request, wanted, username=username, error=FROZEN, status=403)
    return await _begin(request, account, wanted)


@guards.half_signed_in
async def key(request: Request, who: HalfSignedIn) -> Response:
    """Insert your key and touch it."""
    return _panel(request, who, wanted=request.query_params.get("next", ""))


@guards.half_signed_in
async def begin_key(request: Request, who: HalfSignedIn) -> Response:
    """The ceremony form."""
    form = await guards.form(request)
    if not who.keys:  # unbound elsewhere, or by the deployer, since the password was given
        return await _enter(request, who, _next(request, form.get("next", "")))
    return _panel(request, who, wanted=form.get("next", ""), ceremony=ceremonies.begin_use(request, "logon", who))


@guards.half_signed_in
async def finish_key(request: Request, who: HalfSignedIn) -> Response:
    """Signed in, or why not."""
    form = await guards.form(request)
    wanted = form.get("next", "")
    await limits.look(request, limits.KEY_STEP, who.account.id, limits.here(request))
    try:
        event = await ceremonies.finish_logon(request, form, who)
    except Failed as failed:
        await limits.count(request, limits.KEY_STEP, who.account.id, limits.here(request))
        task = await alarms.key_refused(request, who.account, failed)
        return _panel(request, who, wanted=wanted, failure=failed.failure, status=422, task=task)
    return await _entered(request, who, _next(request, wanted), event)


@guards.half_signed_in
async def recovery_code(request: Request, who: HalfSignedIn) -> Response:
    """For whoever does not have the key: type a recovery code."""
    return _recovery(request, who)


@guards.half_signed_in
async def use_recovery_code(request: Request, who: HalfSignedIn) -> Response:
    """Signed in by a recovery code, which is used up; every other session is ended."""
    form = await guards.form(request)
    await limits.count(request, limits.RECOVERY, who.account.id, limits.here(request))
    digest = recovery.digest(who.account.id, form.get("code", ""))
    if not await request.state.backend.spend_recovery_code(who.account.id, digest, clock.now()):
        answer = _recovery(request, who, error="That is not one of your recovery codes, or it was used before.", status=422)
        answer.background = await alarms.key_refused(request, who.account)
        return answer
    left = await recovery.left(request, who.account.id)
    await request.state.backend.remove_sessions_of(who.account.id, keep=who.session.id)
    await events.add(request, who.account.id, "recovery code used", f"{left} left")
    answer = await _enter(request, who, pages.url(request, "account.security") + "?notice=recovered", "recovery")
    answer.background = letters.recovery_code_used(request, who.account, left)
    return answer


@guards.anyone
async def log_off(request: Request) -> Response:
    """Out, from whatever stage."""
    session = await sessions.end(request)
    if session is not None and session.stage == "full":
        await events.add(request, session.account_id, "logged off")
    return pages.go(request, "logon.show", {"notice": "off"})


async def _account(request: Request, username: str, password: str) -> Account | None:
    """The account, if this is its username and password. Takes as long for a name that nobody has."""
    account = await request.state.backend.account_named(username)
    right = await passwords.verify(account.password_hash if account else None, password)
    if account is None or not right:
        return None
    if not passwords.outdated(account.password_hash):
        return account
    stronger = replace(account, password_hash=await passwords.hash(password))
    return stronger if await request.state.backend.record_account(account, stronger) else account


async def _begin(request: Request, account: Account, wanted: str) -> Response:
    """A session for whoever gave the password.

    It is put down before account and keys are looked at again: a key that is bound, or a password that is changed, at this very
    moment is either seen here, or ends this session.
    """
    session = await sessions.begin(request, account)
    today = await request.state.backend.account(account.id)
    if today is None or today.password_hash != account.password_hash or guards.is_shut(today):
        await sessions.drop(request, session)
        raise guards.NotSignedIn
    who = HalfSignedIn(today, session, await request.state.backend.keys_of(account.id))
    if who.keys and (preview.includes(request.state.settings, today) or today.frozen_at):
        return pages.go(request, "logon.key", {"next": wanted} if wanted else None)
    return await _enter(request, who, _next(request, wanted))


async def _enter(request: Request, who: HalfSignedIn, path: str, proof: Proof | None = None) -> Response:
    """In, without a key."""
    return await _entered(request, who, path, await events.log_on(request, who.session, proof, ""))


async def _entered(request: Request, who: HalfSignedIn, path: str, event: Event | None) -> Response:
    """In. Everything that this account owes at logon was given; an account that was frozen is open again."""
    if event is None:
        raise guards.NotSignedIn
    if who.account.frozen_at and await request.state.backend.record_account(who.account, replace(who.account, frozen_at=None)):
        await events.add(request, who.account.id, "unfrozen")
    new = sessions.is_new_browser(request, who.account) and event.seq > 1
    return pages.go_to(request, path, letters.new_browser(request, who.account) if new else None)


def _next(request: Request, wanted: str) -> str:
    return guards.local_path(wanted, pages.url(request, "account.show"))


def _form(
    request: Request, wanted: str, *, username: str = "", error: str | None = None, notice: str | None = None, status: int = 200
) -> Response:
    return pages.page(request, "logon.html", status, username=username, next=wanted, error=error, notice=notice)


def _recovery(request: Request, who: HalfSignedIn, *, error: str | None = None, status: int = 200) -> Response:
    return pages.page(request, "logon_recovery.html", status, username=who.account.username, error=error)


def _panel(
    request: Request,
    who: HalfSignedIn,
    *,
    wanted: str,
    ceremony: Ceremony | None = None,
    failure: Failure | None = None,
    status: int = 200,
    task: BackgroundTask | None = None,
) -> Response:
    answer = pages.panel(
        request,
        "logon_key.html",
        "_key.html",
        status,
        keys=pages.keys(who.keys),
        username=who.account.username,
        next=wanted,
        device=pages.device(request),
        ceremony=ceremony,
        failure=failure,
    )
    answer.background = task
    return answer
